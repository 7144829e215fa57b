"""Photons counted one ray at a time: real Poisson numbers, for reference.

Noise insertion draws Gaussian numbers with a third cumulant; here nothing is approximated, and it
takes some ten times as long.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.simulation.noise import Keys, NoiseStatistics

_VIEWS_AT_ONCE = 64
"""Views counted together; part of what fixes the random numbers of a slice."""


def count_photons(
    line_integrals: FloatArray,
    statistics: NoiseStatistics,
    *,
    photons: FloatArray,
    keys: Keys,
    out: FloatArray,
) -> None:
    """Log change -ln(max(counts, floor) / (a N)) of every ray, N = N0 exp(-p).

    All the noise of a scan: counts are Poisson(a N). What a scan lacks to be one of the dose a:
    each of its N photons is kept with probability a, which is Binomial(N, a). The electronic noise
    is Gaussian. A function of the keys of a slice alone.

    Args:
        line_integrals: p, [view, channel, lane].
        statistics: What noise to draw; where its variance per photon is less than the dose, the
            scan holds noise already.
        photons: N0 at full dose of each slice, [slice].
        keys: Two random words for each slice, [2, slice].
        out: Receives the change, [view, channel, lane]; zero in lanes without a slice.
    """
    out.fill(0.0)
    if statistics.is_silent:
        return

    def count(lane: int) -> None:
        generator = np.random.Generator(np.random.Philox(key=keys[:, lane].astype(np.uint64)))
        for first in range(0, len(out), _VIEWS_AT_ONCE):
            views = slice(first, first + _VIEWS_AT_ONCE)
            p = line_integrals[views, :, lane].astype(np.float64)
            out[views, :, lane] = _log_change(photons[lane] * np.exp(-p), statistics, generator)

    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        list(pool.map(count, range(len(photons))))


def _log_change(
    mean: DoubleArray, statistics: NoiseStatistics, generator: np.random.Generator
) -> DoubleArray:
    """The change of rays with `mean` expected photons at full dose."""
    dose = statistics.dose_fraction
    if statistics.linear < dose:
        whole = np.floor(mean + generator.random(mean.shape)).astype(np.int64)
        counts = generator.binomial(whole, dose).astype(np.float64)
    else:
        counts = generator.poisson(dose * mean).astype(np.float64)
    counts += np.sqrt(statistics.constant) * generator.standard_normal(mean.shape)
    return np.asarray(-np.log(np.maximum(counts, statistics.floor) / (dose * mean)))
