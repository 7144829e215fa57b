"""Whether what was removed follows the anatomy: a denoiser that blurs takes edges away.

What was removed should look like noise. Where more of it lies along edges than between them,
structure went with the noise. Two pictures of a slice are compared pixel by pixel inside the body:

* how much was removed: |input - output|, averaged by a Gaussian of 1.5 mm and divided by the same
  average over 10 mm, so that noise that changes slowly over the body does not count;
* the edges of the reference: the length of its gradient after a Gaussian of 1 mm, averaged alike.

Their correlation is 0 where noise alone was removed, positive where edges went with it, and
negative where noise was left along edges. It says nothing about an output that equals its input.
The reference must have other noise than the input, or none: the edges of the removed noise itself
would count otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.core.regions import shrunk

FINE_MM = 1.5
"""Standard deviation of the Gaussian that averages both pictures."""

COARSE_MM = 10.0
"""Standard deviation of the Gaussian that gives the amount that is usual around a place."""

EDGE_MM = 1.0
"""Standard deviation of the Gaussian before the gradient."""

RIM_MM = 4.0
"""So much of the body at the skin does not count."""

_LEAST_HU = 1e-3  # a slice from which less was removed was left as it is


@dataclass(frozen=True, slots=True)
class ProductSums:
    """Sums over pairs of numbers, from which their correlation follows; sums can be added.

    Args:
        count: How many pairs.
        one: Sum of the first numbers.
        other: Sum of the second.
        one_squared: Sum of the squares of the first.
        other_squared: Sum of the squares of the second.
        product: Sum of the products.
    """

    count: int = 0
    one: float = 0.0
    other: float = 0.0
    one_squared: float = 0.0
    other_squared: float = 0.0
    product: float = 0.0

    @classmethod
    def of(cls, one: DoubleArray, other: DoubleArray) -> Self:
        """The sums of two arrays of the same length."""
        return cls(
            one.size,
            float(one.sum()),
            float(other.sum()),
            float(one @ one),
            float(other @ other),
            float(one @ other),
        )

    def __add__(self, more: ProductSums) -> ProductSums:
        return ProductSums(
            self.count + more.count,
            self.one + more.one,
            self.other + more.other,
            self.one_squared + more.one_squared,
            self.other_squared + more.other_squared,
            self.product + more.product,
        )

    @property
    def correlation(self) -> float | None:
        """Pearson's; None where a number does not vary."""
        if self.count < 2:
            return None
        first = self.one_squared - self.one**2 / self.count
        second = self.other_squared - self.other**2 / self.count
        if first <= 1e-12 * self.one_squared or second <= 1e-12 * self.other_squared:
            return None
        return (self.product - self.one * self.other / self.count) / math.sqrt(first * second)


def structure_sums(
    before: DoubleArray,
    after: DoubleArray,
    reference: DoubleArray,
    body: BoolArray,
    *,
    pixel_spacing_mm: tuple[float, float],
) -> ProductSums:
    """What one slice says about what was removed and the edges of the reference.

    Args:
        before: The image that was denoised, HU [y, x]; padding set to air.
        after: What came out.
        reference: Where the edges are.
        body: The body, padding excluded.
        pixel_spacing_mm: Along (rows, columns).
    """
    rim = math.ceil(RIM_MM / min(pixel_spacing_mm))
    inside = shrunk(body, rim)
    removed = np.abs(before - after)
    if not inside.any() or removed[inside].mean() < _LEAST_HU:
        return ProductSums()

    def averaged(image: DoubleArray, width_mm: float) -> DoubleArray:
        widths = [width_mm / spacing for spacing in pixel_spacing_mm]
        smooth: DoubleArray = ndimage.gaussian_filter(image, widths, mode="constant", truncate=3)
        return smooth

    share = body.astype(np.float64)
    fine = averaged(removed * share, FINE_MM)[inside] / averaged(share, FINE_MM)[inside]
    coarse = averaged(removed * share, COARSE_MM)[inside] / averaged(share, COARSE_MM)[inside]
    edges = averaged(_gradient(reference, pixel_spacing_mm), FINE_MM)[inside]
    kept = coarse > _LEAST_HU
    return ProductSums.of(fine[kept] / coarse[kept], edges[kept])


def _gradient(image: DoubleArray, pixel_spacing_mm: tuple[float, float]) -> DoubleArray:
    """Length of the gradient after a Gaussian, HU per mm."""
    widths = [EDGE_MM / spacing for spacing in pixel_spacing_mm]
    squares = np.zeros_like(image)
    for axis, spacing in enumerate(pixel_spacing_mm):
        order = [int(axis == other) for other in range(2)]
        squares += np.square(ndimage.gaussian_filter(image, widths, order=order) / spacing)
    return np.sqrt(squares)
