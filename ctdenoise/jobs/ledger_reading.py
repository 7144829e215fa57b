"""What a ledger tells: jobs, their number, their history."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager

from ctdenoise.errors import LedgerError
from ctdenoise.jobs.job import Job, Move
from ctdenoise.jobs.ledger_rows import COLUMNS, job_of, move_of
from ctdenoise.jobs.states import MOVES, State

Wanted = tuple[Collection[State], str | None, str | None]
"""States (empty for all), kind and study (None for any) of the jobs that are wanted."""


_AT_A_TIME = 500
"""Jobs that are read together where all are wanted."""


def found(database: sqlite3.Connection, id_: str) -> Job | None:
    """The job of an id; None if there is none."""
    row = database.execute(f"SELECT {COLUMNS} FROM job WHERE id = ?", (id_,)).fetchone()  # noqa: S608 - our own constant
    return None if row is None else job_of(row)


def job(database: sqlite3.Connection, id_: str) -> Job:
    """The job of an id.

    Raises:
        LedgerError: If there is none.
    """
    known = found(database, id_)
    if known is None:
        raise LedgerError(
            "there is no such job in the ledger.",
            where=id_,
            fix="See `ctdenoise jobs list` for those that there are.",
        )
    return known


def ids_from(database: sqlite3.Connection, beginning: str, *, most: int) -> tuple[str, ...]:
    """Ids that begin with a text, at most so many, in order."""
    rows = database.execute(
        "SELECT id FROM job WHERE id >= ? AND substr(id, 1, ?) = ? ORDER BY id LIMIT ?",
        (beginning, len(beginning), beginning, most),
    )
    return tuple(id_ for (id_,) in rows)


def jobs(
    database: sqlite3.Connection, wanted: Wanted, *, newest_first: bool, limit: int | None
) -> tuple[Job, ...]:
    """Jobs in the order in which they were added.

    Args:
        database: The ledger.
        wanted: Which.
        newest_first: Whether in reverse.
        limit: How many at most; None for all.
    """
    states, kind, study = wanted
    conditions = {"kind = ?": kind, "study = ?": study}
    given = {text: value for text, value in conditions.items() if value is not None}
    order = "DESC" if newest_first else "ASC"
    # One query for each state: the index gives each in order, so only `limit` rows of it are read.
    parts: list[tuple[int, Job]] = []
    for state in dict.fromkeys(states) or (None,):
        texts = [*given, *(["state = ?"] if state else [])]
        where = f"WHERE {' AND '.join(texts)}" if texts else ""
        rows = database.execute(
            f"SELECT {COLUMNS}, number FROM job {where} ORDER BY number {order} LIMIT ?",  # noqa: S608 - our own words
            (*given.values(), *([state] if state else []), -1 if limit is None else limit),
        )
        parts.extend((row[-1], job_of(row[:-1])) for row in rows)
    parts.sort(key=lambda part: part[0], reverse=newest_first)
    return tuple(one for _, one in parts[:limit])


def every_job(alone: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> Iterator[Job]:
    """All jobs in the order in which they were added; only some are held at a time.

    Args:
        alone: Gives the ledger for one query.
    """
    number = 0
    while True:
        with alone() as database:
            rows = database.execute(
                f"SELECT {COLUMNS}, number FROM job WHERE number > ? ORDER BY number LIMIT ?",  # noqa: S608 - our own constant
                (number, _AT_A_TIME),
            ).fetchall()
        if not rows:
            return
        number = rows[-1][-1]
        yield from (job_of(row[:-1]) for row in rows)


def counts(database: sqlite3.Connection) -> Mapping[State, int]:
    """How many jobs are in each state."""
    known: dict[State, int] = dict.fromkeys(MOVES, 0)
    known.update(database.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall())
    return known


def history(database: sqlite3.Connection, id_: str) -> tuple[Move, ...]:
    """Every move of a job, oldest first.

    Raises:
        LedgerError: If there is no such job.
    """
    rows = database.execute(
        "SELECT at, before, after, move.reason FROM move JOIN job ON job.number = move.job "
        "WHERE job.id = ? ORDER BY place",
        (id_,),
    ).fetchall()
    if not rows:
        job(database, id_)
    return tuple(move_of(row) for row in rows)
