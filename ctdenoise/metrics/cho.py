"""Detectability by a channelised Hotelling observer, unbiased and with its exact interval.

Of n1 images with a signal and n0 without, v are the responses of p channels, dv the difference of
their means, S their pooled covariance with nu = n1 + n0 - 2 degrees of freedom. Then

    D^2 = dv' S^-1 dv                                     plug-in: too high, by much with few images
    d'^2 = (nu - p - 1) / nu D^2 - p (1 / n1 + 1 / n0)    unbiased; may be negative without a signal
    F = D^2 k (nu - p + 1) / (nu p),  k = n1 n0 / (n1 + n0)

and, for normal responses of one covariance, F has a noncentral F distribution with p and nu - p + 1
degrees of freedom and noncentrality k d'^2. The ends of the interval are the d' for which the F
that was found is at its upper and lower quantile. AUC = Phi(d' / sqrt 2).

Source: Wunderlich, Noo, Gallas, Heilbrun, IEEE Trans. Med. Imag. 34 (2015) 453, and their IQmodelo
`exactCI_CHO.m` (which takes the first term of the unbiased estimate alone as its SNR^2). No image
is kept back to test on: splitting them wastes half and is biased low.

The images with and without the signal must be independent of each other; images that share their
noise make the interval too wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import optimize, special, stats

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError, UsageError
from ctdenoise.metrics.channels import Channels
from ctdenoise.metrics.table import Interval

Squares = TypeVar("Squares", float, DoubleArray)
"""One number or an array of them."""

_SINGULAR = 1e-12
"""Below this share of the largest, an eigenvalue of the correlation of responses counts as zero."""

_HARDLY_ANY_NOISE = 1e9
"""Above this noncentrality its error is that of the covariance alone, and scipy's F ends."""


@dataclass(frozen=True, slots=True)
class ChoResult:
    """How well a channelised Hotelling observer tells images with a signal from those without.

    Args:
        dprime: Detectability, from the unbiased estimate; 0 where that is negative.
        dprime_squared: The unbiased estimate of d'^2, which may be negative.
        dprime_plug_in: The usual estimate D, for comparison with others: biased high.
        interval: Where the true d' lies.
        n_present: Images with the signal.
        n_absent: Images without.
        channels: Their name and number.
        count: Number of channels.
    """

    dprime: float
    dprime_squared: float
    dprime_plug_in: float
    interval: Interval
    n_present: int
    n_absent: int
    channels: str
    count: int

    @property
    def auc(self) -> float:
        """Area under the ROC curve, from d'."""
        return auc_of(self.dprime)

    @property
    def auc_interval(self) -> Interval:
        """Where the true area under the ROC curve lies."""
        ends = auc_of(self.interval.low), auc_of(self.interval.high)
        return Interval(*ends, self.interval.method, self.interval.level)

    @property
    def note(self) -> str:
        """What must be said beside the number; empty for nothing."""
        if self.dprime_squared >= 0:
            return ""
        return (
            f"no signal was found: the unbiased estimate of d'^2 is {self.dprime_squared:.3g}, "
            "given as d' = 0"
        )


def auc_of(dprime: float) -> float:
    """Area under the ROC curve of an observer with normal scores, Phi(d' / sqrt 2)."""
    return float(special.ndtr(dprime / math.sqrt(2)))


def cho(
    present: DoubleArray, absent: DoubleArray, channels: Channels, *, level: float = 0.95
) -> ChoResult:
    """Detectability of the signal by the channelised Hotelling observer.

    Args:
        present: Regions with the signal in the middle, HU, [image, y, x].
        absent: Regions without it, independent of the others, HU, [image, y, x].
        channels: Through which the observer looks.
        level: Of the interval.

    Raises:
        InputError: If there are too few images for the channels (n1 + n0 - 2 must be above 2 p), or
            the responses do not vary, or in fewer directions than there are channels.
        UsageError: If the level is not between 0 and 1.
    """
    return cho_of_responses(
        channels.responses(present), channels.responses(absent), channels.name, level=level
    )


