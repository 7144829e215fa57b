"""Detectability of inserted lesions in a scan's own noise, before and after a denoiser.

A lesion is in D(x + s) and not in D(x), with the same noise, so its mean effect on the channels of
an observer is known nearly without error: delta, the mean of the responses to r = D(x + s) - D(x).
The covariance of responses without lesions, S0, is taken from n places of the same tissue where
nothing was inserted. With a linear denoiser it is that with lesions, too, and

    d'^2 = (nu - p - 1) / nu * delta' S0^-1 delta,  nu = n - 1

is unbiased for p channels; nu delta' Sigma^-1 delta / (delta' S0^-1 delta) is distributed as
chi-square with nu - p + 1 degrees of freedom, which gives an exact interval for normal responses
(Wunderlich and Noo, "Estimation of Channelized Hotelling Observer Performance with Known Class
Means or Known Difference of Class Means", IEEE Trans. Med. Imag. 28, 2009, 1198; the distribution
is that of Wishart matrices).

Other denoisers make of a lesion what the noise at its place makes them. What r has beyond its mean,
e, is noise that a lesion brings with it. So the covariance with lesions is
S1 = S0 + cov(e) + cov(e, v) + cov(v, e), with v the responses to D(x) at the places of the lesions,
and the observer has to do with S = (S0 + S1) / 2. Lesions differ by parts of a pixel in their
place; this part of r is left out of e, with the same share of it as of the mean.

Anatomy is part of the background as much as noise is. Intervals after a denoiser, and of the ratio,
are bootstrapped over slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.table import Interval

PLACES_PER_CHANNEL = 8
"""So many places for each channel are needed: with fewer, S is not known well enough."""

_ROUNDING = 1e-4  # of what lesions add: responses that vary less hold rounding and no noise
_DEPENDENT = 1e-9  # least eigenvalue of the correlation of responses that are told apart


@dataclass(frozen=True, slots=True, eq=False)
class SliceResponses:
    """Responses of channels in one slice, before and after a denoiser.

    Args:
        before: At places without a lesion, float64 [place, channel].
        after: At the same places.
        lesion_before: Of what lesions add, [lesion, channel].
        lesion_after: Of what they add after the denoiser.
        under_after: To the denoised scan without lesions, at their places.
    """

    before: DoubleArray
    after: DoubleArray
    lesion_before: DoubleArray
    lesion_after: DoubleArray
    under_after: DoubleArray


@dataclass(frozen=True, slots=True)
class InsertedDetectability:
    """How well an observer finds lesions.

    Args:
        before: d' in the scan.
        after: d' in the denoised scan.
        ratio: After over before.
        before_interval: Of d' in the scan.
        after_interval: Of d' in the denoised scan; None with fewer than three slices.
        ratio_interval: Of the ratio; None likewise.
        places: Places without lesions.
        lesions: Lesions.
    """

    before: float
    after: float
    ratio: float
    before_interval: Interval
    after_interval: Interval | None
    ratio_interval: Interval | None
    places: int
    lesions: int


def known_difference_dprime(delta: DoubleArray, absent: DoubleArray) -> tuple[float, Interval]:
    """Detectability d' and its exact interval where the difference of the means is known.

    Args:
        delta: Difference of the mean responses, [channel].
        absent: Responses to independent images without the signal, [image, channel]; more images
            than channels and two.
    """
    count, channels = absent.shape
    nu = count - 1
    covariance = np.cov(absent.T, ddof=1).reshape(channels, channels)
    plug_in = float(delta @ np.linalg.solve(covariance, delta))
    value = np.sqrt(max(0.0, (nu - channels - 1) / nu * plug_in))
    low, high = (
        float(np.sqrt(plug_in * stats.chi2.ppf(tail, nu - channels + 1) / nu))
        for tail in (0.025, 0.975)
    )
    method = f"exact, chi-square, {count} places"
    return float(value), Interval(low, high, method)


def inserted_detectability(
    slices: Sequence[SliceResponses], *, draws: int, rng: np.random.Generator
) -> InsertedDetectability | None:
    """Detectability of lesions before and after a denoiser, and the ratio of the two.

    Args:
        slices: Responses in each slice.
        draws: How often slices are drawn again for intervals.
        rng: Source of randomness.

    Returns:
        None where there are too few places without lesions, too few lesions, or no noise.
    """
    whole = _Sums.of(slices)
    before, after = (
        np.concatenate([getattr(one, n) for one in slices]) for n in ("before", "after")
    )
    lesions, channels = int(whole.lesions.sum()), before.shape[1]
    if lesions <= 2 * channels or len(before) < PLACES_PER_CHANNEL * channels:
        return None
    added = np.concatenate([one.lesion_before for one in slices]).mean(axis=0)
    least = _ROUNDING * np.abs(added).max()
    if not all(_noisy(one, least) for one in (before, after)):
        return None
    of_before, before_interval = known_difference_dprime(added, before)
    squares = whole.squares(np.ones((1, len(slices))))
    if of_before <= 0 or not np.isfinite(squares).all() or squares[0][0] <= 0:
        return None
    ratio = float(np.sqrt(squares[1][0] / squares[0][0]))
    after_interval, ratio_interval = _intervals(whole, of_before, ratio, draws, rng)
    return InsertedDetectability(
        of_before,
        ratio * of_before,
        ratio,
        before_interval,
        after_interval,
        ratio_interval,
        len(before),
        lesions,
    )


def _noisy(responses: DoubleArray, least: float) -> bool:
    """Whether responses [place, channel] vary, and each channel in a way of its own."""
    deviations = responses.std(axis=0)
    if not (deviations > least).all():
        return False
    correlation = np.cov(responses.T).reshape(2 * deviations.shape) / np.outer(
        deviations, deviations
    )
    return bool(np.linalg.eigvalsh(correlation)[0] > _DEPENDENT)


def _intervals(
    whole: _Sums, of_before: float, ratio: float, draws: int, rng: np.random.Generator
) -> tuple[Interval | None, Interval | None]:
    """Of d' after, and of the ratio, if whole slices are drawn again; as wide as few ask for."""
    size = len(whole.lesions)
    if size < 3:
        return None, None
    times = rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)
    squares = whole.squares(times)
    known = np.isfinite(squares).all(axis=0) & (squares[0] > 0)
    if np.count_nonzero(known) < draws / 2:
        return None, None
    kept = squares[:, known]
    outer = stats.norm.cdf(np.sqrt(size / (size - 1)) * stats.t.ppf(0.025, size - 1))
    method = f"bootstrap over {size} slices, {draws} draws, expanded percentiles"
    scale = of_before / np.sqrt(whole.squares(np.ones((1, size)))[0, 0])
    found = []
    for value, drawn in (
        (ratio * of_before, scale * np.sqrt(kept[1])),
        (ratio, np.sqrt(kept[1] / kept[0])),
    ):
        low, high = np.quantile(drawn, [outer, 1 - outer])
        found.append(Interval(min(float(low), value), max(float(high), value), method))
    return found[0], found[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Sums over the places and the lesions of each slice, [slice, ...].

    Args:
        places: How many places.
        lesions: How many lesions.
        absent: Means and products of responses at places, before and after.
        added: What lesions add, before and after.
        noise: Products of e with e and of e with v, both ways.
        parts: Sums of e and of v.
    """

    places: DoubleArray
    lesions: DoubleArray
    absent: tuple[tuple[DoubleArray, DoubleArray], ...]
    added: tuple[DoubleArray, DoubleArray]
    noise: DoubleArray
    parts: tuple[DoubleArray, DoubleArray]

    @classmethod
    def of(cls, slices: Sequence[SliceResponses]) -> _Sums:
        """The sums of some slices."""
        own = np.concatenate([one.lesion_before for one in slices])
        left = np.concatenate([one.lesion_after for one in slices])
        mean_own, mean_left = (
            each.mean(axis=0) if len(each) else np.zeros(each.shape[1]) for each in (own, left)
        )
        power = float(mean_own @ mean_own)
        share = float(mean_left @ mean_own) / power if power > 0 else 0.0
        noise, excesses, unders = [], [], []
        for one in slices:
            e = one.lesion_after - mean_left - share * (one.lesion_before - mean_own)
            cross = e.T @ one.under_after
            noise.append(e.T @ e + cross + cross.T)
            excesses.append(e.sum(axis=0))
            unders.append(one.under_after.sum(axis=0))
        return cls(
            np.array([float(len(one.before)) for one in slices]),
            np.array([float(len(one.lesion_before)) for one in slices]),
            tuple(
                (
                    np.stack([getattr(one, name).sum(axis=0) for one in slices]),
                    np.stack([getattr(one, name).T @ getattr(one, name) for one in slices]),
                )
                for name in ("before", "after")
            ),
            (
                np.stack([one.lesion_before.sum(axis=0) for one in slices]),
                np.stack([one.lesion_after.sum(axis=0) for one in slices]),
            ),
            np.stack(noise),
            (np.stack(excesses), np.stack(unders)),
        )

    def squares(self, times: DoubleArray) -> DoubleArray:
        """The squares delta' S^-1 delta before and after, [2, draw], with slices counted so often.

        NaN where a draw has too few places or lesions, or no covariance.

        Args:
            times: How often each slice counts in each draw, [draw, slice].
        """
        channels = self.noise.shape[-1]
        counts, lesions = times @ self.places, times @ self.lesions
        enough = (counts > 2 * channels) & (lesions > channels)
        counts, lesions = (np.where(enough, one, 1.0) for one in (counts, lesions))
        found = []
        for number, (total, products) in enumerate(self.absent):
            covariance = _covariance(times, total, products, counts)
            if number:
                covariance = covariance + self._brought(times, lesions) / 2
            delta = times @ self.added[number] / lesions[:, None]
            usable = enough & (np.linalg.eigvalsh(covariance)[:, 0] > 0)
            covariance[~usable] = np.eye(channels)
            solved = np.linalg.solve(covariance, delta[..., None])[..., 0]
            found.append(np.where(usable, (delta * solved).sum(axis=1), np.nan))
        return np.stack(found)

    def _brought(self, times: DoubleArray, lesions: DoubleArray) -> DoubleArray:
        """S1 - S0: the covariance that lesions bring with them."""
        e, v = (times @ part / lesions[:, None] for part in self.parts)
        mean = e[:, :, None] * e[:, None, :] + e[:, :, None] * v[:, None, :]
        mean += v[:, :, None] * e[:, None, :]
        raw = np.tensordot(times, self.noise, axes=1) / lesions[:, None, None]
        return np.asarray(raw - mean, dtype=np.float64)


def _covariance(
    times: DoubleArray, total: DoubleArray, products: DoubleArray, counts: DoubleArray
) -> DoubleArray:
    mean = times @ total / counts[:, None]
    raw = np.tensordot(times, products, axes=1) / counts[:, None, None]
    return np.asarray(raw - mean[:, :, None] * mean[:, None, :], dtype=np.float64)
