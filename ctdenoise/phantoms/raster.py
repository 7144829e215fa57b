"""Shapes as voxels, each voxel with its share of every shape that crosses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray, LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.units import AIR_HU
from ctdenoise.errors import GeometryError
from ctdenoise.phantoms.shapes import Shape

_LINES_PER_PIXEL = 5
"""Scan lines through a pixel of a shape that changes along z."""

_LINES_PER_PIXEL_FLAT = 16
"""Scan lines through a pixel of a shape that is the same in several slices (drawn once)."""

_PLANE_DISTANCE_MM = 0.75
"""Planes through the thickness of a slice lie at most this far apart ..."""

_MOST_PLANES = 8
"""... but there are no more of them than this."""

_WHOLE = 1e-9
"""A share this near to 0 or 1 is 0 or 1 (what is left is rounding)."""

_SLICES_AT_ONCE = 16

_LINES_ACROSS = 8
"""Fine sampling lays at least this many lines and planes through the thinnest part ..."""

_MOST_LINES = 256
_MOST_FINE_PLANES = 64
"""... but no more lines than this through a pixel and no more planes through a slice."""


class Sampling(Enum):
    """Where lines and planes are laid through shapes that change along z."""

    EVEN = "even"
    """At fixed distances: every shape the same, small and thin ones roughly."""
    FINE = "fine"
    """By the size of the shape: flat ends exactly, beads, wires and thin discs truly."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """Pixel centres of an axial grid, and the thickness that a slice averages over."""

    x0: float
    y0: float
    z: DoubleArray
    dx: float
    dy: float
    thickness: float
    rows: int
    columns: int


def rasterise(
    shapes: Sequence[Shape],
    geometry: Geometry,
    *,
    slice_thickness_mm: float,
    label_numbers: Mapping[str, int],
    texture: FloatArray | None = None,
    sampling: Sampling = Sampling.EVEN,
    progress: Progress = SILENT,
) -> tuple[HuArray, LabelArray]:
    """Draw shapes onto an axial grid.

    The share of a voxel that a shape fills is exact along x (the ends of the chord of each scan
    line) and sampled along y and over the slice thickness. A shape is laid over what is there with
    its share as opacity; one that adds adds its share, which is exact wherever shapes overlap. A
    voxel gets the label of the last shape that fills at least half of it.

    Args:
        shapes: Painted in order; a later one replaces what lies below it.
        geometry: An axial grid, rows along x and columns along y.
        slice_thickness_mm: What a slice averages over along z.
        label_numbers: Number of each label name that shapes use; "" is 0 whether named or not.
        texture: Field of mean 0 and standard deviation 1, [z, y, x], added to each shape times
            its `texture_sd_hu`; every label sees it shifted by another distance.
        sampling: How small shapes are met.
        progress: Told about shapes.

    Returns:
        Hounsfield units and labels, [z, y, x]; outside all shapes is air.

    Raises:
        GeometryError: If the grid is not axial along x and y.
    """
    if geometry.row_direction != (1.0, 0.0, 0.0) or geometry.column_direction != (0.0, 1.0, 0.0):
        raise GeometryError("Phantoms are drawn on axial grids along x and y only.")
    grid = _Grid(
        x0=float(geometry.positions_mm[0, 0]),
        y0=float(geometry.positions_mm[0, 1]),
        z=geometry.positions_mm[:, 2],
        dx=geometry.pixel_spacing_mm[1],
        dy=geometry.pixel_spacing_mm[0],
        thickness=slice_thickness_mm,
        rows=geometry.rows,
        columns=geometry.columns,
    )
    hu = np.full(geometry.shape, AIR_HU, dtype=np.float32)
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    with progress.stage("Drawing", len(shapes)) as advance:
        for shape in shapes:
            number = label_numbers[shape.label] if shape.label else 0
            for box in _boxes(shape, grid):
                share = _shares(shape, grid, box, sampling)
                value = shape.hu + _texture_in(box, texture, shape, number)
                below = hu[box]
                below += share * (value if shape.adds else value - below)
                labels[box][np.broadcast_to(share >= 0.5, below.shape)] = number
            advance()
    return hu, labels


_Box = tuple[slice, slice, slice]


def _boxes(shape: Shape, grid: _Grid) -> list[_Box]:
    """Parts of the grid that a shape may touch, a few slices each."""
    low, high = shape.bounds_mm()
    columns = _span(low[0], high[0], grid.x0, grid.dx, grid.columns)
    rows = _span(low[1], high[1], grid.y0, grid.dy, grid.rows)
    half = grid.thickness / 2
    touched = np.flatnonzero((grid.z + half >= low[2]) & (grid.z - half <= high[2]))
    if columns.start >= columns.stop or rows.start >= rows.stop or len(touched) == 0:
        return []
    first, last = int(touched[0]), int(touched[-1]) + 1
    return [
        (slice(z, min(z + _SLICES_AT_ONCE, last)), rows, columns)
        for z in range(first, last, _SLICES_AT_ONCE)
    ]


def _span(low: float, high: float, first: float, spacing: float, count: int) -> slice:
    """Indices of the pixels between two positions, one more on each side."""
    start = np.clip(np.floor((low - first) / spacing - 0.5), 0, count)
    stop = np.clip(np.ceil((high - first) / spacing + 0.5) + 1, 0, count)
    return slice(int(start), int(stop))


@dataclass(frozen=True, slots=True)
class _Scan:
    """How a shape is sampled in some slices.

    Args:
        lines: Scan lines through a pixel.
        heights: Heights of the planes, mm, [z or 1, plane].
        part: What part of the slice thickness the planes stand for, [z]; None for all of it.
    """

    lines: int
    heights: DoubleArray
    part: DoubleArray | None = None


def _even_scan(shape: Shape, grid: _Grid, in_z: slice) -> _Scan:
    first_mm, last_mm = grid.z[in_z][0], grid.z[in_z][-1]
    half_mm = grid.thickness / 2
    if shape.is_even_between(first_mm - half_mm, last_mm + half_mm):
        return _Scan(_LINES_PER_PIXEL_FLAT, np.full((1, 1), first_mm))
    planes = int(np.clip(np.ceil(grid.thickness / _PLANE_DISTANCE_MM), 1, _MOST_PLANES))
    return _Scan(_LINES_PER_PIXEL, grid.z[in_z, None] + grid.thickness * _midpoints(planes))


def _fine_scan(shape: Shape, grid: _Grid, in_z: slice) -> _Scan:
    low, high = shape.bounds_mm()
    half_mm = grid.thickness / 2
    start = np.maximum(grid.z[in_z] - half_mm, low[2])
    end = np.maximum(np.minimum(grid.z[in_z] + half_mm, high[2]), start)
    thinnest = min(shape.thinnest_mm(), high[1] - low[1])
    lines = int(min(np.ceil(_LINES_ACROSS * grid.dy / thinnest), _MOST_LINES))
    upright = shape.is_upright()
    if upright:
        planes = 1
    else:
        reach = float(np.max(end - start))
        # Half the thickness between planes: a slanted wire is met without gaps.
        distance = min(_PLANE_DISTANCE_MM, (high[2] - low[2]) / _LINES_ACROSS, thinnest / 2)
        distance = min(distance, grid.thickness / _LINES_ACROSS)
        if shape.has_slanted_end():
            distance = grid.thickness / _MOST_FINE_PLANES
        planes = int(np.clip(np.ceil(reach / distance), 1, _MOST_FINE_PLANES))
    heights = (start + end)[:, None] / 2 + (end - start)[:, None] * _midpoints(planes)
    part = (end - start) / grid.thickness
    if upright and (part > 1.0 - _WHOLE).all():
        heights, part = heights[:1], part[:1]
    return _Scan(max(lines, _LINES_PER_PIXEL_FLAT if upright else _LINES_PER_PIXEL), heights, part)


def _shares(shape: Shape, grid: _Grid, box: _Box, sampling: Sampling) -> FloatArray:
    """Share of each voxel of a box that the shape fills, float32 [z or 1, y, x]."""
    in_z, rows, columns = box
    scan = (_fine_scan if sampling is Sampling.FINE else _even_scan)(shape, grid, in_z)
    lines, heights = scan.lines, scan.heights
    line_y = grid.y0 + grid.dy * (np.arange(rows.start, rows.stop)[:, None] + _midpoints(lines))
    slices, planes = heights.shape
    origins = np.zeros((slices, planes, line_y.size, 3))
    origins[..., 1] = line_y.ravel()
    origins[..., 2] = heights[..., None]
    start, end = shape.chord(origins, np.array([1.0, 0.0, 0.0]))
    width = columns.stop - columns.start
    left_edge = grid.x0 + grid.dx * (columns.start - 0.5)
    height = rows.stop - rows.start
    # Each line adds to the row of pixels that it runs through.
    pixel_row = np.arange(slices)[:, None, None] * height + np.repeat(np.arange(height), lines)
    base = np.broadcast_to(pixel_row * (width + 2), start.shape).ravel()
    size = slices * height * (width + 2)
    rise = np.zeros(size)
    hit = (end > start).ravel()
    for ends, sign in ((start, 1.0), (end, -1.0)):
        at = np.clip((ends.ravel()[hit] - left_edge) / grid.dx, 0.0, width)
        whole = np.floor(at)
        index = base[hit] + whole.astype(np.intp)
        rise += sign * np.bincount(index, 1.0 - (at - whole), minlength=size)
        rise += sign * np.bincount(index + 1, at - whole, minlength=size)
    share = np.cumsum(rise.reshape(slices, height, width + 2), axis=-1)[..., :width]
    share /= lines * planes
    if scan.part is not None:
        share *= scan.part[:, None, None]
    share[share < _WHOLE] = 0.0
    share[share > 1.0 - _WHOLE] = 1.0
    return share.astype(np.float32)


def _midpoints(count: int) -> DoubleArray:
    """Middles of `count` equal parts of [-1/2, 1/2]."""
    return (np.arange(count) + 0.5) / count - 0.5


def _texture_in(
    box: _Box, texture: FloatArray | None, shape: Shape, number: int
) -> FloatArray | float:
    """The texture of a shape's label inside a box, HU."""
    if texture is None or shape.texture_sd_hu == 0.0:
        return 0.0
    # Shifts that differ from label to label make neighbouring organs' textures independent.
    shifts = (number * 5, number * 67, number * 101)
    index = np.ix_(
        *(
            np.arange(part.start + shift, part.stop + shift) % size
            for part, shift, size in zip(box, shifts, texture.shape, strict=True)
        )
    )
    return np.asarray(shape.texture_sd_hu * texture[index], dtype=np.float32)
