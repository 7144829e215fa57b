"""The tables of the ledger, and how an older ledger becomes one of this version.

Checks are in the tables, so that SQLite's own check of a file finds what is broken in a job. The
history has none: they would make that check four times as long.
Nothing here needs more than SQLite 3.24 (2018): the system's library may be old.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from ctdenoise.jobs.states import MOVES

APPLICATION_ID: Final = int.from_bytes(b"ctdl", "big")
"""Stands in the header of every ledger, so that the database of another program is known."""

_STATES: Final = ", ".join(f"'{state}'" for state in MOVES)

DUE: Final = "not_before = 0 AND state IN ('ready', 'made')"
"""Jobs that can be begun at once; the condition of two indexes, to be repeated word for word."""

_FIRST: Final = (
    f"""
    CREATE TABLE job (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        study TEXT NOT NULL,
        payload TEXT NOT NULL CHECK (json_valid(payload)),
        state TEXT NOT NULL CHECK (state IN ({_STATES})),
        tries INTEGER NOT NULL CHECK (tries >= 0),
        not_before REAL NOT NULL CHECK (not_before >= 0),
        waits_from REAL NOT NULL,
        reason TEXT NOT NULL,
        result TEXT NOT NULL CHECK (json_valid(result)),
        created REAL NOT NULL,
        changed REAL NOT NULL
    )
    """,
    "CREATE INDEX job_by_state ON job (state)",
    "CREATE INDEX job_by_study ON job (study)",
    f"CREATE INDEX job_due ON job (state) WHERE {DUE}",
    f"CREATE INDEX job_due_of_kind ON job (kind, state) WHERE {DUE}",
    "CREATE INDEX job_waiting ON job (not_before) WHERE not_before > 0",
    "CREATE INDEX job_waiting_from ON job (waits_from) WHERE not_before > 0",
    """
    CREATE TABLE move (
        job INTEGER NOT NULL REFERENCES job (number) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        at REAL NOT NULL,
        before TEXT,
        after TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (job, place)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE instance (
        uid_digest BLOB PRIMARY KEY,
        job INTEGER NOT NULL REFERENCES job (number) ON DELETE CASCADE,
        sha256 BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX instance_by_job ON instance (job)",
    """
    CREATE TABLE delivered (
        destination TEXT NOT NULL,
        uid_digest BLOB NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (destination, uid_digest)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE note (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL CHECK (json_valid(value))
    ) WITHOUT ROWID
    """,
    "CREATE TABLE migration (version INTEGER PRIMARY KEY, at REAL NOT NULL)",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST,)
"""What leads from each version to the next; the first from nothing to version 1."""

VERSION: Final = len(MIGRATIONS)
"""Version of the tables that this program reads and writes."""

TABLES: Final = frozenset(("job", "move", "instance", "delivered", "note", "migration"))
"""Without one of these, a ledger is damaged."""


def version_of(database: sqlite3.Connection) -> int:
    """The version that a database has."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database to the version of this program; all of it or nothing.

    Args:
        database: Without a transaction under way; its version is not newer than ours.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        for version in range(version_of(database), VERSION):
            for statement in MIGRATIONS[version]:
                database.execute(statement)
            database.execute("INSERT INTO migration VALUES (?, ?)", (version + 1, time.time()))
        database.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
