"""By how much the mean of each tissue moves, from one image to another.

The tissue of a place is decided by a mean over 4.5 mm, and only places whose neighbours are of the
same tissue count, so that blurred borders do not move places between the tissues. What is left is
that places are picked for their noise: the mean over places whose noisy value lies in a range is
pulled inwards when the noise is removed. Picked by their values before, the tissues of a perfect
result seem to drift by some tenths of a HU where noise is high; picked by those after they do not,
since what a good denoiser removes is uncorrelated with what it leaves. So the result decides,
unless it has lost half of a tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.metrics.cells import cell_means, cell_pixels, cells_inside
from ctdenoise.metrics.hu_accuracy import TISSUES
from ctdenoise.metrics.ratio import RatioSums

CELL_MM = 1.5
"""Side of a cell; three by three of them decide the tissue."""

CLUSTER_MM = 20.0
"""Side of the squares of a slice that are taken for independent of each other."""

BACKGROUND = "background"
"""Room air around the body."""

DRIFT_TISSUES = (*(tissue.name for tissue in TISSUES), BACKGROUND)
"""Names of everything whose drift is measured."""

_AIR = next(tissue for tissue in TISSUES if tissue.name == "air")


LOST_SHARE = 0.5
"""A result with less of a tissue than this is not asked where the tissue is."""


@dataclass(frozen=True, slots=True)
class DriftSums:
    """Sums whose ratio is the mean of what was removed from a tissue, HU.

    Args:
        by_result: Over the places that are of the tissue in the result.
        by_scan: Over those that were before.
    """

    by_result: RatioSums = field(default_factory=RatioSums)
    by_scan: RatioSums = field(default_factory=RatioSums)

    def __add__(self, other: DriftSums) -> DriftSums:
        return DriftSums(self.by_result + other.by_result, self.by_scan + other.by_scan)

    @property
    def sums(self) -> RatioSums:
        """Those that count."""
        lost = self.by_result.denominator < LOST_SHARE * self.by_scan.denominator
        return self.by_scan if lost else self.by_result


def tissue_drift(
    before: FloatArray,
    after: FloatArray,
    body: BoolArray,
    image: BoolArray,
    *,
    pixel_spacing_mm: tuple[float, float],
) -> dict[str, DriftSums]:
    """Sums of each tissue of a slice.

    Args:
        before: HU, [y, x]; air at padding.
        after: The same grid.
        body: Where the body is.
        image: Where there is no padding.
        pixel_spacing_mm: Along (rows, columns).
    """
    side = cell_pixels(pixel_spacing_mm, CELL_MM)
    cells = [cell_means(each, side) for each in (after, before)]
    removed = cells[1] - cells[0]
    clusters = _clusters(removed.shape, side, pixel_spacing_mm)
    inside, outside = cells_inside(body, side), cells_inside(image & ~body, side)
    by_result, by_scan = (
        {
            name: _sums(removed, _inner(mask), clusters)
            for name, mask in _tissues(each, inside, outside).items()
        }
        for each in cells
    )
    return {name: DriftSums(by_result[name], by_scan[name]) for name in DRIFT_TISSUES}


def _tissues(cells: FloatArray, inside: BoolArray, outside: BoolArray) -> dict[str, BoolArray]:
    smooth = np.asarray(ndimage.uniform_filter(cells, 3, mode="nearest"))
    places: dict[str, BoolArray] = {
        tissue.name: inside & (smooth >= tissue.low_hu) & (smooth < tissue.high_hu)
        for tissue in TISSUES
    }
    places[BACKGROUND] = outside & (smooth < _AIR.high_hu)
    return places


def added(one: Mapping[str, DriftSums], other: Mapping[str, DriftSums]) -> dict[str, DriftSums]:
    """The sums of two sets of slices together.

    Args:
        one: By tissue.
        other: By tissue.
    """
    return {name: one[name] + other[name] for name in one}


def _inner(mask: BoolArray) -> BoolArray:
    """Cells whose eight neighbours belong, too."""
    along = mask.copy()
    along[1:] &= mask[:-1]
    along[:-1] &= mask[1:]
    inner = along.copy()
    inner[:, 1:] &= along[:, :-1]
    inner[:, :-1] &= along[:, 1:]
    return inner


def _clusters(
    shape: tuple[int, ...], side: int, pixel_spacing_mm: tuple[float, float]
) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    rows, columns = (
        (np.arange(size) * side * spacing // CLUSTER_MM).astype(np.intp)
        for size, spacing in zip(shape, pixel_spacing_mm, strict=True)
    )
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.intp]] = (
        rows[:, None] * (columns[-1] + 1) + columns
    )
    return numbers


def _sums(
    values: FloatArray,
    mask: BoolArray,
    clusters: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
) -> RatioSums:
    if not mask.any():
        return RatioSums()
    number = clusters[mask]
    total = np.bincount(number, weights=values[mask]).astype(np.float64)
    count = np.bincount(number).astype(np.float64)
    return RatioSums.of(total, count)
