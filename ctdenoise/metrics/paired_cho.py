"""Did a denoiser change detectability? Two observers on the same realisations of the noise.

What an observer finds before and after denoising rests on the same scans, so the two figures rise
and fall together, and the interval of their ratio is much narrower than their own intervals say.
It is found by a bootstrap: realisations are drawn with replacement, the same ones before and after,
and both are judged anew. In a draw the sample plays the part of the truth, so that the unbiased
estimate is taken relative to the sample's own D^2; what n images with p channels add to D^2 is
p (1 / n1 + 1 / n0) once for the sample and once more for the draw.

Such intervals hold the truth as often as they should or, where the signal can barely be seen, more
often; `tests/perf/study_paired_observers.py` counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.channels import Channels
from ctdenoise.metrics.cho import ChoResult, cho_of_responses, unbiased
from ctdenoise.metrics.table import Interval

_NUMBERS_AT_ONCE = 8_000_000
"""Values held in memory together."""


@dataclass(frozen=True, slots=True)
class DetectabilityChange:
    """Detectability after denoising against that before, on the same realisations.

    Args:
        before: What the observer finds in the images as they were.
        after: What it finds in the same images after denoising.
        ratio: d' after over d' before; None where nothing was to be seen before.
        ratio_interval: Where the true ratio lies; without an upper end where the signal can barely
            be seen before.
        difference: d' after minus d' before.
        difference_interval: Where the true difference lies.
    """

    before: ChoResult
    after: ChoResult
    ratio: float | None
    ratio_interval: Interval
    difference: float
    difference_interval: Interval


def detectability_change(  # noqa: PLR0913 - two pairs of images, and how to judge them
    before_present: DoubleArray,
    before_absent: DoubleArray,
    after_present: DoubleArray,
    after_absent: DoubleArray,
    channels: Channels,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> DetectabilityChange:
    """How denoising changed what the channelised Hotelling observer detects.

    Args:
        before_present: Regions with the signal, HU, [image, y, x].
        before_absent: Regions without it, independent of the others, HU, [image, y, x].
        after_present: The first after denoising, in their order.
        after_absent: The second after denoising, in their order.
        channels: Through which the observer looks, before and after.
        rng: Source of the draws.
        draws: How many.
        level: Of the intervals.

    Raises:
        InputError: If there are not as many images after as before, or as for `cho`.
        UsageError: If the level is not between 0 and 1.
    """
    return change_of_responses(
        (channels.responses(before_present), channels.responses(before_absent)),
        (channels.responses(after_present), channels.responses(after_absent)),
        channels.name,
        rng=rng,
        draws=draws,
        level=level,
    )


def change_of_responses(
    before: tuple[DoubleArray, DoubleArray],
    after: tuple[DoubleArray, DoubleArray],
    name: str,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> DetectabilityChange:
    """The same from the responses (present, absent) of channels, float64 [image, channel].

    Args:
        before: To the images as they were.
        after: To the same images after denoising, in their order.
        name: Of the channels.
        rng: Source of the draws.
        draws: How many.
        level: Of the intervals.

    Raises:
        InputError: If there are not as many responses after as before, or as for `cho`.
        UsageError: If the level is not between 0 and 1.
    """
    if any(one.shape != other.shape for one, other in zip(before, after, strict=True)):
        raise InputError("The images after denoising are not those before: their numbers differ.")
    first, second = (cho_of_responses(*one, name, level=level) for one in (before, after))
    drawn = _drawn([before, after], rng, draws)
    tails = ((1 - level) / 2, (1 + level) / 2)
    method = f"bootstrap over realisations, the same before and after, {draws} draws"
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = drawn[1] / drawn[0]
    low = np.quantile(np.nan_to_num(ratios, nan=0.0, posinf=np.inf), tails[0], method="lower")
    high = np.quantile(np.nan_to_num(ratios, nan=np.inf, posinf=np.inf), tails[1], method="higher")
    differences = np.quantile(drawn[1] - drawn[0], tails)
    return DetectabilityChange(
        first,
        second,
        second.dprime / first.dprime if first.dprime > 0 else None,
        Interval(float(low), float(high), method, level),
        second.dprime - first.dprime,
        Interval(float(differences[0]), float(differences[1]), method, level),
    )


def _drawn(
    pairs: list[tuple[DoubleArray, DoubleArray]], rng: np.random.Generator, draws: int
) -> list[DoubleArray]:
    """The d' of every draw for each pair of responses, from the same drawn realisations."""
    counts = [len(one) for one in pairs[0]]
    p = pairs[0][0].shape[1]
    centred = [[one - one.mean(axis=0) for one in pair] for pair in pairs]
    moments = [[_moments(one) for one in pair] for pair in centred]
    between = [pair[0].mean(axis=0) - pair[1].mean(axis=0) for pair in pairs]
    found: list[list[DoubleArray]] = [[] for _ in pairs]
    step = max(1, _NUMBERS_AT_ONCE // (p * p + sum(counts)))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        weights = [rng.multinomial(n, np.full(n, 1 / n), size) / n for n in counts]
        for place, pair, gap in zip(found, moments, between, strict=True):
            sums = [w @ one for w, one in zip(weights, pair, strict=True)]
            place.append(_dprimes(sums, gap, counts))
    return [np.concatenate(place) for place in found]


def _moments(centred: DoubleArray) -> DoubleArray:
    """Responses less their mean, and the products of each two: [image, p + p^2]."""
    products = np.einsum("ni,nj->nij", centred, centred).reshape(len(centred), -1)
    return np.concatenate([centred, products], axis=1)


def _dprimes(sums: list[DoubleArray], gap: DoubleArray, counts: list[int]) -> DoubleArray:
    """The d' of every draw.

    Args:
        sums: Mean moments of every draw, of images with the signal and without, [draw, moment].
        gap: Mean response with the signal less that without, of all images, [channel].
        counts: Images with and without the signal.
    """
    p = len(gap)
    scatter = np.zeros((len(sums[0]), p, p))
    for n, one in zip(counts, sums, strict=True):
        mean, products = one[:, :p], one[:, p:].reshape(-1, p, p)
        scatter += n * (products - np.einsum("bi,bj->bij", mean, mean))
    covariance = scatter / (sum(counts) - 2)
    deviations = np.sqrt(np.einsum("bii->bi", covariance))
    correlation = covariance / np.einsum("bi,bj->bij", deviations, deviations)
    difference = (gap + sums[0][:, :p] - sums[1][:, :p]) / deviations
    solved = np.linalg.solve(correlation, difference[..., None])[..., 0]
    plug_in = np.einsum("bi,bi->b", difference, solved)
    square = unbiased(plug_in, counts[0], counts[1], p) - p * sum(1 / n for n in counts)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))
