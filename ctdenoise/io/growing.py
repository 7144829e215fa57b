"""Results that grow block by block, and the journal that says how much of them is whole.

A run that was killed leaves its staged folder behind. The journal names it (what was being made)
and has a line for each finished block: how long every part was then, and the SHA-256 of that much
of it. A run that goes on believes only what still has that digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ctdenoise.core.provenance import JsonValue, canonical_json

JOURNAL_FILE = ".journal"
"""Name of the journal in a staged folder; it is removed when the result is whole."""

_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a part had grown at the end of a block.

    Args:
        length: Bytes of a file, or files of a series.
        sha256: Of everything up to there.
    """

    length: int
    sha256: str


class Growing(Protocol):
    """A part of a result that only ever grows."""

    name: str
    """What the journal calls it."""

    def mark(self) -> Mark:
        """How far it has grown; everything up to there is handed to the disk."""
        ...

    def whole_marks(self, marks: Sequence[Mark]) -> int:
        """How many of the marks, from the first, what is on disk still agrees with."""
        ...

    def cut_to(self, mark: Mark | None) -> None:
        """Forget everything after a mark that it agrees with; everything, without one."""
        ...


class GrowingFile:
    """A file that is written from the front, its SHA-256 computed on the way.

    Args:
        path: The file; one that exists is to be cut to a mark before it is written to.
        head: Its first bytes.
    """

    def __init__(self, path: Path, head: bytes = b"") -> None:
        self.name = path.name
        self._head = head
        self._file = path.open("r+b" if path.exists() else "x+b")
        self._checksum = hashlib.sha256()
        self._length = 0
        if self._file.seek(0, 2) == 0:
            self.write(head)

    def write(self, data: bytes | memoryview) -> None:
        """Append some bytes."""
        self._file.write(data)
        self._checksum.update(data)
        self._length += len(data)

    def mark(self) -> Mark:
        """See `Growing`."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return Mark(self._length, self._checksum.hexdigest())

    def whole_marks(self, marks: Sequence[Mark]) -> int:
        """See `Growing`."""
        self._file.seek(0)
        checksum, done = hashlib.sha256(), 0
        for number, mark in enumerate(marks):
            while done < mark.length:
                chunk = self._file.read(min(_CHUNK_BYTES, mark.length - done))
                if not chunk:
                    return number
                checksum.update(chunk)
                done += len(chunk)
            if checksum.hexdigest() != mark.sha256:
                return number
        return len(marks)

    def cut_to(self, mark: Mark | None) -> None:
        """See `Growing`."""
        length = 0 if mark is None else mark.length
        self._file.seek(0)
        self._checksum, self._length = hashlib.sha256(), length
        left = length
        while left and (chunk := self._file.read(min(_CHUNK_BYTES, left))):
            self._checksum.update(chunk)
            left -= len(chunk)
        self._file.truncate(length)
        self._file.seek(length)
        if mark is None:
            self.write(self._head)

    def close(self) -> None:
        """Close the file, which keeps what was written."""
        self._file.close()


@dataclass(slots=True)
class Journal:
    """What a staged folder is to become, and which of its blocks are finished.

    Args:
        path: Its file.
        identity: What decides the result; equal identities, equal bytes.
        facts: What was decided when the run began and must stay, such as its moment.
        blocks: Slices that were finished at the end of each block, and the mark of every part.
    """

    path: Path
    identity: Mapping[str, JsonValue]
    facts: Mapping[str, JsonValue]
    blocks: list[tuple[int, dict[str, Mark]]] = field(default_factory=list)

    def begin(self) -> None:
        """Write it anew, with the blocks that it holds."""
        lines = [_line({"identity": self.identity, "facts": self.facts})]
        lines += [_block_line(slices, marks) for slices, marks in self.blocks]
        self.path.write_text("".join(lines), encoding="utf-8")

    def add(self, slices: int, parts: Sequence[Growing]) -> None:
        """Note that a block is finished, after its bytes have reached the disk.

        Args:
            slices: Slices that are finished in all.
            parts: Everything that grew.
        """
        marks = {part.name: part.mark() for part in parts}
        self.blocks.append((slices, marks))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_block_line(slices, marks))
            file.flush()
            os.fsync(file.fileno())

    def restore(self, parts: Sequence[Growing]) -> int:
        """Cut every part to the last block that all of them still hold whole.

        Args:
            parts: Everything that grew.

        Returns:
            How many slices are finished.
        """
        whole = len(self.blocks)
        for part in parts:
            marks = [block[part.name] for _, block in self.blocks[:whole]]
            whole = min(whole, part.whole_marks(marks))
        del self.blocks[whole:]
        for part in parts:
            part.cut_to(self.blocks[-1][1][part.name] if whole else None)
        self.begin()
        return self.blocks[-1][0] if whole else 0

    def remove(self) -> None:
        """Remove the file: the result is whole."""
        self.path.unlink()


def read_journal(folder: Path) -> Journal | None:
    """The journal of a staged folder; None where there is none that can be read.

    Args:
        folder: A folder that a killed run left.
    """
    path = folder / JOURNAL_FILE
    try:
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        record = json.loads(first)
        journal = Journal(path, record["identity"], record["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for line in rest:
        try:
            block = json.loads(line)
            marks = {name: Mark(*mark) for name, mark in block["marks"].items()}
            journal.blocks.append((int(block["slices"]), marks))
        except (ValueError, KeyError, TypeError):
            break  # the line that was being written when the run was killed
    return journal


def _block_line(slices: int, marks: Mapping[str, Mark]) -> str:
    listed: dict[str, Any] = {name: [mark.length, mark.sha256] for name, mark in marks.items()}
    return _line({"slices": slices, "marks": listed})


def _line(record: JsonValue) -> str:
    return canonical_json(record) + "\n"