def cho_of_responses(
    present: DoubleArray, absent: DoubleArray, name: str, *, level: float = 0.95
) -> ChoResult:
    """The same from the responses of channels, float64 [image, channel].

    Args:
        present: To images with the signal.
        absent: To images without.
        name: Of the channels.
        level: Of the interval.

    Raises:
        InputError: As for `cho`.
        UsageError: If the level is not between 0 and 1.
    """
    n1, n0, p = len(present), len(absent), present.shape[1]
    require_enough(n1, n0, p)
    plug_in = mahalanobis_squared(present, absent)
    return ChoResult(
        dprime=math.sqrt(max(0.0, unbiased(plug_in, n1, n0, p))),
        dprime_squared=unbiased(plug_in, n1, n0, p),
        dprime_plug_in=math.sqrt(plug_in),
        interval=exact_interval(plug_in, n1, n0, p, level=level),
        n_present=n1,
        n_absent=n0,
        channels=name,
        count=p,
    )


def require_enough(n_present: int, n_absent: int, count: int) -> None:
    """Refuse fewer images than an estimate needs.

    Args:
        n_present: Images with the signal.
        n_absent: Images without.
        count: Number of channels.

    Raises:
        InputError: If n1 + n0 - 2 is not above 2 p, or one class has fewer than two images.
    """
    if n_present + n_absent - 2 > 2 * count and min(n_present, n_absent) >= 2:
        return
    raise InputError(
        f"{n_present} images with and {n_absent} without a signal are too few for {count} "
        "channels.",
        fix=f"Take at least {2 * count + 3} images in all, or fewer channels.",
    )


def mahalanobis_squared(present: DoubleArray, absent: DoubleArray) -> float:
    """D^2 of responses with and without a signal.

    Args:
        present: Responses to images with the signal, [image, channel].
        absent: Responses to images without.

    Raises:
        InputError: If the responses do not vary in as many directions as there are channels.
    """
    difference = present.mean(axis=0) - absent.mean(axis=0)
    left = np.concatenate([present - present.mean(axis=0), absent - absent.mean(axis=0)])
    covariance = left.T @ left / (len(left) - 2)
    deviations = np.sqrt(np.diag(covariance))
    scale = float(np.abs(np.concatenate([present, absent])).max(initial=0.0))
    if not (deviations > _SINGULAR * max(scale, 1e-300)).all():
        raise InputError(
            "A channel answers the same to every image: without noise nothing can be said of "
            "detectability.",
            fix="Take images with noise.",
        )
    values, vectors = np.linalg.eigh(covariance / np.outer(deviations, deviations))
    if not values[0] > _SINGULAR * values[-1]:
        raise InputError(
            "The responses of some channels depend on each other: the observer has no unique "
            "template.",
            fix="Take fewer channels, or a larger region.",
        )
    whitened = vectors.T @ (difference / deviations) / np.sqrt(values)
    return float(whitened @ whitened)


def unbiased(plug_in: Squares, n_present: int, n_absent: int, count: int) -> Squares:
    """The unbiased estimate of d'^2 from D^2; negative where less was found than noise alone gives.

    Args:
        plug_in: D^2, one or many.
        n_present: Images with the signal.
        n_absent: Images without.
        count: Number of channels.
    """
    nu = n_present + n_absent - 2
    return (nu - count - 1) / nu * plug_in - count * (1 / n_present + 1 / n_absent)


def exact_interval(
    plug_in: float, n_present: int, n_absent: int, count: int, *, level: float = 0.95
) -> Interval:
    """Where the true d' lies, from D^2.

    Args:
        plug_in: D^2.
        n_present: Images with the signal.
        n_absent: Images without.
        count: Number of channels.
        level: Probability that the interval holds the truth.

    Raises:
        UsageError: If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"A level of {level} is not between 0 and 1.")
    nu = n_present + n_absent - 2
    k = n_present * n_absent / (n_present + n_absent)
    freedom = nu - count + 1
    found = plug_in * k * freedom / (nu * count)
    tail = (1 - level) / 2
    low, high = (_noncentrality(found, count, freedom, q) for q in (1 - tail, tail))
    return Interval(math.sqrt(low / k), math.sqrt(high / k), "exact, noncentral F", level)


def _noncentrality(found: float, count: int, freedom: int, probability: float) -> float:
    """The noncentrality at which F is below `found` with a probability; 0 where none is so low."""
    if found * count > _HARDLY_ANY_NOISE:
        return float(found * count / freedom * stats.chi2.ppf(1 - probability, freedom))

    def excess(noncentrality: float) -> float:
        return float(special.ncfdtr(count, freedom, noncentrality, found)) - probability

    if excess(0.0) <= 0:
        return 0.0
    above = 10.0
    while excess(above) > 0:
        above *= 2
    return float(optimize.brentq(excess, 0.0, above, xtol=1e-9, rtol=1e-12))
