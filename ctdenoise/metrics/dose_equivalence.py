"""At which dose an image without a denoiser shows as much: detectability against dose.

With quantum noise d'^2 is proportional to the dose D, d'^2 = A D. A is fitted to the unbiased
estimates at the measured doses, weighted by their exact variances, and a chi-squared test tells
whether they follow the law. Where they do not (electronic noise, few counts), the estimates are
made monotone (least squares) and joined by straight lines from the origin on. A denoised image with
the square d'^2 equals an image without denoising at the dose where that curve has it.

Intervals come from drawing whole slices again: what is in one slice stays together, and so do a
slice before and after the denoiser, so that noise that both share cancels in their ratio. The mean
of the draws of each d'^2 is moved to its estimate, for estimates from slices that are drawn twice
are too high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, stats

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.cho import cho_of_responses, unbiased

LAW_LEVEL = 0.01
"""The law counts as broken where data so far from it would be rarer than this if it held."""

TELLS_LESS_THAN = 4.0
"""An equivalent dose whose interval is wider than this factor tells nothing."""

FARTHEST = 2.0
"""By this factor beyond the measured doses the law is trusted, where it holds at them."""

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """What the channels of an observer answer to the regions of some slices.

    Args:
        present: To regions with the signal, float64 [slice, region, channel].
        absent: To regions without it.
    """

    present: DoubleArray
    absent: DoubleArray

    @property
    def counts(self) -> tuple[int, int, int]:
        """Regions with the signal, regions without it, channels."""
        n1, n0 = (len(one) * one.shape[1] for one in (self.present, self.absent))
        return n1, n0, self.present.shape[2]


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """d'^2 as estimated, and as estimated from slices that were drawn again.

    Args:
        estimate: Unbiased; may be negative.
        draws: float64 [draw], their mean moved to the estimate.
        counts: Regions with the signal, regions without it, channels.
    """

    estimate: float
    draws: DoubleArray
    counts: tuple[int, int, int]


def paired_squares(
    responses: Sequence[Responses], *, draws: int, rng: np.random.Generator
) -> list[Squares]:
    """d'^2 of several kinds of images of the same slices, drawn again together.

    Args:
        responses: One for each kind of image: before and after a denoiser.
        draws: How often slices are drawn.
        rng: Source of randomness.

    Raises:
        InputError: If there are too few regions for the channels, or they do not vary.
    """
    slices = len(responses[0].present)
    weights = _drawn_weights(slices, _least_slices(responses[0]), draws, rng)
    found = []
    for one in responses:
        channels = one.counts[2]
        flat = (one.present.reshape(-1, channels), one.absent.reshape(-1, channels))
        estimate = cho_of_responses(*flat, "").dprime_squared
        again = _drawn_squares(one, weights)
        found.append(Squares(estimate, again + (estimate - again.mean()), one.counts))
    return found


def _least_slices(responses: Responses) -> int:
    """So many different slices must be drawn for a covariance that can be inverted."""
    regions: int = responses.present.shape[1] + responses.absent.shape[1]
    return math.ceil(float(responses.counts[2] + 3) / regions)


def _drawn_weights(slices: int, least: int, draws: int, rng: np.random.Generator) -> DoubleArray:
    """How often each slice is drawn, [draw, slice]; too few different ones are drawn again."""
    if slices < 2 * least:
        raise InputError(
            f"{slices} slices are too few to be drawn again: {2 * least} are needed.",
            fix="Take more repeats, or an observer with fewer channels.",
        )
    shares = np.full(slices, 1 / slices)
    weights = rng.multinomial(slices, shares, size=draws)
    while (few := np.count_nonzero(weights, axis=1) < least).any():
        weights[few] = rng.multinomial(slices, shares, size=int(few.sum()))
    return np.asarray(weights, dtype=np.float64)


def _drawn_squares(responses: Responses, weights: DoubleArray) -> DoubleArray:
    """Unbiased d'^2 of slices with weights [draw, slice]."""
    means, scatters, totals = zip(
        *(_moments(part, weights) for part in (responses.present, responses.absent)), strict=True
    )
    n1, n0, p = responses.counts
    difference = means[0] - means[1]
    covariance = (scatters[0] + scatters[1]) / (totals[0] + totals[1] - 2)
    solved = np.linalg.solve(covariance, difference[..., None])[..., 0]
    plug_in = np.einsum("dc,dc->d", difference, solved)
    return unbiased(np.asarray(plug_in), n1, n0, p)


