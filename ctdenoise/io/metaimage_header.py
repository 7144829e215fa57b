"""MetaImage headers (.mha, .mhd): ITK's own format, LPS and millimetres.

Keys, their synonyms and the types are those of the MetaIO documentation. Rows of TransformMatrix
are the directions of the axes, so it is read transposed.
"""

from __future__ import annotations

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
from ctdenoise.io.text_header import file_beside, first_of, header_lines, numbers, whole_numbers

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""Types of voxels that have the same size everywhere (MET_LONG has not)."""

_ORIGIN = ("Offset", "Position", "Origin")
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
_SPACING = ("ElementSpacing", "ElementSize")
_MSB = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def is_metaimage(path: Path) -> bool:
    """Whether a file is a MetaImage by its name: .mha or .mhd."""
    return path.suffix.lower() in (".mha", ".mhd")


def metaimage_header(path: Path) -> ImageHeader:
    """Grid, problems and notes of a MetaImage.

    Args:
        path: A .mha or .mhd file.

    Raises:
        StudyError: If its voxels cannot be reached.
        ValueError, KeyError: If it is damaged.
    """
    fields, end = _fields(path)
    count = whole_numbers(fields["NDims"])[0]
    sizes = whole_numbers(fields["DimSize"])
    if len(sizes) != count or count < 2:
        raise ValueError("DimSize does not fit NDims")
    short = three_sizes(sizes)
    problems = _problems(fields)
    if not problems:
        problems = size_problems(short, _dtype(fields))
    if problems:
        return ImageHeader("mha", None, problems=tuple(problems))
    stored = _stored(path, fields, end, (short[2], short[1], short[0]))
    notes = []
    if first_of(fields, _DIRECTIONS) is None:
        text = "it says nothing of its orientation, which is a guess"
        notes.append(warning("orientation-guessed", text))
    return header_on_grid("mha", stored, _affine(fields, count), notes)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Keys and values, and the byte behind the header."""
    fields: dict[str, str] = {}
    for line, end in zip(*header_lines(path), strict=True):
        key, sign, value = line.partition("=")
        if not sign:
            if line.strip():
                break
            continue
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields, end
    raise ValueError("the header has no ElementDataFile")


def _is_true(fields: dict[str, str], names: tuple[str, ...]) -> bool:
    return (first_of(fields, names) or "False")[:1] in ("T", "t", "1")


def _dtype(fields: dict[str, str]) -> np.dtype[np.number]:
    order = ">" if _is_true(fields, _MSB) else "<"
    return np.dtype(order + TYPES[fields["ElementType"]])


def _problems(fields: dict[str, str]) -> list[str]:
    problems = []
    if fields["ElementType"] not in TYPES:
        problems.append("the type of its voxels is not one that every machine reads alike")
    if whole_numbers(fields.get("ElementNumberOfChannels", "1")) != [1]:
        problems.append("its voxels are vectors or colours")
    if not _is_true(fields, ("BinaryData",)) and "BinaryData" in fields:
        problems.append("its voxels are written as text; save it as binary")
    scale = [
        numbers(fields.get(f"ElementToIntensityFunction{name}", default), 1)[0]
        for name, default in (("Slope", "1"), ("Offset", "0"))
    ]
    if scale != [1.0, 0.0]:
        problems.append("it has an ElementToIntensityFunction, which other readers leave out")
    return problems


def _stored(
    path: Path, fields: dict[str, str], end: int, shape: tuple[int, int, int]
) -> StoredImage:
    packing: Packing = "zlib" if _is_true(fields, ("CompressedData",)) else "none"
    name, dtype = fields["ElementDataFile"], _dtype(fields)
    if name.upper() == "LOCAL":
        return StoredImage(path, shape, dtype, start=end, packing=packing)
    data = file_beside(path, name)
    start = whole_numbers(fields.get("HeaderSize", "0"))[0]
    if start == -1 and packing == "none":  # the voxels are what the file ends with
        start = data.stat().st_size - int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if start < 0:
        raise StudyError("the file with its voxels is too short.", where=path)
    return StoredImage(data, shape, dtype, start=start, packing=packing)


def _affine(fields: dict[str, str], count: int) -> DoubleArray:
    spacing = np.array(numbers(first_of(fields, _SPACING) or "1 " * count, count))
    origin = np.array(numbers(first_of(fields, _ORIGIN) or "0 " * count, count))
    unit = " ".join(str(value) for value in np.eye(count).ravel())
    axes = np.array(numbers(first_of(fields, _DIRECTIONS) or unit, count * count))
    directions = np.eye(max(3, count))
    directions[:count, :count] = axes.reshape(count, count).T
    used = min(3, count)
    affine = np.eye(4)
    affine[:3, :3] = directions[:3, :3]
    affine[:3, :used] *= spacing[:used]
    affine[:used, 3] = origin[:used]
    return affine
