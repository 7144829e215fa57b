"""From the spread of an edge or a line to a transfer function, and the frequencies it ends at.

T(f) = abs(sum L(x) w(x) exp(-2 pi i f x)) / abs(sum L(x) w(x)), for a line spread function L and a
window w that is flat over the middle half and falls to zero as a cosine (a Tukey window of 50 %). A
Hann window over the same width narrows the spread and makes a circular edge of 5 mm radius seem up
to six per cent sharper than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ctdenoise.core.arrays import DoubleArray

STEPS_TO_NYQUIST = 512
"""Frequencies that a transfer function is given at, beside zero."""


_FEWEST_SAMPLES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """A transfer function: how much of each frequency is kept.

    Args:
        frequency_per_mm: From zero to the highest that can be told, 1/mm.
        values: 1 at zero; NaN where nothing could be measured.
        f50_draws: f50 of each resampling, 1/mm; NaN where it has none. Empty where none was asked
            for.
        f10_draws: The same of f10.
        low: Lower end of the 95 % band of the values; None without resampling.
        high: Its upper end.
    """

    frequency_per_mm: DoubleArray
    values: DoubleArray
    f50_draws: DoubleArray
    f10_draws: DoubleArray
    low: DoubleArray | None = None
    high: DoubleArray | None = None

    @property
    def f50_per_mm(self) -> float | None:
        """Where it falls below a half; None where it does not up to the last frequency."""
        return crossing(self.frequency_per_mm, self.values, 0.5)

    @property
    def f10_per_mm(self) -> float | None:
        """Where it falls below a tenth; None where it does not up to the last frequency."""
        return crossing(self.frequency_per_mm, self.values, 0.1)

    @property
    def f50_interval_per_mm(self) -> tuple[float, float] | None:
        """95 % interval of f50 by the bootstrap over samples; None if it has none."""
        return percentile_interval(self.f50_draws)

    @property
    def f10_interval_per_mm(self) -> tuple[float, float] | None:
        """95 % interval of f10 by the bootstrap over samples; None if it has none."""
        return percentile_interval(self.f10_draws)


def measured_transfer(
    frequency_per_mm: DoubleArray,
    of_weights: Callable[[DoubleArray], DoubleArray],
    *,
    samples: int,
    resamplings: DoubleArray | None,
) -> Transfer:
    """The transfer function of all samples, with what resampling them says of its error.

    Args:
        frequency_per_mm: Where it is given.
        of_weights: The transfer functions of weighted samples: [..., sample] to [..., frequency].
        samples: How many there are.
        resamplings: How often each sample counts in each resampling, [resampling, sample]; None,
            or without a row, for no interval.
    """
    values = of_weights(np.ones(samples))
    if resamplings is None or not len(resamplings):
        return Transfer(frequency_per_mm, values, np.empty(0), np.empty(0))
    curves = of_weights(resamplings)
    low, high = np.quantile(curves, (0.025, 0.975), axis=0)
    f50, f10 = (_crossings(frequency_per_mm, curves, level) for level in (0.5, 0.1))
    return Transfer(frequency_per_mm, values, f50, f10, low, high)


def frequencies(nyquist_per_mm: float) -> DoubleArray:
    """Where a transfer function is given: from zero to the Nyquist frequency, 1/mm.

    Args:
        nyquist_per_mm: Half of one over the distance of the samples.
    """
    return np.linspace(0.0, nyquist_per_mm, STEPS_TO_NYQUIST + 1)


def flat_top(x_mm: DoubleArray, half_width_mm: float) -> DoubleArray:
    """The window w: one over the middle half, a cosine to zero at the ends.

    Args:
        x_mm: Distance from the edge or the line.
        half_width_mm: Where it becomes zero.
    """
    fall = np.clip(2 * np.abs(x_mm) / half_width_mm - 1, 0.0, 1.0)
    return np.asarray(0.5 * (1 + np.cos(np.pi * fall)))


def transfer_of_line(
    spread: DoubleArray, x_mm: DoubleArray, frequency_per_mm: DoubleArray
) -> DoubleArray:
    """The transfer function of line spread functions, 1 at zero, [..., frequency].

    Args:
        spread: Sampled at equal distances and windowed already, [..., sample].
        x_mm: Where the samples lie.
        frequency_per_mm: Where it is wanted, zero first.
    """
    waves = np.exp(-2j * np.pi * np.outer(x_mm, frequency_per_mm))
    strength = np.abs(spread @ waves)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(strength / strength[..., :1])


def transfer_of_edge(
    edge: DoubleArray,
    x_mm: DoubleArray,
    frequency_per_mm: DoubleArray,
    *,
    half_width_mm: float,
) -> DoubleArray:
    """The transfer function of edge spread functions, 1 at zero, [..., frequency].

    The line spread is the central difference of the edge spread. That, and the mean over each bin
    of the width b, multiply the transfer function by sinc(2 f b) sinc(f b); it is divided by both.

    Args:
        edge: Means over bins of equal width, [..., bin].
        x_mm: Centres of the bins.
        frequency_per_mm: Where it is wanted, zero first.
        half_width_mm: Where the window ends.
    """
    width = float(x_mm[1] - x_mm[0])
    spread = np.gradient(edge, width, axis=-1) * flat_top(x_mm, half_width_mm)
    lost = np.sinc(frequency_per_mm * width) * np.sinc(2 * frequency_per_mm * width)
    return transfer_of_line(spread, x_mm, frequency_per_mm) / lost


def crossing(frequency_per_mm: DoubleArray, values: DoubleArray, level: float) -> float | None:
    """The first frequency at which a curve falls below a level, linearly interpolated, 1/mm.

    Args:
        frequency_per_mm: Increasing.
        values: Of the curve; those that are not numbers have no crossing.
        level: Such as 0.5.

    Returns:
        None where the curve does not fall so far up to the last frequency.
    """
    below = np.flatnonzero(values < level)
    if not below.size or not below[0] or not np.isfinite(values[: below[0]]).all():
        return None
    after = int(below[0])
    before = after - 1
    share = (values[before] - level) / (values[before] - values[after])
    step = frequency_per_mm[after] - frequency_per_mm[before]
    return float(frequency_per_mm[before] + share * step)


def resampled(slices: int, count: int, rng: np.random.Generator) -> DoubleArray:
    """How often each slice is drawn in each resampling with replacement, [resampling, slice].

    Fewer than four slices say nothing about their own spread, and are not resampled; the slices
    are taken as independent, which those of a scan with overlapping slices are not.

    Args:
        slices: How many there are.
        count: Resamplings; none where there are too few slices.
        rng: Source of randomness.
    """
    if slices < _FEWEST_SAMPLES:
        return np.empty((0, slices))
    draws = rng.multinomial(slices, np.full(slices, 1 / slices), size=count)
    # The spread of means over resamplings is too narrow by the root of (n - 1) / n, and the middle
    # 95 % of it are those of a normal distribution where Student's belongs: draws are moved away
    # from their mean by as much (Hesterberg, Am Stat 69, 371, 2015).
    student = stats.t.ppf(0.975, slices - 1) / stats.norm.ppf(0.975)
    return np.asarray(1 + (draws - 1) * (student * np.sqrt(slices / (slices - 1))))


def weighted_ratio(
    weights: DoubleArray, numerators: DoubleArray, denominators: DoubleArray
) -> DoubleArray:
    """The sum of numerators over that of denominators when samples are weighted, to first order.

    With r the ratio without weights it is r + sum (w - 1) (n - r d) / sum d. Weights of `resampled`
    may be below zero, and where one sample has most of the denominators the quotient of the
    weighted sums would be anything. NaN where the denominators sum up to 0.

    Args:
        weights: Of each sample, 1 as it is, [..., sample].
        numerators: Of each sample, [sample] or [sample, value].
        denominators: Of each sample, not negative, [sample].
    """
    total = denominators.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = numerators.sum(axis=0) / total
        beside = (numerators.T - np.multiply.outer(ratio, denominators)).T
        return np.asarray(ratio + (weights - 1) @ beside / total)


def percentile_interval(draws: DoubleArray) -> tuple[float, float] | None:
    """The middle 95 % of resamplings; None without any, or where one in forty has no value.

    Args:
        draws: One value of each resampling; NaN where it has none.
    """
    known = draws[np.isfinite(draws)]
    if not known.size or known.size < 0.975 * draws.size:
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def f50_ratio(after: Transfer, before: Transfer) -> tuple[float | None, tuple[float, float] | None]:
    """The f50 of one transfer function over that of another, and its 95 % interval.

    Args:
        after: Such as that of denoised images.
        before: Of the same slices before; with the same resamplings, so that what both share
            cancels.

    Returns:
        None for what is not known: an f50 beyond Nyquist, too much noise, no resampling.
    """
    over, under = after.f50_per_mm, before.f50_per_mm
    if over is None or under is None:
        return None, None
    if after.f50_draws.shape != before.f50_draws.shape:
        return over / under, None
    return over / under, percentile_interval(after.f50_draws / before.f50_draws)


def _crossings(frequency: DoubleArray, curves: DoubleArray, level: float) -> DoubleArray:
    found = [crossing(frequency, curve, level) for curve in curves]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)
