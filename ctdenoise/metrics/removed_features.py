"""Spots in what was removed that noise does not explain: where something seems to be lost.

Means over 4.5 mm and 7.5 mm of what was removed are compared with the spread of such means around
them (42 mm). Where noise alone was removed they are close to normally distributed, whatever the
texture of the noise. A lesion that was taken away stands out if its mean is several times that
spread: less contrast, or less size, does not show, here as little as to an eye that looks at what
was removed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.regions import shrunk
from ctdenoise.metrics.cells import cell_means, cell_pixels, cells_inside

CELL_MM = 1.5
"""Side of a cell."""

SIZES = (3, 5)
"""Cells along the side of the squares whose means are compared."""

MOST_PER_SLICE = 3
"""So many spots of a slice are named."""

_RIM = 4  # cells at the skin that do not count
_TILE = 7  # cells along the side of the squares in which the spread is summed up
_FEWEST = 100  # cells that a spread is taken from
_CLIP = 2.5  # standard deviations: a spot must not hide in the spread that it makes
_CLIPPED = 0.9775  # standard deviation of a standard normal variable that is clipped there
_APART_MM = 10.0
_STANDS_OUT = 3.8  # standard deviations from which a cell may be the middle of a spot


@dataclass(frozen=True, slots=True)
class RemovedFeature:
    """A spot in what was removed.

    Args:
        place: Slice of the scan.
        row: Of its middle, pixels.
        column: Of its middle, pixels.
        size_mm: Side of the square over which the mean is taken.
        mean_hu: Mean of what was removed there, less that around it.
        deviations: The same over the spread of such means.
    """

    place: int
    row: int
    column: int
    size_mm: float
    mean_hu: float
    deviations: float


def removed_features(
    removed: FloatArray,
    body: BoolArray,
    *,
    place: int,
    pixel_spacing_mm: tuple[float, float],
) -> list[RemovedFeature]:
    """The spots of a slice that stand out most, the strongest first; three at most.

    Args:
        removed: Before less after, HU, [y, x]; 0 at padding.
        body: Where the body is.
        place: Slice of the scan.
        pixel_spacing_mm: Along (rows, columns).
    """
    side = cell_pixels(pixel_spacing_mm, CELL_MM)
    inside = shrunk(cells_inside(body, side), _RIM)
    if not inside.any():
        return []
    cells = cell_means(removed, side)
    spacing = float(np.sqrt(np.prod(pixel_spacing_mm)))
    found: list[RemovedFeature] = []
    for size in SIZES:
        means = np.asarray(ndimage.uniform_filter(cells, size, mode="nearest"))
        offset, spread = _spread(means, inside)
        height = np.where(inside & (spread > 0), means - offset, 0)
        deviations = height / np.where(spread > 0, spread, 1)
        heights = np.abs(deviations)
        least = min(_STANDS_OUT, float(heights.max()))
        for at in np.flatnonzero((heights >= least) & (heights > 0)):
            y, x = np.unravel_index(at, deviations.shape)
            found.append(
                RemovedFeature(
                    place,
                    int((y + 0.5) * side),
                    int((x + 0.5) * side),
                    size * side * spacing,
                    float(height[y, x]),
                    float(deviations[y, x]),
                )
            )
    return _apart(found, spacing)


def _apart(found: list[RemovedFeature], spacing_mm: float) -> list[RemovedFeature]:
    """The strongest of those that lie within a centimetre of each other."""
    kept: list[RemovedFeature] = []
    for one in sorted(found, key=lambda one: -abs(one.deviations)):
        distances = (np.hypot(one.row - two.row, one.column - two.column) for two in kept)
        if all(distance * spacing_mm >= _APART_MM for distance in distances):
            kept.append(one)
        if len(kept) == MOST_PER_SLICE:
            break
    return kept


def _spread(means: FloatArray, inside: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation around each cell; 0 where too few cells count."""
    offset, spread = _moments(means, inside)
    limit = _CLIP * spread
    clipped = np.clip(means, offset - limit, offset + limit)
    offset, spread = _moments(clipped, inside)
    return offset, (spread / np.float32(_CLIPPED)).astype(np.float32)


def _moments(values: FloatArray, inside: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation over 5 by 5 tiles around the tile of each cell."""
    weight = inside.astype(np.float32)
    first = values * weight
    count, total, squares = (
        ndimage.uniform_filter(_tiles(each), 5, mode="constant")
        for each in (weight, first, first * values)
    )
    known = count * 25 * _TILE**2 >= _FEWEST
    safe = np.where(known, count, 1)
    mean = total / safe
    deviation = np.sqrt(np.maximum(squares / safe - mean**2, 0)) * known
    return _spanned(mean, values.shape), _spanned(deviation, values.shape)


def _tiles(values: FloatArray) -> FloatArray:
    """Means over tiles; those at the end are filled up with zeros."""
    missing = [(0, -size % _TILE) for size in values.shape]
    return cell_means(np.pad(values, missing), _TILE)


def _spanned(tiles: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Values of tiles at each of their cells."""
    fine = np.repeat(np.repeat(tiles, _TILE, axis=0), _TILE, axis=1)
    return np.asarray(fine[: shape[0], : shape[1]], dtype=np.float32)