def _moments(part: DoubleArray, weights: DoubleArray) -> tuple[DoubleArray, DoubleArray, float]:
    """Mean [draw, channel], scatter about it [draw, channel, channel], and number of regions."""
    middle = part.mean(axis=(0, 1))
    part = part - middle  # so that few digits are lost
    regions, channels = part.shape[1:]
    total = float(weights[0].sum() * regions)
    mean = weights @ part.sum(axis=1) / total
    products = np.einsum("src,srd->scd", part, part).reshape(len(part), -1)
    second = (weights @ products).reshape(-1, channels, channels)
    scatter = second - total * mean[:, :, None] * mean[:, None, :]
    return mean + middle, scatter, total


def square_variance(square: float, counts: tuple[int, int, int]) -> float:
    """Variance of the unbiased estimate of d'^2, from the noncentral F distribution.

    Args:
        square: The true d'^2.
        counts: Regions with the signal, regions without it, channels.
    """
    n1, n0, p = counts
    nu, k = n1 + n0 - 2, n1 * n0 / (n1 + n0)
    freedom = nu - p + 1
    factor = (nu - p - 1) / nu * nu * p / (k * freedom)
    of_f = stats.ncf.var(p, freedom, k * max(square, 0.0))
    return float(factor**2 * of_f)


Kind = Literal["square root", "interpolated"]


@dataclass(frozen=True, slots=True, eq=False)
class DoseCurve:
    """d'^2 against dose, of images that no denoiser has seen.

    Args:
        doses: Rising, float64 [dose].
        squares: d'^2 of the curve at them, float64 [dose], not falling.
        kind: `square root`: on the line A D, as theory has it. `interpolated`: made monotone.
        p_value: Of the test of the law.
    """

    doses: DoubleArray
    squares: DoubleArray
    kind: Kind
    p_value: float

    def square_at(self, doses: DoubleArray) -> DoubleArray:
        """d'^2 at doses; beyond the last one it goes on as the line from the origin does."""
        inside = np.interp(doses, self._x, self._y)
        beyond = self.squares[-1] * doses / self.doses[-1]
        return np.asarray(np.where(doses > self.doses[-1], beyond, inside))

    def dose_of(self, squares: DoubleArray) -> DoubleArray:
        """The dose at which the curve has d'^2; endless where it shows nothing at any dose."""
        last = self.squares[-1]
        if last <= 0:
            return np.where(squares > 0, np.inf, 0.0)
        rising = np.maximum.accumulate(self._y + 1e-9 * last * np.arange(len(self._y)))
        inside = np.interp(squares, rising, self._x)
        return np.asarray(np.where(squares > last, squares / last * self.doses[-1], inside))

    @property
    def _x(self) -> DoubleArray:
        return np.concatenate([[0.0], self.doses])

    @property
    def _y(self) -> DoubleArray:
        return np.concatenate([[0.0], np.maximum(self.squares, 0.0)])


def fitted_curve(
    doses: DoubleArray, squares: DoubleArray, counts: tuple[int, int, int]
) -> DoseCurve:
    """The curve through estimates of d'^2.

    Args:
        doses: Rising, float64 [dose].
        squares: Unbiased estimates, float64 [dose].
        counts: Regions with the signal, regions without it, channels.
    """
    slope = float((squares / doses).mean())
    for _ in range(4):
        weights = 1 / np.array([square_variance(slope * dose, counts) for dose in doses])
        slope = float((weights * doses * squares).sum() / (weights * doses**2).sum())
    distance = float((weights * (squares - slope * doses) ** 2).sum())
    p_value = float(stats.chi2.sf(distance, len(doses) - 1))
    kind: Kind = "square root" if p_value >= LAW_LEVEL else "interpolated"
    return _curve(doses, squares, weights, kind, p_value)


