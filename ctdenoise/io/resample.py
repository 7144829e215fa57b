"""A tilted or unevenly spaced stack put onto an orthogonal, even grid, on request only.

The new slices lie parallel to the old ones, on one line along their normal, at even distances. The
in-plane pixels are those of the first slice, continued as far as the shifted slices reach. Each old
slice is moved within its own plane, and between two of them values are mixed by their distance
along the normal: linear interpolation throughout, so no value leaves the range of its neighbours.
What has no neighbour on every side is marked as padding.

Series written as DICOM never come here: they keep the position of every slice.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.core.geometry import POSITION_TOLERANCE_MM, SPACING_TOLERANCE_FRACTION, Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume, slice_numbers
from ctdenoise.errors import GeometryError
from ctdenoise.io.read import SeriesReader

_SAME_PIXEL = 1e-3
"""Shifts this close to whole pixels (and weights this close to a slice) are taken as whole."""

_MOST_MORE = 4
"""Most slices that even spacing may make of one."""

_MOST_IN_PLANE = 4096 * 4096

_GAP_FACTOR = 1.5
"""A distance above this many times the usual (median) one is counted as a gap."""


@dataclass(frozen=True, slots=True, eq=False)
class StraightGrid:
    """An orthogonal, even grid, and how the slices of a stack lie on it.

    Args:
        geometry: The grid.
        shifts_px: Where the first pixel of each old slice lies on it: rows, columns; float64
            [slice, 2].
        places: For each new slice the old slice at or before it, and the share of the next one.
        in_gaps: How many new slices lie between old ones that are further apart than is
            usual in the stack.
    """

    geometry: Geometry
    shifts_px: DoubleArray
    places: tuple[tuple[int, float], ...]
    in_gaps: int


def straight_grid(geometry: Geometry, spacing_mm: float | None = None) -> StraightGrid:
    """The even, orthogonal grid for a stack.

    Args:
        geometry: The stack.
        spacing_mm: Distance between the new slices; by default that of an even stack, and the
            smallest one of an uneven stack.

    Raises:
        GeometryError: If it would have several times as many slices, or absurdly large ones.
    """
    along = geometry.along_normal_mm() - geometry.along_normal_mm()[0]
    even_mm, smallest_mm = _spacings(geometry)
    step = spacing_mm or even_mm or smallest_mm
    keeps_slices = spacing_mm is None and even_mm is not None
    count = 1 + math.floor((along[-1] + POSITION_TOLERANCE_MM) / step)
    count = geometry.slices if keeps_slices else count
    usual = geometry.slice_spacing_mm or step
    if count > _MOST_MORE * geometry.slices:
        raise GeometryError(
            f"{geometry.slices} slices would become {count}, {step:.3f} mm apart.",
            fix=f"Give the distance wanted with --spacing, such as {usual:.3f} mm, the usual one.",
        )
    shifts = _shifts_px(geometry)
    first = np.floor(shifts.min(axis=0)).astype(int)
    last = np.ceil(shifts.max(axis=0)).astype(int)
    rows = geometry.rows + int(last[0] - first[0])
    columns = geometry.columns + int(last[1] - first[1])
    if rows * columns > _MOST_IN_PLANE:
        raise GeometryError(f"the slices drift so far apart that {rows} x {columns} pixels result.")
    down = np.array(geometry.column_direction) * geometry.pixel_spacing_mm[0]
    across = np.array(geometry.row_direction) * geometry.pixel_spacing_mm[1]
    origin = geometry.positions_mm[0] + first[0] * down + first[1] * across
    positions = origin + (np.arange(count) * step)[:, None] * geometry.normal
    places = tuple(
        (index, 0.0) if keeps_slices else _place(along, index * step) for index in range(count)
    )
    gaps = np.diff(along) > _GAP_FACTOR * usual
    in_gaps = sum(1 for below, share in places if share and gaps[below])
    grid = replace(geometry, rows=rows, columns=columns, positions_mm=positions)
    return StraightGrid(grid, shifts - first, places, in_gaps)


def _spacings(geometry: Geometry) -> tuple[float | None, float]:
    """The distance between slices of an even stack (None for an uneven one), and the smallest."""
    spacings = geometry.spacings_mm()
    if not len(spacings):
        return 1.0, 1.0
    smallest = float(spacings.min())
    allowed = 2 * max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE_FRACTION * smallest)
    is_even = float(spacings.max()) - smallest <= allowed
    return (float(spacings.mean()) if is_even else None), smallest


def _shifts_px(geometry: Geometry) -> DoubleArray:
    """How far each slice is moved in its plane against the first: rows, columns."""
    away = geometry.positions_mm - geometry.positions_mm[0]
    directions = np.array([geometry.column_direction, geometry.row_direction])
    shifts = away @ directions.T / np.array(geometry.pixel_spacing_mm)
    whole = np.rint(shifts)
    return np.asarray(np.where(np.abs(shifts - whole) < _SAME_PIXEL, whole, shifts))


def _place(along: DoubleArray, at_mm: float) -> tuple[int, float]:
    """The old slice at or before a position, and the share of the next one."""
    if len(along) == 1:
        return 0, 0.0
    below = int(np.searchsorted(along, at_mm, side="right")) - 1
    below = min(max(below, 0), len(along) - 2)
    gap = along[below + 1] - along[below]
    share = min(max((at_mm - along[below]) / gap, 0.0), 1.0)
    if share * gap <= POSITION_TOLERANCE_MM:
        return below, 0.0
    if (1 - share) * gap <= POSITION_TOLERANCE_MM:
        return below + 1, 0.0
    return below, float(share)


class StraightReader:
    """A series that is put onto an even, orthogonal grid as it is read; see `SeriesReader`.

    Two slices of the source are in memory at a time. Pixels outside, and those for which a padding
    pixel would be mixed in, are padding; they hold the padding value of the source, else air.

    Args:
        reader: The series, open; it is closed with this one.
        spacing_mm: See `straight_grid`.

    Raises:
        GeometryError: If no sensible grid results.
    """

    source = None

    def __init__(self, reader: SeriesReader, spacing_mm: float | None = None) -> None:
        self._reader = reader
        self.grid = straight_grid(reader.geometry, spacing_mm)
        self._moved: OrderedDict[int, tuple[HuArray, BoolArray]] = OrderedDict()
        self._fill_hu: float | None = None
        self.geometry = self.grid.geometry
        self.acquisition: Acquisition = replace(reader.acquisition, exposure_mas=())
        spacing = self.geometry.slice_spacing_mm
        step = Step("resample", {"interpolation": "linear", "slice_spacing_mm": spacing})
        self.history = (*reader.history, step)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        return self.geometry.shape

    def read(self, which: slice | Sequence[int]) -> CTVolume:
        """Some of the new slices.

        Args:
            which: Their indices, ascending along the normal.

        Raises:
            StudyError: If the slices of the source cannot be read right.
        """
        indices = slice_numbers(which, self.geometry.slices)
        hu: HuArray = np.empty((len(indices), *self.shape[1:]), dtype=np.float32)
        padding = np.zeros(hu.shape, dtype=np.bool_)
        for place, index in enumerate(indices):
            below, share = self.grid.places[index]
            values, valid = self._slice(below)
            if share:
                above, above_valid = self._slice(below + 1)
                values = values + np.float32(share) * (above - values)
                valid = valid & above_valid
            hu[place] = np.where(valid, values, np.float32(self._fill()))
            padding[place] = ~valid
        geometry = self.geometry.select(indices)
        return CTVolume(hu, geometry, self.acquisition, None, self.history, padding)

    def _slice(self, index: int) -> tuple[HuArray, BoolArray]:
        """An old slice on the pixels of the new grid, and where it is known."""
        if index not in self._moved:
            while len(self._moved) > 1:
                self._moved.popitem(last=False)
            one = self._reader.read([index])
            valid = np.ones(one.shape[1:], dtype=np.bool_)
            if one.padding is not None:
                valid = ~one.padding[0]
            values = one.hu[0]
            for axis in (0, 1):
                size = self.shape[1 + axis]
                shift = float(self.grid.shifts_px[index, axis])
                values, valid = _shifted(values, valid, shift, size, axis)
            self._moved[index] = (values, valid)
        self._moved.move_to_end(index)
        return self._moved[index]

    def _fill(self) -> float:
        """What padding holds."""
        if self._fill_hu is None:
            first = self._reader.read([0])
            is_marked = first.padding is not None
            self._fill_hu = float(first.hu[first.padding][0]) if is_marked else AIR_HU
        return self._fill_hu

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.__exit__(kind, error, trace)


def _shifted(
    values: HuArray, valid: BoolArray, shift: float, size: int, axis: int
) -> tuple[HuArray, BoolArray]:
    """A slice moved along one axis onto an axis of another size, and where it is known.

    The pixel at index i is found at i + shift; between two pixels values are mixed linearly.
    """
    whole = math.floor(shift)
    part = shift - whole
    near, near_valid = _placed(values, valid, whole, size, axis)
    if not part:
        return near, near_valid
    far, far_valid = _placed(values, valid, whole + 1, size, axis)
    mixed = near + np.float32(part) * (far - near)
    return mixed, near_valid & far_valid


def _placed(
    values: HuArray, valid: BoolArray, start: int, size: int, axis: int
) -> tuple[HuArray, BoolArray]:
    shape = list(values.shape)
    length = min(shape[axis], size - start)
    shape[axis] = size
    out: HuArray = np.zeros(shape, dtype=np.float32)
    known = np.zeros(shape, dtype=np.bool_)
    to = (slice(start, start + length), slice(None))[:: 1 if axis == 0 else -1]
    of = (slice(0, length), slice(None))[:: 1 if axis == 0 else -1]
    out[to], known[to] = values[of], valid[of]
    return out, known
