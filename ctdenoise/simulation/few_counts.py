"""Log data of rays that count few photons: exact moments, and numbers that have them.

A reading is Poisson(n) + Gaussian(0, sigma_e^2), raised to the floor. The moments of its logarithm
are summed over the Poisson numbers and integrated over the Gaussian ones,

    E[g(reading)] = sum_k P_n(k) ( Phi(z_k) g(floor) + int_(z_k)^inf g(k + sigma_e z) phi(z) dz ),

z_k = (floor - k) / sigma_e. A scan at the dose a has the cumulants of n = a N, of which a scan at
full dose brings those of n = N. What is drawn beside that, independently of it, has the difference
as its mean, its variance V and its third cumulant K: a quadratic in a standard normal number g,

    delta p = mean + b g + c (g^2 - 1),   b^2 + 2 c^2 = V,   6 b^2 c + 8 c^3 = K.

With c = s sqrt(V) the last two are 6 s - 4 s^3 = K / V^(3/2), whose root is
s = sqrt(2) sin(arcsin(K / V^(3/2) / sqrt(8)) / 3): real up to a skewness of sqrt(8), where the
numbers are as skew as they can be. Where the floor leaves a low-dose scan less variance than the
scan has already, nothing but the mean is added.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from ctdenoise.core.arrays import DoubleArray, FloatArray

LEAST_COUNTS = np.float32(1e-3)
"""Expected counts are never less: keeps ratios finite behind metal."""

STEP_BITS = 19
"""A step of the table is 2^19 float32 numbers wide: sixteen for each doubling of the counts."""

TABLE_START = np.float32(2.0**-10)
"""Counts of the first row: the power of two below `LEAST_COUNTS`."""

_LAW_OF_LARGE_COUNTS = 400.0
"""From here on the Poisson number is a Gaussian with a third cumulant: the mean of the logarithm
changes by less than 1e-7, its variance by less than 1e-4 of itself."""

_POISSON_REACH = 12.0
"""Standard deviations of the Poisson number that are summed over."""

_GAUSSIAN_REACH = 8.0
_GAUSSIAN_NODES = 48
_LARGE_NODES = 16
_LARGEST_SKEWNESS = np.sqrt(8.0)


class Cumulants(NamedTuple):
    """Mean, variance and third cumulant, one value for each number of counts."""

    mean: DoubleArray
    variance: DoubleArray
    third: DoubleArray


def log_cumulants(counts: DoubleArray, *, electronic_noise: float, floor: float) -> Cumulants:
    """Cumulants of -ln( max(Poisson(n) + Gaussian, floor) / n ).

    Args:
        counts: Expected counts n, positive, [ray].
        electronic_noise: Standard deviation sigma_e of the Gaussian part.
        floor: Least reading, positive.
    """
    raw = np.empty((3, len(counts)))
    few = counts < _LAW_OF_LARGE_COUNTS
    most = counts[few].max(initial=0.0)
    whole = np.arange(int(most + _POISSON_REACH * np.sqrt(most)) + 30.0)
    of_whole = _mean_powers(whole, electronic_noise, floor)
    log_chance = special.xlogy(whole, counts[few, None]) - special.gammaln(whole + 1)
    raw[:, few] = of_whole @ np.exp(log_chance - counts[few, None]).T
    normal, weights = np.polynomial.hermite_e.hermegauss(_LARGE_NODES)
    many = counts[~few, None]
    numbers = many + np.sqrt(many - 1 / 18) * normal + (normal**2 - 1) / 6
    of_numbers = _mean_powers(numbers.ravel(), electronic_noise, floor).reshape(3, *numbers.shape)
    raw[:, ~few] = of_numbers @ (weights / weights.sum())
    mean, square, cube = raw
    variance = np.maximum(square - mean**2, 0.0)
    return Cumulants(np.log(counts) - mean, variance, -(cube - mean**3 - 3 * mean * variance))


def _mean_powers(whole: DoubleArray, electronic_noise: float, floor: float) -> DoubleArray:
    """Means of the first three powers of ln(max(k + Gaussian, floor)), [power, k]."""
    powers = np.arange(1, 4)[:, None]
    if electronic_noise == 0:
        return np.asarray(np.log(np.maximum(whole, floor)) ** powers)
    reach = _GAUSSIAN_REACH
    start = np.clip((floor - whole) / electronic_noise, -reach, reach)
    node, weight = np.polynomial.legendre.leggauss(_GAUSSIAN_NODES)
    # Denser towards the floor, where the logarithm bends most: a square of the variable.
    part = (node + 1) / 2
    z = start[:, None] + (reach - start[:, None]) * part**2
    density = np.exp(-(z**2) / 2) * weight * part
    above = special.ndtr(-start)
    density *= (above / np.maximum(density.sum(axis=1), np.finfo(float).tiny))[:, None]
    log = np.log(np.maximum(whole[:, None] + electronic_noise * z, floor))
    floored = (1 - above) * np.log(floor) ** powers
    return np.asarray([(density * log**power).sum(axis=1) for power in (1, 2, 3)] + floored)


def lacking_cumulants(
    counts: DoubleArray,
    dose_fraction: float,
    *,
    electronic_noise: float,
    floor: float,
    holds_noise: bool,
) -> Cumulants:
    """Cumulants of what log data lack to be those of a scan at a dose.

    Args:
        counts: Expected counts N at full dose, positive, [ray].
        dose_fraction: Dose a over the full dose.
        electronic_noise: Standard deviation sigma_e, quanta.
        floor: Least counts before the logarithm.
        holds_noise: Whether the data hold the noise of the full dose.
    """
    twin = log_cumulants(dose_fraction * counts, electronic_noise=electronic_noise, floor=floor)
    if not holds_noise:
        return twin
    scan = log_cumulants(counts, electronic_noise=electronic_noise, floor=floor)
    variance = np.maximum(twin.variance - scan.variance, 0.0)
    return Cumulants(twin.mean - scan.mean, variance, twin.third - scan.third)


@lru_cache(maxsize=32)
def drawing_table(
    dose_fraction: float,
    electronic_noise: float,
    floor: float,
    most_counts: float,
    holds_noise: bool,
) -> FloatArray:
    """Mean, b and c of what is drawn, [counts, 3], flat; see the module.

    The first row belongs to `TABLE_START`, every next one to 2^`STEP_BITS` float32 numbers more.

    Args:
        dose_fraction: Dose a over the full dose.
        electronic_noise: Standard deviation sigma_e, quanta.
        floor: Least counts before the logarithm.
        most_counts: Expected counts N at full dose that the table has to reach.
        holds_noise: Whether the data hold the noise of the full dose.
    """
    first, last = (int(np.float32(each).view(np.int32)) for each in (TABLE_START, most_counts))
    rows = max(last - first, 0) // 2**STEP_BITS + 2
    mean, variance, third = lacking_cumulants(
        table_counts(rows),
        dose_fraction,
        electronic_noise=electronic_noise,
        floor=floor,
        holds_noise=holds_noise,
    )
    deviation = np.sqrt(variance)
    skewness = np.divide(third, deviation**3, out=np.zeros(rows), where=variance > 0)
    angle = np.arcsin(np.clip(skewness / _LARGEST_SKEWNESS, -1, 1)) / 3
    c = np.sqrt(2) * np.sin(angle) * deviation
    b = np.sqrt(np.maximum(variance - 2 * c**2, 0.0))
    return np.ascontiguousarray(np.stack([mean, b, c], axis=1), dtype=np.float32).reshape(-1)


def table_counts(rows: int) -> DoubleArray:
    """Expected counts N at full dose that the first rows of a table belong to."""
    first = TABLE_START.view(np.int32)
    bits = first + np.arange(rows, dtype=np.int32) * np.int32(2**STEP_BITS)
    return bits.astype(np.int32).view(np.float32).astype(np.float64)
