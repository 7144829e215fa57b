"""Detectability of inserted lesions in a scan's own noise, before and after a denoiser.

A lesion is in D(x + s) and not in D(x), with the same noise, so its mean effect on the channels of
an observer is known nearly without error: delta, the mean of the responses to D(x + s) - D(x). The
covariance S is taken from n places of the same tissue where nothing was inserted. With the
difference of the means known and nu = n - 1,

    d'^2 = (nu - p - 1) / nu * delta' S^-1 delta

is unbiased for p channels, and nu delta' Sigma^-1 delta / (delta' S^-1 delta) is distributed as
chi-square with nu - p + 1 degrees of freedom, which gives an exact interval for normal responses
(Wunderlich and Noo, "Estimation of Channelized Hotelling Observer Performance with Known Class
Means or Known Difference of Class Means", IEEE Trans. Med. Imag. 28, 2009, 1198; the distribution
is that of Wishart matrices).

Anatomy is part of the background as much as noise is. The responses after a denoiser need not be
normal, and lesions may change the noise around them: intervals of ratios are bootstrapped.
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


@dataclass(frozen=True, slots=True, eq=False)
class SliceResponses:
    """Responses of channels in one slice, before and after a denoiser.

    Args:
        before: At places without a lesion, float64 [place, channel].
        after: At the same places.
        lesion_before: Of what lesions add, [lesion, channel].
        lesion_after: Of what they add after the denoiser.
    """

    before: DoubleArray
    after: DoubleArray
    lesion_before: DoubleArray
    lesion_after: DoubleArray


@dataclass(frozen=True, slots=True)
class InsertedDetectability:
    """How well an observer finds lesions.

    Args:
        before: d' in the scan.
        after: d' in the denoised scan.
        ratio: After over before.
        before_interval: Of d' in the scan.
        after_interval: Of d' in the denoised scan.
        ratio_interval: Of the ratio; None with fewer than three slices.
        places: Places without lesions.
        lesions: Lesions.
    """

    before: float
    after: float
    ratio: float
    before_interval: Interval
    after_interval: Interval
    ratio_interval: Interval | None
    places: int
    lesions: int


def known_difference_dprime(delta: DoubleArray, absent: DoubleArray) -> tuple[float, Interval]:
    """D' and its exact interval where the difference of the means is known.

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
        draws: How often slices are drawn again for the interval of the ratio.
        rng: Source of randomness.

    Returns:
        None where there are too few places without lesions, no lesion, or no noise.
    """
    before, after, added, left = (
        np.concatenate([getattr(one, name) for one in slices])
        for name in ("before", "after", "lesion_before", "lesion_after")
    )
    if not len(added) or len(before) < PLACES_PER_CHANNEL * before.shape[1]:
        return None
    if not (np.ptp(before, axis=0) > 0).all() or not (np.ptp(after, axis=0) > 0).all():
        return None
    of_before, before_interval = known_difference_dprime(added.mean(axis=0), before)
    of_after, after_interval = known_difference_dprime(left.mean(axis=0), after)
    if of_before <= 0:
        return None
    ratio = of_after / of_before
    return InsertedDetectability(
        of_before,
        of_after,
        ratio,
        before_interval,
        after_interval,
        _ratio_interval(slices, ratio, draws, rng),
        len(before),
        len(added),
    )


def _ratio_interval(
    slices: Sequence[SliceResponses], ratio: float, draws: int, rng: np.random.Generator
) -> Interval | None:
    """Percentiles of the ratio if whole slices are drawn again, as far out as for few slices."""
    size = len(slices)
    if size < 3:
        return None
    times = rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)
    squares = [
        _drawn(
            times, [getattr(one, name) for one in slices], [getattr(one, lesion) for one in slices]
        )
        for name, lesion in (("before", "lesion_before"), ("after", "lesion_after"))
    ]
    known = np.isfinite(squares[0]) & np.isfinite(squares[1]) & (squares[0] > 0)
    if np.count_nonzero(known) < draws / 2:
        return None
    ratios = np.sqrt(np.maximum(squares[1][known], 0) / squares[0][known])
    outer = stats.norm.cdf(np.sqrt(size / (size - 1)) * stats.t.ppf(0.025, size - 1))
    low, high = np.quantile(ratios, [outer, 1 - outer])
    method = f"bootstrap over {size} slices, {draws} draws, expanded percentiles"
    return Interval(min(float(low), ratio), max(float(high), ratio), method)


def _drawn(
    times: DoubleArray, absent: Sequence[DoubleArray], lesions: Sequence[DoubleArray]
) -> DoubleArray:
    """Delta' S^-1 delta of each draw; NaN where it has no lesion or too few places."""
    channels = absent[0].shape[1]
    counts = times @ np.array([float(len(one)) for one in absent])
    many = times @ np.array([float(len(one)) for one in lesions])
    enough = (counts > 2 * channels) & (many > 0)
    safe, some = np.where(enough, counts, 1.0)[:, None], np.where(enough, many, 1.0)[:, None]
    mean = times @ np.stack([one.sum(axis=0) for one in absent]) / safe
    second = times @ np.stack([(one.T @ one).ravel() for one in absent]) / safe
    covariance = second.reshape(-1, channels, channels) - mean[:, :, None] * mean[:, None, :]
    covariance[~enough] = np.eye(channels)
    delta = times @ np.stack([one.sum(axis=0) for one in lesions]) / some
    solved = np.linalg.solve(covariance, delta[..., None])[..., 0]
    return np.asarray(np.where(enough, (delta * solved).sum(axis=1), np.nan), dtype=np.float64)
