"""Variance of the noise of log data, from the expected counts of a ray.

The noise that `noise.draw_log_noise` draws has, where counts are many, the variance of a first
order expansion, ``(linear N + constant) / (a N)^2``. Behind bone and metal the floor and the
logarithm bound it. The share of the expansion that is left depends on N alone for given statistics:
it is that of the table starved rays are drawn with, beyond it integrated numerically at a few
counts, and interpolated between them.
"""

from __future__ import annotations

import numpy as np

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.simulation.few_counts import LEAST_COUNTS, table_counts
from ctdenoise.simulation.noise import NoiseStatistics, starved_table

MANY_COUNTS = 3e4
"""Expected counts of the twin from which the expansion holds to 1e-3, electronic noise included."""

_POINTS = 64

_LEAST_SHARE = 1e-12
"""Stands for none: where the floor leaves a low-dose scan less variance than the scan has."""

_NORMALS = np.linspace(-6, 6, 161)
"""Nodes of the trapezoidal rule: the floor makes a kink that a Gauss rule follows less well."""


def expanded_variance(statistics: NoiseStatistics, counts: FloatArray) -> FloatArray:
    """Variance of the log noise to first order, ``(linear N + constant) / (a N)^2``.

    Args:
        statistics: What noise is drawn.
        counts: Expected counts N at full dose.
    """
    inverse = 1 / np.maximum(counts, LEAST_COUNTS)
    linear = np.float32(statistics.linear / statistics.dose_fraction**2)
    constant = np.float32(statistics.constant / statistics.dose_fraction**2)
    return np.asarray((linear + constant * inverse) * inverse, dtype=np.float32)


class LogVariance:
    """Variance of the log noise of rays with few or many counts.

    Args:
        statistics: What noise is drawn; some, so not that of the full dose on top of itself.
    """

    def __init__(self, statistics: NoiseStatistics) -> None:
        self.statistics = statistics
        dose = statistics.dose_fraction
        b, c = starved_table(statistics).astype(np.float64).reshape(-1, 3)[:, 1:].T
        few = table_counts(len(b))
        few = few[dose * few < statistics.starved_below]
        least = max(float(LEAST_COUNTS), statistics.starved_below / dose)
        many = np.geomspace(least, max(MANY_COUNTS / dose, 2 * least), _POINTS)
        beyond = [_variance(statistics, float(mean)) for mean in many]
        exact = np.append((b**2 + 2 * c**2)[: len(few)], beyond)
        counts = np.append(few, many)
        expanded = (statistics.linear * counts + statistics.constant) / (dose * counts) ** 2
        self._log_counts = np.log(counts)
        self._log_share = np.log(np.maximum(exact / expanded, _LEAST_SHARE))

    def __call__(self, counts: FloatArray) -> FloatArray:
        """Variance of the log noise, float32, like `counts`.

        Args:
            counts: Expected counts N at full dose, positive.
        """
        expanded = expanded_variance(self.statistics, counts)
        few = counts < np.exp(self._log_counts[-1])
        if few.any():
            share = np.interp(np.log(counts[few]), self._log_counts, self._log_share)
            expanded[few] *= np.exp(share).astype(np.float32)
        return expanded


def _variance(statistics: NoiseStatistics, mean: float) -> float:
    """Variance of the log noise of a ray, integrated over the Gaussian that it is drawn from."""
    weights = np.exp(-(_NORMALS**2) / 2)
    added = (statistics.linear, statistics.constant, statistics.cubic)
    counts = statistics.dose_fraction * mean + _skewed(_NORMALS, mean, added)
    log = -np.log(np.maximum(counts, statistics.floor))
    return _weighted_variance(log, weights / weights.sum())


def _skewed(normal: DoubleArray, mean: float, spread: tuple[float, float, float]) -> DoubleArray:
    linear, constant, cubic = spread
    variance = linear * mean + constant
    tilt = cubic * mean / variance / 6
    return np.asarray(np.sqrt(variance) * normal + tilt * (normal**2 - 1))


def _weighted_variance(values: DoubleArray, weights: DoubleArray) -> float:
    mean = float((weights * values).sum())
    return float((weights * (values - mean) ** 2).sum())
