"""The ratio of two sums over an image, and how uncertain it is.

Neighbouring pixels are not independent, so the error is taken from clusters: with numerators x and
denominators y of the clusters, r = sum x / sum y has the variance sum (x - r y)^2 / (sum y)^2 (the
ratio estimator of survey sampling; Cochran, "Sampling Techniques", 1977, section 2.11, without the
correction for a finite population).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray


@dataclass(frozen=True, slots=True)
class RatioSums:
    """Sums over clusters; those of two sets of clusters can be added.

    Args:
        clusters: How many there are with a denominator other than 0.
        numerator: Sum of the numerators.
        denominator: Sum of the denominators.
        squares: Sum of the squares of the numerators.
        products: Sum of numerator times denominator.
        weights: Sum of the squares of the denominators.
    """

    clusters: int = 0
    numerator: float = 0.0
    denominator: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    weights: float = 0.0

    @classmethod
    def of(cls, numerators: DoubleArray, denominators: DoubleArray) -> RatioSums:
        """The sums of some clusters.

        Args:
            numerators: One for each cluster.
            denominators: Like them.
        """
        return cls(
            int(np.count_nonzero(denominators)),
            float(numerators.sum()),
            float(denominators.sum()),
            float(np.square(numerators).sum()),
            float((numerators * denominators).sum()),
            float(np.square(denominators).sum()),
        )

    def __add__(self, other: RatioSums) -> RatioSums:
        return RatioSums(
            self.clusters + other.clusters,
            self.numerator + other.numerator,
            self.denominator + other.denominator,
            self.squares + other.squares,
            self.products + other.products,
            self.weights + other.weights,
        )

    @property
    def ratio(self) -> float | None:
        """Sum of the numerators over that of the denominators; None without any."""
        return self.numerator / self.denominator if self.denominator else None

    @property
    def standard_error(self) -> float | None:
        """Of the ratio; None with fewer than two clusters."""
        ratio = self.ratio
        if ratio is None or self.clusters < 2:
            return None
        spread = self.squares - 2 * ratio * self.products + ratio**2 * self.weights
        factor = self.clusters / (self.clusters - 1)
        return float(np.sqrt(max(spread, 0.0) * factor)) / abs(self.denominator)

    def proven(self, errors: float) -> float | None:
        """What the size of the ratio is at least, less some standard errors; None if unknown.

        Args:
            errors: How many.
        """
        ratio, error = self.ratio, self.standard_error
        return None if ratio is None or error is None else max(0.0, abs(ratio) - errors * error)
