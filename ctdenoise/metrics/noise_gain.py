"""How much noise is left, and how much was removed, in flat soft tissue: as sums.

In squares of 6 mm that lie in soft tissue as a whole, the standard deviations of the image before
and after, and of what was removed, are compared, square by square, as means of logarithms. Squares
with more than twice the usual variance hold anatomy and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray
from ctdenoise.core.noise_level import SOFT_TISSUE_HU
from ctdenoise.metrics.cells import cell_means, cell_pixels, cells_inside
from ctdenoise.metrics.ratio import RatioSums

SQUARE_MM = 6.0
"""Side of a square."""

FEWEST_SQUARES = 20
"""With fewer nothing is said."""

_LEAST = 1e-6  # of the variance before: all of the noise was removed
_NOISE_FREE_HU = 1e-2
_ANATOMY = 2.0


@dataclass(frozen=True, slots=True)
class GainSums:
    """Sums over squares; those of two sets can be added.

    Args:
        left: Logarithm of the deviation after over that before.
        taken: Logarithm of the deviation of what was removed over that before.
    """

    left: RatioSums = field(default_factory=RatioSums)
    taken: RatioSums = field(default_factory=RatioSums)

    def __add__(self, other: GainSums) -> GainSums:
        return GainSums(self.left + other.left, self.taken + other.taken)

    @property
    def squares(self) -> int:
        """How many were compared."""
        return self.left.clusters

    def left_at_least(self, errors: float = 0.0) -> float | None:
        """Noise after over noise before, less some standard errors; None with too few squares.

        Args:
            errors: How many standard errors to take off.
        """
        return self._factor(self.left, errors)

    def taken_at_least(self, errors: float = 0.0) -> float | None:
        """What was removed over noise before, less some standard errors; None with too few.

        Args:
            errors: How many standard errors to take off.
        """
        return self._factor(self.taken, errors)

    def _factor(self, sums: RatioSums, errors: float) -> float | None:
        if sums.clusters < FEWEST_SQUARES or sums.ratio is None or sums.standard_error is None:
            return None
        return float(np.exp(sums.ratio - errors * sums.standard_error))


def noise_gain(
    before: FloatArray,
    after: FloatArray,
    body: BoolArray,
    *,
    pixel_spacing_mm: tuple[float, float],
) -> GainSums:
    """Sums over the squares of a slice.

    Args:
        before: HU, [y, x]; air at padding.
        after: The same grid.
        body: Where the body is.
        pixel_spacing_mm: Along (rows, columns).
    """
    side = max(5, cell_pixels(pixel_spacing_mm, SQUARE_MM))
    mean = cell_means(before, side)
    soft = (mean > SOFT_TISSUE_HU[0]) & (mean < SOFT_TISSUE_HU[1]) & cells_inside(body, side)
    if not soft.any():
        return GainSums()
    variance = _variance(before, side)
    soft &= variance > _NOISE_FREE_HU**2
    if not soft.any():
        return GainSums()
    usual = float(np.median(variance[soft]))
    flat = soft & (variance < _ANATOMY * usual)
    start = variance[flat]
    return GainSums(
        _logarithms(_variance(after, side)[flat], start),
        _logarithms(_variance(before - after, side)[flat], start),
    )


def _variance(image: FloatArray, side: int) -> DoubleArray:
    rows, columns = (size // side * side for size in image.shape)
    cut = image[:rows, :columns]
    mean = cell_means(cut, side)
    around = np.repeat(np.repeat(mean, side, axis=0), side, axis=1)
    return cell_means(np.square(cut - around), side).astype(np.float64)


def _logarithms(variance: DoubleArray, start: DoubleArray) -> RatioSums:
    ratios = np.log(np.maximum(variance / start, _LEAST)) / 2
    return RatioSums.of(ratios, np.ones_like(ratios))
