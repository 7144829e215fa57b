"""Connections to the database of a ledger, and what SQLite's complaints mean in words."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ctdenoise.errors import CTDenoiseError, LedgerError, OutputError

LEDGER_FILE: Final = "ledger.sqlite"
"""Name of the ledger in its folder."""

BUSY_S: Final = 30.0
"""How long to wait for another process that is writing."""

_MOST_WAL_BYTES: Final = 64 << 20
"""What is left of a -wal file that was larger for a while."""

_WAITS: Final = "Wait until the other process has ended, or end it, then try again."
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL: Final = "Free some space. Nothing is lost: what was not written is done again."
_CORRUPT: Final = (
    "Stop what uses it and start `ctdenoise serve` or `batch` on this folder again: it is then "
    "restored from its last copy."
)


def connected(
    path: Path, *, read_only: bool = False, immutable: bool = False
) -> sqlite3.Connection:
    """A connection to a database that exists.

    Checkpoints are never made by a commit: SQLite before 3.51.3 may damage a database when one
    connection makes one while another commits (sqlite.org/wal.html, "WAL-reset bug"). See
    `checkpoint`.

    Args:
        path: The database.
        read_only: Whether nothing is to be written.
        immutable: Whether nobody else writes either, so that no lock is needed.
    """
    mode = "ro" if read_only else "rw"
    address = f"file:{quote(os.fspath(path.absolute()))}?mode={mode}&immutable={int(immutable)}"
    database = sqlite3.connect(
        address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute(f"PRAGMA journal_size_limit = {_MOST_WAL_BYTES}")
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Write all of it or nothing; on the disk when the block ends well."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def checkpoint(writing: sqlite3.Connection, other: sqlite3.Connection) -> None:
    """Bring what was committed from the -wal file into the database.

    The first connection holds the lock for writing meanwhile, so nobody commits and nobody else
    does the same; see `connected` for why that matters.

    Args:
        writing: Takes the lock and writes nothing.
        other: Moves the pages.
    """
    with transaction(writing):
        other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


@contextmanager
def told_in_words(where: Path) -> Iterator[None]:
    """Raise what SQLite or the system raises as an error that says what to do.

    Args:
        where: The database.

    Raises:
        LedgerError: If it is damaged, in use, or cannot be opened.
        OutputError: If the disk is full or cannot be written.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise in_words(error, where) from error
    except OSError as error:
        if isinstance(error, CTDenoiseError):
            raise
        if isinstance(error, PermissionError):
            raise _closed(where) from error
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise _unwritten("the disk is full" if full else _disk_says(error), where) from error


def in_words(error: sqlite3.Error, where: Path) -> CTDenoiseError:
    """An error of SQLite as one of ours.

    Args:
        error: What was raised.
        where: The database.
    """
    code = primary_code(error)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        full = is_full(error)
        return _unwritten("the disk is full" if full else "the disk reported an error", where)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerError(
            f"another process has been writing into the ledger for {BUSY_S:.0f} s.",
            where=where,
            fix=_WAITS,
        )
    if code in (*_DAMAGE, sqlite3.SQLITE_ERROR):  # the last: a table is missing
        return LedgerError("the ledger is damaged.", where=where, fix=_CORRUPT)
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return _closed(where)
    return LedgerError(f"the ledger cannot be used ({type(error).__name__}).", where=where)


def _unwritten(why: str, where: Path) -> OutputError:
    return OutputError(f"the ledger could not be written: {why}.", where=where, fix=_FULL)


def _disk_says(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()


def _closed(where: Path) -> LedgerError:
    return LedgerError(
        "the ledger cannot be opened here.",
        where=where,
        fix="Its folder must belong to the user who runs this, and be writable for them.",
    )


def primary_code(error: sqlite3.Error) -> int:
    """The main kind of an error of SQLite; 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file itself is broken."""
    return primary_code(error) in _DAMAGE


def is_full(error: sqlite3.Error) -> bool:
    """Whether an error means that the disk is full."""
    return primary_code(error) == sqlite3.SQLITE_FULL
