"""Where a denoiser took away more than noise: the places a person should look at first.

What was removed from pure noise is noise: smoothed over a millimetre, its energy in squares of
6 mm is much the same all around a place. An edge that was blurred, a vessel that was thinned or a
lesion that was taken away stands out of it. So the energy of each square is divided by the median
of the squares around it, and the places with the highest ratios are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray
from ctdenoise.core.regions import shrunk
from ctdenoise.metrics.cells import cell_means, cell_pixels, cells_inside

SMOOTHING_MM = 1.0
"""Standard deviation of the Gaussian that what was removed is smoothed with."""

CELL_MM = 6.0
"""Side of the squares."""

AROUND = 3
"""Squares on each side whose median says what noise alone would be: 42 mm in all."""

APART_MM = 30.0
"""Places nearer to each other than this show the same thing."""

_FEWEST = 8  # squares that a median is taken from
_LEAST_HU = 1e-3  # what is less was not changed


@dataclass(frozen=True, slots=True)
class Structured:
    """A place where more than noise was removed.

    Args:
        place: Slice, as the caller counts.
        row: Of its middle, pixels.
        column: Of its middle, pixels.
        ratio: Root mean square of what was removed, smoothed, over that of the places around it.
        excess_hu: What it has more than they: sqrt(energy - median energy around).
    """

    place: int
    row: int
    column: int
    ratio: float
    excess_hu: float


def structured_places(
    removed: FloatArray,
    body: BoolArray,
    *,
    place: int,
    pixel_spacing_mm: tuple[float, float],
    most: int,
) -> list[Structured]:
    """The places of a slice where most beside noise was removed, the strongest first.

    Args:
        removed: Before less after, HU, [y, x]; 0 at padding.
        body: Where the body is.
        place: Number of the slice.
        pixel_spacing_mm: Along (rows, columns).
        most: So many at most.
    """
    side = cell_pixels(pixel_spacing_mm, CELL_MM)
    inside = shrunk(cells_inside(body, side), 1)
    if np.count_nonzero(inside) < _FEWEST:
        return []
    sigma = [SMOOTHING_MM / spacing for spacing in pixel_spacing_mm]
    smooth = ndimage.gaussian_filter(removed.astype(np.float32), sigma, mode="nearest")
    energy = cell_means(np.square(smooth), side).astype(np.float64)
    usual = _median_around(energy, inside)
    known = inside & np.isfinite(usual) & (usual > _LEAST_HU**2)
    ratio = np.where(known, np.sqrt(energy / np.where(known, usual, 1.0)), 0.0)
    found = [
        Structured(
            place,
            int((y + 0.5) * side),
            int((x + 0.5) * side),
            float(ratio[y, x]),
            float(np.sqrt(max(0.0, energy[y, x] - usual[y, x]))),
        )
        for y, x in zip(*np.nonzero(ratio > 1), strict=True)
    ]
    return apart(found, most, (pixel_spacing_mm, 0.0))


def apart(
    found: Sequence[Structured], most: int, spacing_mm: tuple[tuple[float, float], float]
) -> list[Structured]:
    """The strongest places of which no two lie near each other.

    Args:
        found: In any order.
        most: So many at most.
        spacing_mm: Of the pixels along (rows, columns), and from slice to slice.
    """
    (rows_mm, columns_mm), slices_mm = spacing_mm
    kept: list[Structured] = []
    for one in sorted(found, key=lambda one: (-one.ratio, one.place, one.row, one.column)):
        if len(kept) >= most:
            break
        distances = (
            np.linalg.norm(
                [
                    (one.row - two.row) * rows_mm,
                    (one.column - two.column) * columns_mm,
                    (one.place - two.place) * slices_mm,
                ]
            )
            for two in kept
        )
        if all(distance >= APART_MM for distance in distances):
            kept.append(one)
    return kept


def _median_around(energy: DoubleArray, inside: BoolArray) -> DoubleArray:
    """Median of the squares around each, those outside left out; NaN where too few count."""
    counted = np.where(inside, energy, np.nan)
    padded = np.pad(counted, AROUND, constant_values=np.nan)
    edge = 2 * AROUND + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (edge, edge))
    ordered = np.sort(windows.reshape(*energy.shape, -1), axis=-1)  # NaN last
    count = np.count_nonzero(~np.isnan(ordered), axis=-1)
    middle = np.maximum(count - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[..., None], axis=-1)[..., 0]
    return np.where(count >= _FEWEST, median, np.nan)
