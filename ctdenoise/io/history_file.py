"""A file that grows by one line of JSON for every scan."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.errors import InputError, OutputError


def read_history(path: Path) -> list[dict[str, JsonValue]]:
    """The entries of a history, oldest first; none where there is no file yet.

    Args:
        path: The file.

    Raises:
        InputError: If a line is no entry.
    """
    if not path.exists():
        return []
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise _damaged(path, number) from error
        if not isinstance(entry, dict):
            raise _damaged(path, number)
        entries.append(entry)
    return entries


def _damaged(path: Path, number: int) -> InputError:
    return InputError(
        f"line {number} of the history is no entry.",
        where=path,
        fix="Put the file back from a copy, or remove the line.",
    )


def append_to_history(path: Path, entry: dict[str, JsonValue]) -> None:
    """Add an entry: one write at the end of the file, which is whole or absent.

    Args:
        path: The file; made where there is none.
        entry: Plain JSON.

    Raises:
        OutputError: If it cannot be written.
    """
    line = canonical_json(entry) + "\n"
    try:
        torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, (("\n" if torn else "") + line).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise OutputError(
            "the history could not be written; the scan was judged, but not added to it.",
            where=path,
            fix="Make the file writable, then run the command again with another --out.",
        ) from error
