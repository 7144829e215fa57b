"""Detectability by an observer whose template is known, such as the signal itself.

The rating of an image g is w . g with a template w that does not come from the images: the
non-prewhitening observer has the signal that is looked for. With mean ratings m1 and m0 of n1
images with and n0 without the signal and their pooled deviation s of nu = n1 + n0 - 2 degrees of
freedom,

    d' = g (m1 - m0) / s,  g = Gamma(nu / 2) / (Gamma((nu - 1) / 2) sqrt(nu / 2))

is unbiased, and sqrt(n1 n0 / (n1 + n0)) (m1 - m0) / s has a noncentral t distribution, from which
the exact interval comes. Source: Wunderlich, Noo, Med. Phys. 38 (2011) S57; IQmodelo
`exactCI_kt.m`. It has a sign: what turns light into dark is negative.

A template that is made from the images that are judged, such as the difference of their means, is
no known template: its noise is counted as signal and lost as template.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError, UsageError
from ctdenoise.metrics.cho import auc_of
from ctdenoise.metrics.table import Interval


@dataclass(frozen=True, slots=True)
class TemplateResult:
    """How well a known template tells images with a signal from those without.

    Args:
        dprime: Unbiased detectability; negative where the template answers the wrong way.
        interval: Where the true d' lies.
        n_present: Images with the signal.
        n_absent: Images without.
    """

    dprime: float
    interval: Interval
    n_present: int
    n_absent: int

    @property
    def auc(self) -> float:
        """Area under the ROC curve, from d'; below 0.5 where the template answers the wrong way."""
        return auc_of(self.dprime)

    @property
    def auc_interval(self) -> Interval:
        """Where the true area under the ROC curve lies."""
        ends = auc_of(self.interval.low), auc_of(self.interval.high)
        return Interval(*ends, self.interval.method, self.interval.level)


def known_template(
    present: DoubleArray, absent: DoubleArray, template: DoubleArray, *, level: float = 0.95
) -> TemplateResult:
    """Detectability of a signal by its template.

    Args:
        present: Regions with the signal, HU, [image, y, x].
        absent: Regions without it, independent of the others, HU, [image, y, x].
        template: Weights that do not come from these images, [y, x].
        level: Of the interval.

    Raises:
        InputError: If the shapes differ, there are too few images, or the ratings do not vary.
        UsageError: If the level is not between 0 and 1.
    """
    if any(one.ndim != 3 or one.shape[1:] != template.shape for one in (present, absent)):
        raise InputError(
            f"Images of the shapes {present.shape} and {absent.shape} do not fit a template of "
            f"{template.shape} pixels."
        )
    flat = template.ravel().astype(np.float64)
    ratings = [one.reshape(len(one), -1).astype(np.float64) @ flat for one in (present, absent)]
    return judged_ratings(ratings[0], ratings[1], level=level)


def judged_ratings(
    present: DoubleArray, absent: DoubleArray, *, level: float = 0.95
) -> TemplateResult:
    """The same from ratings of any observer that did not learn from these images.

    Args:
        present: Of images with the signal, float64 [image].
        absent: Of images without.
        level: Of the interval.

    Raises:
        InputError: If there are too few images, or the ratings do not vary.
        UsageError: If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"A level of {level} is not between 0 and 1.")
    n1, n0 = len(present), len(absent)
    nu = n1 + n0 - 2
    if min(n1, n0) < 1 or nu < 2:
        raise InputError(f"{n1} images with and {n0} without a signal are too few.")
    squares = np.square(present - present.mean()).sum() + np.square(absent - absent.mean()).sum()
    deviation = math.sqrt(squares / nu)
    gap = float(present.mean() - absent.mean())
    if not deviation > 1e-12 * max(abs(gap), 1e-300):
        raise InputError("Ratings do not vary: without noise nothing can be said of detectability.")
    k = math.sqrt(n1 * n0 / (n1 + n0))
    found = k * gap / deviation
    tail = (1 - level) / 2
    low, high = (_noncentrality(found, nu, q) / k for q in (1 - tail, tail))
    unbiased = math.exp(special.gammaln(nu / 2) - special.gammaln((nu - 1) / 2))
    return TemplateResult(
        unbiased / math.sqrt(nu / 2) * gap / deviation,
        Interval(low, high, "exact, noncentral t", level),
        n1,
        n0,
    )


def _noncentrality(found: float, nu: int, probability: float) -> float:
    """The noncentrality at which t is below `found` with a probability."""

    def excess(noncentrality: float) -> float:
        return float(special.nctdtr(nu, noncentrality, found)) - probability

    reach = 3 * math.sqrt(1 + found**2 / (2 * nu))
    low, high = found - reach, found + reach
    while excess(low) < 0:
        low -= reach
    while excess(high) > 0:
        high += reach
    return float(optimize.brentq(excess, low, high, xtol=1e-10))
