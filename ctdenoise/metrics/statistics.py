"""What some patients say about others: intervals of means, paired tests, and honest words.

A figure goes from slices to a patient to the cohort: the slices of a patient are alike, so pooled
slices as independent cases would make any difference significant. Everything here takes one number
for each patient.

* Intervals of a mean come from resampling whole patients (a cluster bootstrap), studentised: with
  mean m, standard deviation s and n patients, t* = (m* - m) / (s* / sqrt(n)) of every resample, and
  the interval is m - t*(97.5 %) s / sqrt(n) to m - t*(2.5 %) s / sqrt(n) (Efron and Tibshirani, An
  Introduction to the Bootstrap, 1993, section 12.5). The percentile interval and BCa are too short
  for few patients: `docs/validation/image_quality.md` has the coverage of each.
* With fewer than 6 patients resampling has too little to choose from. The interval is then
  Student's, which takes the patients to be normally distributed, and says so.
* Methods are compared by the differences of the same patients: their interval, and the Wilcoxon
  signed-rank test with p-values by Holm's method over everything that was tested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import stats

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.table import Interval

FEWEST_PATIENTS = 6
"""With fewer, no two-sided signed-rank test reaches p < 0.05: its least p is 2^(1-n)."""

SAMPLES = 10_000
"""Resamples of the bootstrap."""

_ROUNDING = 1e-12  # of the largest number: patients that differ by less are equal
_EXACT_UP_TO = 50  # patients; more have a normal approximation that cannot be told from the exact p


def mean_interval(
    patients: DoubleArray, *, seed: int, samples: int = SAMPLES, level: float = 0.95
) -> Interval | None:
    """The interval of the mean of a cohort.

    Args:
        patients: One number for each patient, or the difference of two methods on each, [patient].
        seed: Of the resampling: the same seed gives the same interval.
        samples: Resamples.
        level: Probability that such an interval holds the mean of all patients.

    Returns:
        None with fewer than two patients, or where one has no finite number.
    """
    count = patients.size
    if count < 2 or not np.isfinite(patients).all():
        return None
    mean, error = float(patients.mean()), float(patients.std(ddof=1)) / math.sqrt(count)
    low, high = (1 - level) / 2, (1 + level) / 2
    if np.ptp(patients) <= _ROUNDING * np.abs(patients).max():
        return Interval(mean, mean, f"{count} equal patients", level)
    if count < FEWEST_PATIENTS:
        reach = float(stats.t.ppf(high, count - 1)) * error
        words = f"Student's t, {count} patients taken to be normally distributed"
        return Interval(mean - reach, mean + reach, words, level)
    quantiles = _studentised(patients - mean, samples, seed, (high, low))
    words = f"studentised bootstrap over {count} patients, {samples} resamples"
    return Interval(mean - quantiles[0] * error, mean - quantiles[1] * error, words, level)


def _studentised(
    centred: DoubleArray, samples: int, seed: int, levels: tuple[float, float]
) -> tuple[float, float]:
    """Quantiles of t* over resamples of numbers whose mean is 0."""
    count = centred.size
    times = _resamples(count, samples, seed)
    means = times @ centred / count
    squares = times @ np.square(centred) / count
    variances = (squares - np.square(means)) * count / (count - 1)
    varied = variances > 1e-12 * np.square(centred).mean()  # else every draw is the same patient
    ratios = means[varied] / np.sqrt(variances[varied] / count)
    high, low = np.quantile(ratios, levels)
    return float(high), float(low)


@lru_cache(maxsize=4)
def _resamples(count: int, samples: int, seed: int) -> DoubleArray:
    """How often each patient is drawn in each resample, float64 [sample, patient]."""
    rng = np.random.default_rng(seed)
    times: DoubleArray = rng.multinomial(count, np.full(count, 1 / count), samples).astype(float)
    times.setflags(write=False)
    return times


def signed_rank_p(differences: DoubleArray) -> float | None:
    """Two-sided p of the Wilcoxon signed-rank test of paired differences.

    Exact up to 50 patients without ties; with ties or zeros as scipy does it.

    Args:
        differences: One method less the other, one number for each patient.

    Returns:
        None with fewer than 6 patients, where no result could be significant, or where a number is
        not finite. 1 where all differences are 0.
    """
    if differences.size < FEWEST_PATIENTS or not np.isfinite(differences).all():
        return None
    told_apart = differences[differences != 0]
    if not told_apart.size:
        return 1.0
    sizes = np.abs(told_apart)
    untied = told_apart.size == differences.size and np.unique(sizes).size == sizes.size
    exact = untied and differences.size <= _EXACT_UP_TO
    found = stats.wilcoxon(differences, method="exact" if exact else "auto")
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values corrected for how many there are (Holm, Scand. J. Statist. 6, 1979).

    The i-th smallest of m is multiplied by m - i + 1, and none is below the one before it. The
    chance of any false claim among all of them is then at most the level.

    Args:
        p_values: Of all tests of the family, in any order.

    Returns:
        In the same order, at most 1.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, (len(p_values) - rank) * p_values[place])
        corrected[place] = min(1.0, highest)
    return tuple(corrected)


def least_p(patients: int) -> float:
    """The least two-sided p that a signed-rank test of so many patients can have: 2^(1-n)."""
    return min(1.0, 2.0 ** (1 - patients))


def words_about_test(patients: int, tests: int = 1) -> str:
    """What so many patients can show at 5 %; empty where they are enough.

    Args:
        patients: How many.
        tests: How many tests Holm's method corrects for.
    """
    least = least_p(patients)
    if patients < FEWEST_PATIENTS:
        return f"n too small for p<0.05 (min p = 2^(1-n) = {least:.4g} for n = {patients})"
    if tests * least >= 0.05:
        return (
            f"n too small for p<0.05 in all {tests} tests together: with n = {patients} the least "
            f"p is 2^(1-n) = {least:.3g}, and {tests} times that after Holm's correction"
        )
    return ""
