"""Many solids as arrays, so that hundreds of thousands can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray, IndexArray
from ctdenoise.errors import UsageError
from ctdenoise.phantoms.axes import Vector
from ctdenoise.phantoms.cones import Cone
from ctdenoise.phantoms.shapes import HalfSpace, Part, Quadric, Shape
from ctdenoise.phantoms.superquadric import Superquadric

QUADRIC, HALF_SPACE, SUPERQUADRIC = 0, 1, 2
"""Kinds of part, in the first column."""

KIND, CENTRE, ROWS, POWER, COLUMNS = 0, slice(1, 4), slice(4, 13), 13, 14
"""Columns of a part: its kind; centre or normal, mm; rows of M by rows, per mm (a missing row is
zero), or the offset of a half-space in the first; power of a superquadric."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedShapes:
    """Solids in painting order; a later one lies on an earlier one.

    Args:
        parts: One line for each part, [part, COLUMNS].
        first: Where the parts of each shape begin, and the end of the last, [shape + 1].
        low_mm: Lower corner of a box around each, [shape, 3]; may be infinite.
        high_mm: Upper corner, [shape, 3].
        hu: Hounsfield units, [shape].
        label: Number of the label, [shape]; 0 for background.
        texture_sd_hu: Standard deviation of the texture, [shape].
        field: Which texture field each takes, [shape].
        shift: By how many voxels its texture is shifted along z, y and x, [shape, 3].
    """

    parts: DoubleArray
    first: IndexArray
    low_mm: DoubleArray
    high_mm: DoubleArray
    hu: DoubleArray
    label: IndexArray
    texture_sd_hu: DoubleArray
    field: IndexArray
    shift: IndexArray

    def __len__(self) -> int:
        return len(self.hu)

    def parts_of(self, index: int) -> tuple[Part, ...]:
        """The parts of one of them."""
        lines = self.parts[self.first[index] : self.first[index + 1]].tolist()
        return tuple(_part(line) for line in lines)


def packed(
    shapes: Sequence[Shape],
    label_numbers: Mapping[str, int],
    *,
    shift: IndexArray | None = None,
) -> PackedShapes:
    """Shapes as arrays.

    Args:
        shapes: In painting order.
        label_numbers: Number of every label name.
        shift: By how many voxels the texture of each is shifted, [shape, 3]; None for none.

    Raises:
        UsageError: If one is a cone, or adds to what lies below it.
    """
    if any(shape.adds for shape in shapes):
        raise UsageError("Shapes that add are not drawn from the front; use `rasterise`.")
    lines = [_line(part) for shape in shapes for part in shape.parts]
    corners = [shape.bounds_mm() for shape in shapes]
    count = len(shapes)
    return PackedShapes(
        parts=np.array(lines),
        first=np.cumsum([0, *(len(shape.parts) for shape in shapes)]),
        low_mm=np.array([low for low, _ in corners]),
        high_mm=np.array([high for _, high in corners]),
        hu=np.array([shape.hu for shape in shapes]),
        label=np.array([label_numbers[shape.label] if shape.label else 0 for shape in shapes]),
        texture_sd_hu=np.array([shape.texture_sd_hu for shape in shapes]),
        field=np.zeros(count, dtype=np.intp),
        shift=np.zeros((count, 3), dtype=np.intp) if shift is None else shift,
    )


def _line(part: Part) -> DoubleArray:
    if isinstance(part, Cone):
        raise UsageError("Cones are not drawn from the front; draw them with `rasterise`.")
    line = np.zeros(COLUMNS)
    if isinstance(part, HalfSpace):
        line[KIND] = HALF_SPACE
        line[CENTRE] = part.normal
        line[ROWS.start] = part.offset_mm
        return line
    line[KIND] = SUPERQUADRIC if isinstance(part, Superquadric) else QUADRIC
    line[CENTRE] = part.centre_mm
    rows = np.array(part.rows).ravel()
    line[ROWS.start : ROWS.start + len(rows)] = rows
    line[POWER] = part.power if isinstance(part, Superquadric) else 2.0
    return line


def _part(line: list[float]) -> Part:
    first: Vector = (line[1], line[2], line[3])
    if line[KIND] == HALF_SPACE:
        return HalfSpace(first, line[ROWS.start])
    triples = (
        (line[4], line[5], line[6]),
        (line[7], line[8], line[9]),
        (line[10], line[11], line[12]),
    )
    rows: tuple[Vector, ...] = tuple(row for row in triples if any(row))
    if line[KIND] == SUPERQUADRIC:
        return Superquadric(first, rows, line[POWER])
    return Quadric(first, rows)
