"""Copies of the ledger: made while it is in use, and what is put aside when one takes its place."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from ctdenoise.jobs.ledger_sqlite import LEDGER_FILE, connected

COPIES_FOLDER: Final = "backup"
"""Folder with the copies, newest first: `ledger.sqlite`, `ledger.1.sqlite`, ..."""

DAMAGED_FOLDER: Final = "damaged"
"""Folder with what was damaged; nothing in it is ever overwritten."""

COPIES_KEPT: Final = 3
"""How many copies there are."""

COMPANIONS: Final = ("", "-wal", "-shm")
"""What is appended to the name of a database by SQLite for its own files."""

_UNFINISHED: Final = ".unfinished"


def copies_of(folder: Path) -> list[Path]:
    """The copies of a ledger that exist, newest first.

    Args:
        folder: Where the ledger lies.
    """
    names = (copy_path(folder, age) for age in range(COPIES_KEPT))
    return [path for path in names if path.is_file()]


def copy_path(folder: Path, age: int) -> Path:
    """Where a copy lies; 0 is the newest."""
    name = Path(LEDGER_FILE)
    number = f".{age}" if age else ""
    return folder / COPIES_FOLDER / f"{name.stem}{number}{name.suffix}"


def make_copy(folder: Path) -> Path:
    """Copy a ledger, in use or not; the older copies move one place up.

    The new copy is whole and on the disk before it takes the place of another.

    Args:
        folder: Where the ledger lies.

    Returns:
        The copy.
    """
    target = copy_path(folder, 0)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    with staged(target.with_name(target.name + _UNFINISHED)) as stage:
        with (
            closing(connected(folder / LEDGER_FILE, read_only=True)) as source,
            closing(sqlite3.connect(stage, isolation_level=None)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        synced(stage)
        for age in range(COPIES_KEPT - 1, 0, -1):
            with suppress(FileNotFoundError):
                copy_path(folder, age - 1).replace(copy_path(folder, age))
        stage.replace(target)
    synced(target.parent)
    return target


def put_back(copy: Path, folder: Path) -> Path:
    """Put a copy in the place of a damaged ledger, which is set aside.

    Args:
        copy: A copy that was found to be whole; it stays.
        folder: Where the ledger lies.

    Returns:
        Where the damaged one lies now.
    """
    ledger = folder / LEDGER_FILE
    with staged(ledger.with_name(f".{LEDGER_FILE}{_UNFINISHED}")) as stage:
        stage.write_bytes(copy.read_bytes())
        synced(stage)
        aside = set_aside(folder)
        stage.replace(ledger)
    synced(folder)
    return aside


@contextmanager
def staged(stage: Path) -> Iterator[Path]:
    """A new private file to be moved to its place; it vanishes if that is not reached."""
    stage.unlink(missing_ok=True)
    try:
        private_file(stage)
        yield stage
    finally:
        for ending in (*COMPANIONS, "-journal"):
            stage.with_name(stage.name + ending).unlink(missing_ok=True)


def set_aside(folder: Path) -> Path:
    """Move the files of a damaged ledger into a new folder below `damaged/`.

    Args:
        folder: Where the ledger lies.
    """
    aside = _new_folder(folder / DAMAGED_FOLDER)
    for ending in COMPANIONS:
        with suppress(FileNotFoundError):
            (folder / (LEDGER_FILE + ending)).rename(aside / (LEDGER_FILE + ending))
    synced(aside)
    synced(folder)
    return aside


def _new_folder(parent: Path) -> Path:
    parent.mkdir(mode=0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1
    while True:
        try:
            folder = parent / f"{stamp}-{number}"
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return folder


def private_file(path: Path) -> None:
    """Make a new empty file that only its owner may read.

    Raises:
        FileExistsError: If it is there.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def synced(path: Path) -> None:
    """Have a file or folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
