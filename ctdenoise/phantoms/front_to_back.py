"""Very many solids as voxels: from the front to the back, and nothing that is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ctdenoise.core.arrays import (
    BoolArray,
    DoubleArray,
    FloatArray,
    HuArray,
    IndexArray,
    LabelArray,
)
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.units import AIR_HU
from ctdenoise.phantoms.line_chords import compiled, line_chord
from ctdenoise.phantoms.packed import PackedShapes

_LINES_PER_PIXEL = 3
"""Scan lines through a pixel."""

_PLANE_DISTANCE_MM = 1.0
"""Planes through the thickness of a slice lie at most this far apart ..."""

_MOST_PLANES = 5
"""... but there are no more of them than this."""

_HIDDEN = 1e-6
"""A voxel that shows less of what lies below than this shows nothing."""

_WHOLE = 1e-9
"""A share this near to 0 or 1 is 0 or 1 (what is left is rounding)."""


@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """What was drawn.

    Args:
        hu: Hounsfield units, float32 [z, y, x]; those of the ground where there is nothing.
        labels: Number of the label of each voxel, uint8 [z, y, x].
        seen: Which shapes show anywhere, [shape].
    """

    hu: HuArray
    labels: LabelArray
    seen: BoolArray


def paint(
    shapes: PackedShapes,
    geometry: Geometry,
    *,
    slice_thickness_mm: float,
    fields: FloatArray | None = None,
    slice_numbers: tuple[int, ...] = (),
    ground_hu: float = AIR_HU,
    ground_label: int = 0,
) -> Painting:
    """Draw shapes onto an axial grid, as `raster.rasterise` does, but from the front.

    The share of a voxel that a shape fills is exact along x and sampled along y (3 lines in a
    pixel) and over the slice thickness (planes at most 1 mm apart, up to 5). What a shape shows is
    its share times what later shapes leave open. A voxel gets the label of the last shape that
    fills at least half of it. Every slice is drawn for itself: it does not depend on the others.

    Args:
        shapes: Painted in order; a later one lies on an earlier one.
        geometry: An axial grid, rows along x and columns along y.
        slice_thickness_mm: What a slice averages over along z.
        fields: Periodic textures of standard deviation 1, [field, z, y, x], on the pixels of the
            grid; None where no shape has a texture.
        slice_numbers: Number of each slice in the texture fields; 0, 1, ... if empty.
        ground_hu: Hounsfield units of what shows where there is nothing.
        ground_label: Number of its label.
    """
    hu = np.full(geometry.shape, ground_hu, dtype=np.float32)
    labels = np.full(geometry.shape, ground_label, dtype=np.uint8)
    seen = np.zeros(len(shapes), dtype=np.bool_)
    if len(shapes) == 0:
        return Painting(hu, labels, seen)
    planes = int(np.clip(np.ceil(slice_thickness_mm / _PLANE_DISTANCE_MM), 1, _MOST_PLANES))
    heights = slice_thickness_mm * ((np.arange(planes) + 0.5) / planes - 0.5)
    numbers = slice_numbers or tuple(range(geometry.slices))
    arrays = _Arrays(
        shapes.parts,
        shapes.first,
        shapes.low_mm,
        shapes.high_mm,
        shapes.hu,
        shapes.label,
        np.zeros(len(shapes)) if fields is None else shapes.texture_sd_hu,
        shapes.field,
        shapes.shift,
        np.zeros((1, 1, 1, 1), np.float32) if fields is None else fields,
    )
    half_mm = slice_thickness_mm / 2
    for index, z_mm in enumerate(geometry.positions_mm[:, 2]):
        touches = (shapes.low_mm[:, 2] <= z_mm + half_mm) & (shapes.high_mm[:, 2] >= z_mm - half_mm)
        canvas = _canvas(hu[index], labels[index], geometry, numbers[index], ground_hu)
        _paint_slice(np.flatnonzero(touches)[::-1], arrays, canvas, z_mm + heights, seen)
    return Painting(hu, labels, seen)


class _Arrays(NamedTuple):
    """`PackedShapes` and the texture fields, for the compiled functions."""

    parts: DoubleArray
    first: IndexArray
    low_mm: DoubleArray
    high_mm: DoubleArray
    hu: DoubleArray
    label: IndexArray
    texture_sd_hu: DoubleArray
    field: IndexArray
    shift: IndexArray
    fields: FloatArray


class _Canvas(NamedTuple):
    """A slice while it is drawn.

    Args:
        hu: Hounsfield units [y, x], those of the ground where nothing is drawn yet.
        labels: Labels [y, x].
        labelled: Which voxels have their label, [y, x].
        clear: How much of each voxel still shows what lies below, [y, x].
        open_in_row: How many voxels of each row still do, [y].
        rise: Room for the shares of a row, [x + 2].
        x0: Centre of the first column, mm.
        y0: Centre of the first row, mm.
        dx: Distance of columns, mm.
        dy: Distance of rows, mm.
        number: Number of the slice in the texture fields.
        ground_hu: Hounsfield units of what shows where there is nothing.
    """

    hu: FloatArray
    labels: LabelArray
    labelled: BoolArray
    clear: DoubleArray
    open_in_row: IndexArray
    rise: DoubleArray
    x0: float
    y0: float
    dx: float
    dy: float
    number: int
    ground_hu: float


def _canvas(
    hu: FloatArray, labels: LabelArray, geometry: Geometry, number: int, ground_hu: float
) -> _Canvas:
    rows, columns = hu.shape
    return _Canvas(
        hu,
        labels,
        np.zeros((rows, columns), dtype=np.bool_),
        np.ones((rows, columns)),
        np.full(rows, columns, dtype=np.intp),
        np.zeros(columns + 2),
        float(geometry.positions_mm[0, 0]),
        float(geometry.positions_mm[0, 1]),
        geometry.pixel_spacing_mm[1],
        geometry.pixel_spacing_mm[0],
        number,
        ground_hu,
    )


@compiled
def _paint_slice(
    order: IndexArray, shapes: _Arrays, canvas: _Canvas, heights: DoubleArray, seen: BoolArray
) -> None:
    """Draw shapes on a slice, in the order given, front first."""
    rows, columns = canvas.hu.shape
    for shape in order:
        left, right = _span(
            shapes.low_mm[shape, 0], shapes.high_mm[shape, 0], canvas.x0, canvas.dx, columns
        )
        top, bottom = _span(
            shapes.low_mm[shape, 1], shapes.high_mm[shape, 1], canvas.y0, canvas.dy, rows
        )
        if left >= right:
            continue
        parts = shapes.parts[shapes.first[shape] : shapes.first[shape + 1]]
        for row in range(top, bottom):
            if canvas.open_in_row[row] == 0:
                continue
            begin, end = _open_span(canvas.clear[row], left, right)
            if begin < end and _sum_chords(parts, canvas, row, begin, end, heights):
                weight = 1.0 / (_LINES_PER_PIXEL * len(heights))
                if _lay(shapes, shape, canvas, row, begin, end, weight):
                    seen[shape] = True


@compiled
def _span(low: float, high: float, first: float, spacing: float, count: int) -> tuple[int, int]:
    """Indices of the pixels between two positions, one more on each side."""
    start = np.floor((low - first) / spacing - 0.5)
    stop = np.ceil((high - first) / spacing + 0.5) + 1
    return int(min(max(start, 0.0), count)), int(min(max(stop, 0.0), count))


@compiled
def _open_span(clear: DoubleArray, left: int, right: int) -> tuple[int, int]:
    """First and last but one of the columns in [left, right) that still show what lies below."""
    while left < right and clear[left] == 0.0:
        left += 1
    while right > left and clear[right - 1] == 0.0:
        right -= 1
    return left, right


@compiled
def _sum_chords(
    parts: DoubleArray, canvas: _Canvas, row: int, begin: int, end: int, heights: DoubleArray
) -> bool:
    """Where the scan lines of a row enter and leave a shape, as steps in `canvas.rise`."""
    width = float(end - begin)
    canvas.rise[: end - begin + 2] = 0.0
    edge = canvas.x0 + canvas.dx * (begin - 0.5)
    is_hit = False
    for plane in range(len(heights)):
        for line in range(_LINES_PER_PIXEL):
            y = canvas.y0 + canvas.dy * (row + (line + 0.5) / _LINES_PER_PIXEL - 0.5)
            start, stop = line_chord(parts, y, heights[plane])
            if not stop > start:
                continue
            start = min(max((start - edge) / canvas.dx, 0.0), width)
            stop = min(max((stop - edge) / canvas.dx, 0.0), width)
            if stop > start:
                is_hit = True
                whole = int(start)
                canvas.rise[whole] += 1.0 - (start - whole)
                canvas.rise[whole + 1] += start - whole
                whole = int(stop)
                canvas.rise[whole] -= 1.0 - (stop - whole)
                canvas.rise[whole + 1] -= stop - whole
    return is_hit


@compiled
def _lay(
    shapes: _Arrays, shape: int, canvas: _Canvas, row: int, begin: int, end: int, weight: float
) -> bool:
    """Lay a shape below what is drawn in a row; whether it shows."""
    height, shows = 0.0, False
    for column in range(begin, end):
        height += canvas.rise[column - begin]
        share = height * weight
        if share < _WHOLE:
            continue
        if share > 1.0 - _WHOLE:
            share = 1.0
        if share >= 0.5 and not canvas.labelled[row, column]:
            canvas.labelled[row, column] = True
            canvas.labels[row, column] = shapes.label[shape]
        through = canvas.clear[row, column]
        if through == 0.0:
            continue
        value = shapes.hu[shape] + _texture(shapes, shape, canvas.number, row, column)
        canvas.hu[row, column] += share * through * (value - canvas.ground_hu)
        shows = True
        through *= 1.0 - share
        if through < _HIDDEN:
            through = 0.0
            canvas.open_in_row[row] -= 1
        canvas.clear[row, column] = through
    return shows


@compiled
def _texture(shapes: _Arrays, shape: int, number: int, row: int, column: int) -> float:
    sd_hu = shapes.texture_sd_hu[shape]
    if sd_hu == 0.0:
        return 0.0
    field = shapes.fields[shapes.field[shape]]
    return float(
        sd_hu
        * field[
            (number + shapes.shift[shape, 0]) % field.shape[0],
            (row + shapes.shift[shape, 1]) % field.shape[1],
            (column + shapes.shift[shape, 2]) % field.shape[2],
        ]
    )
