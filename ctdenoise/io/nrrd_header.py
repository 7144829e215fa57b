"""NRRD headers (.nrrd, .nhdr), as teem's definition of the format has them.

What has no patient frame of the three that say which way its axes point is refused; RAS and LAS are
turned into LPS.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import StudyError
from ctdenoise.io.finding import warning
from ctdenoise.io.image_header import (
    ImageHeader,
    Packing,
    StoredImage,
    header_on_grid,
    size_problems,
    three_sizes,
)
from ctdenoise.io.text_header import file_beside, header_lines, numbers, whole_numbers

_TYPES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPE_OF = {name: code for code, names in _TYPES.items() for name in names.split("|")}
_SIGNS = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
}
_SHORT_SPACES = {
    "lps": "left-posterior-superior",
    "ras": "right-anterior-superior",
    "las": "left-anterior-superior",
}
_MM_PER_UNIT = {"": 1.0, "mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
_MAGIC = re.compile(r"NRRD000[1-5]")
_VECTOR = re.compile(r"\(([^()]*)\)|none")
_SYNONYMS = {
    "datafile": "data file",
    "byteskip": "byte skip",
    "lineskip": "line skip",
    "axismins": "axis mins",
}
_MOST_SKIPPED_LINES = 10_000


def is_nrrd(path: Path) -> bool:
    """Whether a file is NRRD by its name: .nrrd or .nhdr."""
    return path.suffix.lower() in (".nrrd", ".nhdr")


def nrrd_header(path: Path) -> ImageHeader:
    """Grid, problems and notes of a NRRD.

    Args:
        path: A .nrrd or .nhdr file.

    Raises:
        StudyError: If its voxels cannot be reached.
        ValueError, KeyError: If it is damaged.
    """
    fields, end = _fields(path)
    sizes = whole_numbers(fields["sizes"])
    if len(sizes) != whole_numbers(fields["dimension"])[0] or len(sizes) < 2:
        raise ValueError("sizes do not fit dimension")
    short = three_sizes(sizes)
    problems = _problems(fields)
    if not problems:
        problems = size_problems(short, np.dtype(_TYPE_OF[fields["type"].lower()]))
    if problems:
        return ImageHeader("nrrd", None, problems=tuple(problems))
    stored = _stored(path, fields, end, (short[2], short[1], short[0]))
    notes = []
    if not fields.get("space") or "space directions" not in fields:
        text = "it says nothing of its orientation, which is a guess"
        notes.append(warning("orientation-guessed", text))
    return header_on_grid("nrrd", stored, _affine(fields, len(sizes)), notes)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields by name, and the byte behind the header."""
    lines, ends = header_lines(path)
    if not lines or not _MAGIC.fullmatch(lines[0]):
        raise ValueError("the file does not begin as NRRD")
    fields: dict[str, str] = {}
    for line, end in zip(lines[1:], ends[1:], strict=True):
        if not line:
            return fields, end
        name, sign, value = line.partition(":")
        if line.startswith("#") or not sign or value.startswith("="):
            continue  # a comment, or a key of somebody's own
        name = name.strip().lower()
        fields[_SYNONYMS.get(name, name)] = value.strip()
    return fields, ends[-1]


def _problems(fields: dict[str, str]) -> list[str]:
    problems = []
    name = fields["type"].lower()
    if name not in _TYPE_OF:
        problems.append("the type of its voxels is unknown")
    elif _TYPE_OF[name][1] != "1" and fields.get("endian") not in ("little", "big"):
        problems.append("it does not say the byte order of its voxels")
    if fields["encoding"].lower() not in ("raw", "gzip", "gz"):
        problems.append("its voxels are neither raw nor gzip; save it as one of them")
    kinds = fields.get("kinds", "").lower().split()
    vectors = set(kinds) - {"domain", "space", "time", "???", "none"}
    if vectors or "none" in fields.get("space directions", ""):
        problems.append("its voxels are vectors or colours")
    space = _space(fields)
    if space and space not in _SIGNS:
        problems.append("its space is not one that tells left from right and front from back")
    if any(unit not in _MM_PER_UNIT for unit in _units(fields)):
        problems.append("it is measured in units other than lengths")
    return problems


def _space(fields: dict[str, str]) -> str:
    space = fields.get("space", "").lower()
    return _SHORT_SPACES.get(space, space)


def _units(fields: dict[str, str]) -> list[str]:
    found = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    return [unit.lower() for unit in found]


def _stored(
    path: Path, fields: dict[str, str], end: int, shape: tuple[int, int, int]
) -> StoredImage:
    code = _TYPE_OF[fields["type"].lower()]
    dtype = np.dtype((">" if fields.get("endian") == "big" else "<") + code)
    packing: Packing = "none" if fields["encoding"].lower() == "raw" else "gzip"
    name = fields.get("data file")
    if name is None and path.suffix.lower() == ".nhdr":
        raise StudyError("it names no file of voxels.", where=path)
    data = path if name is None else file_beside(path, name)
    start = _behind_lines(
        data, 0 if name is not None else end, whole_numbers(fields.get("line skip", "0"))[0]
    )
    skip = whole_numbers(fields.get("byte skip", "0"))[0]
    if packing == "gzip":
        if skip < 0:
            raise ValueError("a byte skip of a compressed file is not negative")
        return StoredImage(data, shape, dtype, start=start, skip=skip, packing=packing)
    if skip == -1:  # the voxels are what the file ends with
        start = data.stat().st_size - int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    else:
        start += skip
    if start < 0:
        raise StudyError("the file with its voxels is too short.", where=path)
    return StoredImage(data, shape, dtype, start=start)


def _behind_lines(path: Path, start: int, count: int) -> int:
    """The byte behind some lines of a file."""
    if not 0 <= count <= _MOST_SKIPPED_LINES:
        raise ValueError("an absurd number of lines to skip")
    if not count:
        return start
    with path.open("rb") as file:
        file.seek(start)
        for _ in range(count):
            file.readline(1 << 16)
        return file.tell()


def _affine(fields: dict[str, str], count: int) -> DoubleArray:
    """Index (x, y, z) to LPS mm; axes of one voxel behind the third are left out."""
    affine = np.eye(4)
    space = _space(fields)
    if space and "space directions" in fields:
        vectors = [_vector(text) for text in _VECTOR.findall(fields["space directions"])]
        if len(vectors) != count:
            raise ValueError("space directions do not fit dimension")
        for axis, vector in enumerate(vectors[:3]):
            affine[:3, axis] = vector
        affine[:3, 3] = _vector(fields.get("space origin", "(0,0,0)").strip("()"))
        if count == 2:
            normal = np.cross(affine[:3, 0], affine[:3, 1])
            length = np.linalg.norm(normal)
            affine[:3, 2] = normal / length if length else 0.0
        units = [_MM_PER_UNIT[unit] for unit in _units(fields)] or [1.0] * 3
        scale = np.array(units)[:, None] * np.array(_SIGNS[space])[:, None]
        affine[:3] *= scale
        return affine
    spacings = numbers(fields.get("spacings", "1 " * count), count)
    for axis, spacing in enumerate(spacings[:3]):
        affine[axis, axis] = 1.0 if np.isnan(spacing) else abs(spacing)
    return affine


def _vector(text: str) -> DoubleArray:
    return np.array(numbers(text.replace(",", " "), 3), dtype=np.float64)
