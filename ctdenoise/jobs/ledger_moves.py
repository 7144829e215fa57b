"""How jobs come into the ledger and from state to state, inside a transaction of the caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import IllegalMove
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger_reading import job as job_of_id
from ctdenoise.jobs.ledger_rows import COLUMNS, job_of, row_of, text_of
from ctdenoise.jobs.ledger_schema import DUE
from ctdenoise.jobs.states import BEGUN, MOVES, RETRIES, STARTS, State

Waiting = Literal["ready", "made"]
"""States in which a job waits to be begun."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a job by one move.

    Args:
        to: State that it comes to.
        reason: Why.
        result: What came out; None for what there was.
        not_before: Seconds since 1970 before which it is not begun again; None for at once.
    """

    to: State
    reason: str = ""
    result: Mapping[str, JsonValue] | None = None
    not_before: float | None = None


def add(database: sqlite3.Connection, job: Job, *, now: float) -> bool:
    """Add a job unless its id is known; says whether it was added.

    Raises:
        IllegalMove: If it starts in a state that is no start.
    """
    if job.state not in STARTS:
        raise IllegalMove(
            f"a job starts as {' or '.join(sorted(STARTS))}, not as {job.state}.", where=job.id
        )
    _require_waiting(job.id, job.state, job.not_before)
    row = row_of(job, created=job.created or now, changed=now)
    marks = ", ".join("?" * len(row))
    done = database.execute(
        f"INSERT OR IGNORE INTO job ({COLUMNS}, waits_from) VALUES ({marks}, ?)",  # noqa: S608 - our own constant
        (*row, now if job.not_before else 0),
    )
    if done.rowcount == 0:
        return False
    _write_history(database, job.id, before=None, change=Change(job.state, job.reason), now=now)
    return True


def move(
    database: sqlite3.Connection, id_: str, change: Change, *, expected: State | None, now: float
) -> Job:
    """Lead a job on by one state; returns it as it is then.

    Raises:
        IllegalMove: If it is not where it was expected, or the move is not in the table.
        LedgerError: If there is no such job.
    """
    job = job_of_id(database, id_)
    if expected is not None and job.state != expected:
        raise IllegalMove(f"the job is {job.state}, not {expected}.", where=id_)
    if change.to not in MOVES[job.state]:
        raise IllegalMove(f"a job that is {job.state} cannot become {change.to}.", where=id_)
    return _moved(database, job, change, tries=_tries_after(job, change.to), now=now)


def retry(database: sqlite3.Connection, id_: str, *, reason: str, now: float) -> Job:
    """Lead a job that has ended back to where it can go on.

    Raises:
        IllegalMove: If it has not ended.
        LedgerError: If there is no such job.
    """
    job = job_of_id(database, id_)
    choices = RETRIES.get(job.state, frozenset())
    if not choices:
        raise IllegalMove(f"the job is {job.state}: it has not ended yet.", where=id_)
    to: State = "made" if "made" in choices and job.result else "ready"
    return _moved(database, job, Change(to, reason), tries=0, now=now)


def claim(
    database: sqlite3.Connection, kind: str | None, state: Waiting, *, now: float
) -> Job | None:
    """Begin the oldest job that waits in a state and whose time has come."""
    _wake(database, now=now)
    of_kind, values = ("", ()) if kind is None else ("kind = ? AND ", (kind,))
    row = database.execute(
        f"SELECT {COLUMNS} FROM job WHERE {of_kind}{DUE} AND state = ? ORDER BY number LIMIT 1",  # noqa: S608 - our own constants
        (*values, state),
    ).fetchone()
    if row is None:
        return None
    job = job_of(row)
    return _moved(database, job, Change(BEGUN[state]), tries=job.tries + 1, now=now)


def interrupted(database: sqlite3.Connection, *, now: float) -> tuple[Job, ...]:
    """Lead every job that was begun back to where it waits."""
    back: list[Job] = []
    for waiting, begun in BEGUN.items():
        rows = database.execute(
            f"SELECT {COLUMNS} FROM job WHERE state = ? ORDER BY number",  # noqa: S608 - our own constant
            (begun,),
        ).fetchall()
        change = Change(waiting, "interrupted")
        back.extend(
            _moved(database, job, change, tries=job.tries, now=now) for job in map(job_of, rows)
        )
    return tuple(back)


def may_be_due(database: sqlite3.Connection, *, now: float) -> bool:
    """Whether a job can be begun, or waits for a time that has come or must be put right."""
    row = database.execute(
        f"SELECT EXISTS (SELECT 1 FROM job WHERE {DUE})"  # noqa: S608 - our own constant
        " OR EXISTS (SELECT 1 FROM job WHERE not_before > 0 AND not_before <= :now)"
        " OR EXISTS (SELECT 1 FROM job WHERE not_before > 0 AND waits_from > :now)",
        {"now": now},
    ).fetchone()
    return bool(row[0])


def next_due_s(database: sqlite3.Connection, *, now: float) -> float | None:
    """Seconds until a job can be begun; 0 for at once, None where none waits."""
    if may_be_due(database, now=now):
        return 0.0
    row = database.execute("SELECT min(not_before) FROM job WHERE not_before > 0").fetchone()
    return None if row[0] is None else float(row[0]) - now


def _wake(database: sqlite3.Connection, *, now: float) -> None:
    """Let those wait no longer whose time has come.

    Where the clock was set back, those that waited from a moment that is now in the future wait as
    long as they were told to, from now.
    """
    database.execute(
        "UPDATE job SET not_before = ? + (not_before - waits_from), waits_from = ? "
        "WHERE not_before > 0 AND waits_from > ?",
        (now, now, now),
    )
    database.execute(
        "UPDATE job SET not_before = 0, waits_from = 0 WHERE not_before > 0 AND not_before <= ?",
        (now,),
    )


def _moved(
    database: sqlite3.Connection, job: Job, change: Change, *, tries: int, now: float
) -> Job:
    not_before = change.not_before or 0.0
    _require_waiting(job.id, change.to, not_before)
    after = replace(
        job,
        state=change.to,
        tries=tries,
        not_before=not_before,
        reason=change.reason,
        result=job.result if change.result is None else change.result,
        changed=now,
    )
    database.execute(
        "UPDATE job SET state = ?, tries = ?, not_before = ?, waits_from = ?, reason = ?, "
        "result = ?, changed = ? WHERE id = ?",
        (
            after.state,
            after.tries,
            not_before,
            now if not_before else 0,
            after.reason,
            text_of(after.result),
            now,
            job.id,
        ),
    )
    _write_history(database, job.id, before=job.state, change=change, now=now)
    return after


def _write_history(
    database: sqlite3.Connection, id_: str, *, before: State | None, change: Change, now: float
) -> None:
    database.execute(
        "INSERT INTO move (job, place, at, before, after, reason) SELECT number, "
        "(SELECT coalesce(max(place), 0) + 1 FROM move WHERE move.job = number), ?, ?, ?, ? "
        "FROM job WHERE id = ?",
        (now, before, change.to, change.reason, id_),
    )


def _tries_after(job: Job, to: State) -> int:
    if to in BEGUN.values():
        return job.tries + 1
    return 0 if (job.state, to) == ("running", "made") else job.tries


def _require_waiting(id_: str, state: State, not_before: float) -> None:
    if not_before and state not in BEGUN:
        raise IllegalMove(f"a job that is {state} does not wait for a time.", where=id_)
