"""The files of an audit trail: where it ends, and what a crash may have left there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NO_LINE = "0" * 64
"""What the first line of all holds as the digest of the line before it."""

_TAIL_BYTES = 1 << 16
_ARCHIVE = re.compile(r"audit-(\d{12})\.jsonl")


@dataclass(slots=True)
class Tail:
    """Where the trail ends.

    Args:
        number: Number of the last line; 0 where there is none.
        digest: SHA-256 of the last line.
        size: Bytes of the file.
        inode: Which file.
    """

    number: int = 0
    digest: str = NO_LINE
    size: int = 0
    inode: int = -1


def archives(folder: Path) -> tuple[Path, ...]:
    """The closed files of a trail, oldest first.

    Args:
        folder: The state folder.
    """
    return tuple(sorted(path for path in folder.iterdir() if _ARCHIVE.fullmatch(path.name)))


def archive_name(number: int) -> str:
    """Name of a closed file, by the number of its last line."""
    return f"audit-{number:012d}.jsonl"


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Alone among the processes that write this trail."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def cut_half_line(path: Path) -> int:
    """Remove what follows the last line break; returns how many bytes that was."""
    with path.open("rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _TAIL_BYTES)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                end = start + place + 1
                break
            end = start
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
        return size - end


def last_line(path: Path) -> tuple[int, bytes | None]:
    """Number and bytes of the last line of a file; None where the file is empty.

    Where that line was damaged, it is counted from the first, so that no number is given twice;
    the check shows the damage.
    """
    first = last = None
    count = 0
    with path.open("rb") as file:
        for line in file:
            last = line
            first = first or line
            count += 1
    if first is None or last is None:
        return 0, None
    last = last.removesuffix(b"\n")
    number = _number_of(last)
    return (number if number is not None else (_number_of(first) or 1) + count - 1), last


def _number_of(line: bytes) -> int | None:
    try:
        number = json.loads(line)["n"]
    except (ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, int) else None


def archived_tail(folder: Path) -> Tail:
    """Where the newest closed file ends."""
    closed = archives(folder)
    if not closed:
        return Tail()
    number, last = last_line(closed[-1])
    return Tail() if last is None else Tail(number, sha256_of_line(last))


def sha256_of_line(line: bytes) -> str:
    """SHA-256 of a line without its line break, 64 hexadecimal digits."""
    return hashlib.sha256(line).hexdigest()


def write_whole(descriptor: int, text: bytes) -> None:
    """Write all of a text, in however many pieces the system takes it."""
    while text:
        text = text[os.write(descriptor, text) :]


def sync_folder(folder: Path) -> None:
    """Make sure that the names of the files in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
