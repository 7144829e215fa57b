"""Headers made of lines of text, as MetaImage and NRRD have them, read with care.

A header is a stranger's text: it is read up to a limit, and a file of voxels that it names must lie
beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ctdenoise.errors import StudyError

_MOST_HEADER_BYTES = 1 << 18


def header_lines(path: Path) -> tuple[list[str], list[int]]:
    """The first lines of a file, and the byte behind each, up to a limit; Latin-1.

    Args:
        path: The file with the header.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_HEADER_BYTES)
    lines, ends, start = [], [], 0
    while start < len(data):
        stop = data.find(b"\n", start)
        stop = len(data) if stop < 0 else stop
        lines.append(data[start:stop].rstrip(b"\r").decode("latin-1"))
        start = stop + 1
        ends.append(min(start, len(data)))
    return lines, ends


def numbers(text: str, count: int | None = None) -> list[float]:
    """Numbers with spaces between them.

    Args:
        text: Of the header.
        count: How many there must be; any number if None.

    Raises:
        ValueError: If they are not numbers, or not as many.
    """
    found = [float(word) for word in text.split()]
    if count is not None and len(found) != count:
        raise ValueError("the header holds another number of values than it should")
    return found


def whole_numbers(text: str) -> list[int]:
    """Whole numbers with spaces between them.

    Raises:
        ValueError: If they are something else.
    """
    return [int(word) for word in text.split()]


def file_beside(header: Path, name: str) -> Path:
    """The file of voxels that a header names.

    Args:
        header: The file with the header.
        name: What it calls the other file.

    Raises:
        StudyError: If it is more than one file, is missing, or lies in another folder, where a
            header from somewhere else must not reach.
    """
    if name.split()[:1] == ["LIST"] or "%" in name:
        raise StudyError(
            "its voxels are spread over several files.",
            where=header,
            fix="Save it as one file first.",
        )
    name = name.removeprefix("./")
    folder = header.resolve().parent
    found = (folder / name).resolve()
    if not name or Path(name).name != name or "\\" in name or found.parent != folder:
        raise StudyError(
            "it points to voxels outside its own folder.",
            where=header,
            fix="Put both files into one folder, and name the other by its bare name.",
        )
    if not found.is_file():
        raise StudyError("the file with its voxels is missing.", where=header)
    return found


def first_of(fields: dict[str, str], names: Sequence[str]) -> str | None:
    """The value of the first of several names that a header has.

    Args:
        fields: Of the header.
        names: In order of preference.
    """
    return next((fields[name] for name in names if name in fields), None)