@dataclass(frozen=True, slots=True)
class EquivalentDose:
    """The dose at which an image without denoising shows as much.

    Args:
        value: In the unit of the doses; None where it lies too far beyond what was measured.
        low: Lower end of the interval.
        high: Upper end; infinite where nothing bounds it.
        words: What must be said beside the number; empty for nothing.
    """

    value: float | None
    low: float
    high: float
    words: str = ""


def equivalent_dose(
    denoised: Squares,
    plain: Sequence[Squares],
    doses: DoubleArray,
    at: int,
    *,
    level: float = 0.95,
) -> EquivalentDose:
    """The dose at which plain images show as much as denoised ones.

    By how much the plain images of the same scan happen to lie off the fitted curve, the denoised
    ones do, too: that much is taken off first, times the slope of the one over the other among the
    draws. A denoiser that changes nothing has exactly its own dose.

    Args:
        denoised: d'^2 of the denoised images.
        plain: d'^2 of the plain images at each dose.
        doses: Their doses, rising.
        at: Which of the doses was denoised; the draws of both are of the same slices.
        level: Of the interval.
    """
    counts = plain[at].counts
    curve = fitted_curve(doses, np.array([one.estimate for one in plain]), counts)
    spread = plain[at].draws - plain[at].estimate
    shared = float(spread @ (denoised.draws - denoised.estimate) / (spread @ spread))

    def dose_of(curve: DoseCurve, plain_square: float, square: float) -> float:
        off = plain_square - float(curve.square_at(doses[at : at + 1])[0])
        return float(curve.dose_of(np.array([square - shared * off]))[0])

    weights = 1 / np.array([square_variance(square, counts) for square in curve.squares])
    drawn = np.stack([one.draws for one in plain], axis=1)
    again = [
        dose_of(_curve(doses, row, weights, curve.kind, curve.p_value), row[at], square)
        for row, square in zip(drawn, denoised.draws, strict=True)
    ]
    tail = (1 - level) / 2
    low, high = (float(end) for end in np.quantile(again, [tail, 1 - tail], method="nearest"))
    value = dose_of(curve, plain[at].estimate, denoised.estimate)
    return _with_words(value, (low, high), doses, curve.kind)


def _curve(
    doses: DoubleArray, squares: DoubleArray, weights: DoubleArray, kind: Kind, p_value: float
) -> DoseCurve:
    if kind == "square root":
        slope = float((weights * doses * squares).sum() / (weights * doses**2).sum())
        return DoseCurve(doses, max(slope, 0.0) * doses, kind, p_value)
    monotone = optimize.isotonic_regression(squares, weights=weights).x
    return DoseCurve(doses, np.maximum(monotone, 0.0), kind, p_value)


def _with_words(
    value: float, interval: tuple[float, float], doses: DoubleArray, kind: Kind
) -> EquivalentDose:
    low, high = interval
    least, most = float(doses[0]), float(doses[-1])
    if least * (1 - _ROUNDING) <= value <= most * (1 + _ROUNDING):
        wide = high > TELLS_LESS_THAN * low
        words = "too uncertain to tell: more repeats are needed" if wide else ""
        return EquivalentDose(value, low, high, words)
    side, end = ("above", most) if value > most else ("below", least)
    beyond = f"{side} the measured doses ({100 * end:g} %)"
    if kind == "square root" and least / FARTHEST <= value <= most * FARTHEST:
        return EquivalentDose(value, low, high, f"{beyond}, by the law of the square root")
    return EquivalentDose(None, low, high, beyond)
