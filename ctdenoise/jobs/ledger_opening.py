"""Opening a ledger: made where there is none, restored where damaged, never silently emptied."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ctdenoise.errors import LedgerError
from ctdenoise.jobs import ledger_copies as copies
from ctdenoise.jobs.ledger_schema import APPLICATION_ID, TABLES, VERSION, migrate, version_of
from ctdenoise.jobs.ledger_sqlite import LEDGER_FILE, connected, is_damage, told_in_words

IN_USE_FILE: Final = "ledger.in-use"
"""There while somebody writes: if the -wal file is gone then, committed moves are gone."""

_HEADER_BYTES: Final = 100


def prepare(folder: Path, *, create: bool, restore: bool) -> str:
    """See to it that there is a whole ledger of this version in a folder.

    Args:
        folder: Where it lies.
        create: Whether to make one where there is none.
        restore: Whether a damaged one may be replaced by its last good copy.

    Returns:
        What was done about damage, in a sentence; empty where there was none.

    Raises:
        LedgerError: If there is none, or one that cannot be used.
    """
    with _alone(folder):
        said = ""
        if _is_absent(folder):
            if not create:
                raise none_here(folder)
            _make(folder)
        elif restore:
            said = _repaired(folder)
        else:
            require_readable(folder)
        _bring_up_to_date(folder)
        return said


def none_here(folder: Path) -> LedgerError:
    """What to say where there is no ledger."""
    return LedgerError(
        "there is no ledger here.",
        where=folder,
        fix="Give the state folder of `ctdenoise serve` or the output folder of `ctdenoise batch`.",
    )


def require_readable(folder: Path) -> None:
    """Refuse what a reader cannot use; changes nothing.

    Raises:
        LedgerError: If there is no ledger, or one that is damaged or of another version.
    """
    if _is_absent(folder):
        raise none_here(folder)
    damage = _damage_of_header(folder / LEDGER_FILE, read_only=True)
    if damage:
        raise LedgerError(
            f"the ledger is damaged ({damage}).", where=folder / LEDGER_FILE, fix=_SERVE
        )


def require_version(database: sqlite3.Connection, path: Path, *, exactly: bool) -> None:
    """Refuse a ledger of another version.

    Args:
        database: The ledger.
        path: Where it lies.
        exactly: Whether an older one is refused as well.
    """
    version = version_of(database)
    if version > VERSION:
        raise LedgerError(
            f"the ledger was made by a newer ctdenoise (version {version} of its tables; this one "
            f"knows {VERSION}).",
            where=path,
            fix="Install that version of ctdenoise again. Nothing was changed.",
        )
    if exactly and version < VERSION:
        raise LedgerError(
            f"the ledger is of an older ctdenoise (version {version} of its tables).",
            where=path,
            fix="Start `ctdenoise serve` or `batch` on this folder once: it is then brought up to "
            "date, after a copy was made.",
        )


def damage_of(folder: Path) -> str:
    """What is broken about a ledger; empty if nothing is.

    Raises:
        LedgerError: If it is the database of another program, or of a newer version.
    """
    path = folder / LEDGER_FILE
    return _damage_of_header(path, read_only=False) or _damage_inside(path)


def _damage_of_header(path: Path, *, read_only: bool, immutable: bool = False) -> str:
    """What is broken about the beginning of a ledger; empty if nothing is.

    The file is read through SQLite alone. A file that is opened otherwise and closed takes all of
    this process's locks on it away (POSIX), those of other connections of SQLite as well; another
    process would then take itself for the last user and remove the -wal file under our hands
    (sqlite.org/howtocorrupt.html, 2.2).
    """
    if not path.exists():
        return "it is missing"
    if path.stat().st_size < _HEADER_BYTES:
        return "it is cut off"
    try:
        with (
            told_in_words_unless_damaged(path),
            closing(connected(path, read_only=read_only, immutable=immutable)) as database,
        ):
            application = database.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.DatabaseError:
        return "its header is destroyed"
    if application != APPLICATION_ID:
        raise LedgerError(
            "this is the database of another program, not a ledger of ctdenoise.",
            where=path,
            fix="Move it elsewhere, or give another folder. Nothing was changed.",
        )
    return ""


def _damage_inside(path: Path, *, immutable: bool = False) -> str:
    try:
        with (
            told_in_words_unless_damaged(path),
            closing(connected(path, read_only=immutable, immutable=immutable)) as database,
        ):
            require_version(database, path, exactly=False)
            found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as error:
        return str(error)
    if found != "ok":
        return found.splitlines()[-1].lower()
    return "" if names >= TABLES else "tables are missing"


@contextmanager
def told_in_words_unless_damaged(path: Path) -> Iterator[None]:
    """As `told_in_words`, but damage passes as SQLite raises it."""
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise
        with told_in_words(path):
            raise


def _is_absent(folder: Path) -> bool:
    """Whether there is no ledger and there was none."""
    wal = folder / f"{LEDGER_FILE}-wal"
    had = wal.exists() and wal.stat().st_size > 0
    return not ((folder / LEDGER_FILE).exists() or had or copies.copies_of(folder))


def _make(folder: Path) -> None:
    """Make a new ledger; it appears whole."""
    ledger = folder / LEDGER_FILE
    with told_in_words(ledger), copies.staged(folder / f".{LEDGER_FILE}.new") as stage:
        with closing(sqlite3.connect(stage, isolation_level=None)) as database:
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(database)
            database.execute("PRAGMA journal_mode = WAL")
        copies.synced(stage)
        stage.rename(ledger)
    copies.synced(folder)


def _bring_up_to_date(folder: Path) -> None:
    path = folder / LEDGER_FILE
    with told_in_words(path), closing(connected(path)) as database:
        require_version(database, path, exactly=False)
        if version_of(database) < VERSION:
            copies.make_copy(folder)
            migrate(database)
        database.execute("PRAGMA journal_mode = WAL")  # a restored copy has none


def _restored(folder: Path, damage: str) -> str:
    path = folder / LEDGER_FILE
    for copy in copies.copies_of(folder):
        if not _is_whole(copy):
            continue
        made = _stamp(copy.stat().st_mtime)
        aside = copies.put_back(copy, folder)
        return (
            f"The ledger was damaged ({damage}) and was restored from its copy of {made}. What "
            f"happened after that is not in it. The damaged one is in {aside}."
        )
    raise LedgerError(
        f"the ledger is damaged ({damage}), and there is no good copy of it.",
        where=path,
        fix=f"Move {LEDGER_FILE} and what begins with that name out of the folder and start again: "
        "a new ledger is made, and studies that are still in the folder are found again. What was "
        "done before is then done once more, with the same result.",
    )


def _is_whole(copy: Path) -> bool:
    try:
        damage = _damage_of_header(copy, read_only=True, immutable=True)
        return not (damage or _damage_inside(copy, immutable=True))
    except (LedgerError, OSError):
        return False


def _repaired(folder: Path) -> str:
    """Restore a ledger if it is damaged; says what was done."""
    path = folder / LEDGER_FILE
    in_use = (folder / IN_USE_FILE).exists()
    is_cut_short = in_use and not path.with_name(path.name + "-wal").exists()
    damage = damage_of(folder)  # SQLite takes the -wal file in meanwhile
    if damage:
        return _restored(folder, damage)
    if not is_cut_short:
        return ""
    latest = copies.copies_of(folder)[:1]
    if latest and _is_whole(latest[0]) and _last_change(latest[0]) > _last_change(path):
        return _restored(folder, "its file of the latest moves is gone")
    return (
        "The file with the latest moves of the ledger (-wal) is gone, and with it perhaps the last "
        "moves before ctdenoise was ended. The ledger is whole otherwise."
    )


def _last_change(path: Path) -> float:
    with told_in_words(path), closing(connected(path, read_only=True, immutable=True)) as database:
        return float(database.execute("SELECT coalesce(max(changed), 0) FROM job").fetchone()[0])


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make, check or restore a ledger."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise none_here(folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_SERVE: Final = (
    "Start `ctdenoise serve` or `batch` on this folder: it restores the ledger from its last copy."
)
