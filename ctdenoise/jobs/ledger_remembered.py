"""What a ledger remembers beside its jobs: instances, what was confirmed, small facts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, cast

from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.errors import IllegalMove, LedgerError
from ctdenoise.jobs.ledger_reading import job as job_of_id
from ctdenoise.jobs.ledger_rows import by_digest, uid_digest
from ctdenoise.jobs.states import ENDED, MOVES, State

_ASKED_AT_ONCE: Final = 500
"""UIDs in one question; older SQLite allows 999 values in one statement."""

_FORGOTTEN_AT_ONCE: Final = 500
"""Jobs forgotten in one transaction."""

_FREE_BYTES: Final = 64 << 20
"""Less room than this is not worth copying a ledger for."""


def add_delivered(
    database: sqlite3.Connection, destination: str, uids: Collection[str], *, now: float
) -> None:
    """Note that a destination confirmed instances."""
    database.executemany(
        "INSERT OR IGNORE INTO delivered VALUES (?, ?, ?)",
        ((destination, uid_digest(uid), now) for uid in uids),
    )


def delivered(
    database: sqlite3.Connection, destination: str, uids: Collection[str]
) -> frozenset[str]:
    """Which of these instances a destination has confirmed."""
    names = by_digest(uids)
    return frozenset(
        names[known]
        for some, marks in _in_parts(list(names))
        for (known,) in database.execute(
            f"SELECT uid_digest FROM delivered WHERE destination = ? AND uid_digest IN ({marks})",  # noqa: S608 - question marks
            (destination, *some),
        )
    )


def add_instances(database: sqlite3.Connection, job_id: str, instances: Mapping[str, str]) -> None:
    """Note what a job is about, by SOP Instance UID.

    Raises:
        LedgerError: If there is no such job.
    """
    job_of_id(database, job_id)
    number = database.execute("SELECT number FROM job WHERE id = ?", (job_id,)).fetchone()[0]
    database.executemany(
        "INSERT OR REPLACE INTO instance VALUES (?, ?, ?)",
        ((uid_digest(uid), number, bytes.fromhex(sha256)) for uid, sha256 in instances.items()),
    )


def known_instances(
    database: sqlite3.Connection, uids: Collection[str]
) -> Mapping[str, tuple[str, str]]:
    """Job and SHA-256 of those of these instances that a job was about."""
    names = by_digest(uids)
    return {
        names[known]: (job_id, sha256.hex())
        for some, marks in _in_parts(list(names))
        for known, job_id, sha256 in database.execute(
            "SELECT uid_digest, job.id, sha256 FROM instance JOIN job ON job.number = job "  # noqa: S608 - question marks
            f"WHERE uid_digest IN ({marks})",
            some,
        )
    }


def note(database: sqlite3.Connection, key: str, value: JsonValue) -> None:
    """Keep a small fact; None forgets it."""
    if value is None:
        database.execute("DELETE FROM note WHERE key = ?", (key,))
        return
    database.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (key, canonical_json(value)))


def noted(database: sqlite3.Connection, key: str) -> JsonValue:
    """What was noted under a key; None if nothing was.

    Raises:
        LedgerError: If it cannot be read.
    """
    row = database.execute("SELECT value FROM note WHERE key = ?", (key,)).fetchone()
    try:
        return None if row is None else cast("JsonValue", json.loads(row[0]))
    except ValueError as error:
        raise LedgerError("a note in the ledger cannot be read; it is damaged.") from error


def forget(
    changing: Callable[[], AbstractContextManager[sqlite3.Connection]],
    states: Collection[State],
    *,
    before: float,
) -> int:
    """Forget what ended before a time, a part at a time so that others may write in between.

    Args:
        changing: Begins a transaction.
        states: Which of the ended jobs.
        before: Seconds since 1970.

    Returns:
        How many jobs.

    Raises:
        IllegalMove: If one of the states is not an end.
    """
    if not ENDED.issuperset(states):
        raise IllegalMove(f"only jobs that have ended can be forgotten: {', '.join(ENDED)}.")
    count = 0
    for state in states:
        while True:
            with changing() as database:
                some = _forget_jobs(database, state, before=before)
            if not some:
                break
            count += some
    with changing() as database:
        _forget_delivered(database, before=before)
    return count


def is_mostly_free(database: sqlite3.Connection) -> bool:
    """Whether most of a large file is room that was given free."""
    pages, free, page_bytes = (
        int(database.execute(f"PRAGMA {fact}").fetchone()[0])
        for fact in ("page_count", "freelist_count", "page_size")
    )
    return 2 * free > pages and free * page_bytes > _FREE_BYTES


def _forget_jobs(database: sqlite3.Connection, state: State, *, before: float) -> int:
    """Forget some of the jobs that ended in a state before a time; says how many."""
    return database.execute(
        "DELETE FROM job WHERE number IN "
        "(SELECT number FROM job WHERE state = ? AND changed < ? LIMIT ?)",
        (state, before, _FORGOTTEN_AT_ONCE),
    ).rowcount


def _forget_delivered(database: sqlite3.Connection, *, before: float) -> None:
    """Forget what was confirmed before a time and before the oldest job that has not ended."""
    going_on = ", ".join(f"'{state}'" for state in MOVES if state not in ENDED)
    oldest = database.execute(
        f"SELECT min(created) FROM job WHERE state IN ({going_on})"  # noqa: S608 - our own constant
    ).fetchone()[0]
    limit = before if oldest is None else min(before, oldest)
    database.execute("DELETE FROM delivered WHERE at < ?", (limit,))


def _in_parts(digests: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], str]]:
    """Digests in parts that fit into a statement, each with as many question marks."""
    for start in range(0, len(digests), _ASKED_AT_ONCE):
        some = digests[start : start + _ASKED_AT_ONCE]
        yield some, ", ".join("?" * len(some))
