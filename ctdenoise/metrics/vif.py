"""Visual information fidelity of a slice, in HU.

Sheikh and Bovik, "Image information and visual quality", IEEE Trans. Image Process. 15, 2006, in
the pixel domain and over four scales, as torchmetrics, piq and ldct-benchmark compute it. At each
scale the test is taken for g times the reference plus noise of variance v, in Gaussian windows;
with s^2 the variance of the reference there and n^2 that of the noise of the eye,

    VIF = sum log(1 + g^2 s^2 / (v + n^2)) / sum log(1 + s^2 / n^2).

It is 1 for identical images, may exceed 1 where contrast is raised, and depends on the unit: n^2 is
2 HU^2 here. The same images scaled to [0, 1] give another value.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError

NOISE_OF_THE_EYE_HU2 = 2.0
"""n^2, HU^2."""

FEWEST_PIXELS = 41
"""Along each axis; with fewer, nothing is left at the last scale."""

_TAPS = (17, 9, 5, 3)  # of the window at each scale; its Gaussian has a fifth of that as sigma
_LEAST = 1e-10  # HU^2: a variance below is none


class Fidelity(NamedTuple):
    """Visual information fidelity in both directions.

    Args:
        of_test: How much of the information in the reference the test holds.
        of_reference: The two images exchanged, as ldct-benchmark has it (0.0.15 hands the reference
            over as the prediction, and the prediction as the target).
    """

    of_test: float
    of_reference: float


def visual_information_fidelity(reference: DoubleArray, test: DoubleArray) -> Fidelity:
    """Visual information fidelity of a slice.

    Args:
        reference: HU, clipped to a window or not, indexed [y, x].
        test: Of the same shape, treated in the same way.

    Returns:
        Both directions; NaN where an image has no information (it is constant).

    Raises:
        InputError: If a side has fewer than 41 pixels.
    """
    if min(reference.shape) < FEWEST_PIXELS:
        raise InputError(f"VIF needs at least {FEWEST_PIXELS} pixels along each axis.")
    one, other = reference, test
    kept, lost = np.zeros(2), np.zeros(2)
    for scale, taps in enumerate(_TAPS):
        weights = _gaussian(taps)
        if scale:
            one, other = (_filtered(image, weights)[::2, ::2] for image in (one, other))
        moments = _moments(one, other, weights)
        for place, (target, image, covariance) in enumerate(_directions(*moments)):
            kept[place] += _information(target, image, covariance)
            lost[place] += float(np.log1p(target / NOISE_OF_THE_EYE_HU2).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        found = kept / lost
    return Fidelity(float(found[0]), float(found[1]))


def _directions(
    one: DoubleArray, other: DoubleArray, covariance: DoubleArray
) -> tuple[tuple[DoubleArray, DoubleArray, DoubleArray], ...]:
    """Variance of the target, variance of the image that is judged, and their covariance."""
    return (one, other, covariance), (other, one, covariance)


def _gaussian(taps: int) -> DoubleArray:
    reach = np.arange(taps) - (taps - 1) / 2
    weights = np.exp(-np.square(reach) / (2 * (taps / 5) ** 2))
    normalised: DoubleArray = weights / weights.sum()
    return normalised


def _filtered(image: DoubleArray, weights: DoubleArray) -> DoubleArray:
    """The image under a separable filter, where the filter lies inside it."""
    reach = len(weights) // 2
    inside = np.s_[reach : image.shape[0] - reach], np.s_[reach : image.shape[1] - reach]
    rows = ndimage.correlate1d(image, weights, axis=0, mode="constant")[inside[0]]
    both: DoubleArray = ndimage.correlate1d(rows, weights, axis=1, mode="constant")[:, inside[1]]
    return both


def _moments(
    one: DoubleArray, other: DoubleArray, weights: DoubleArray
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Local variances of both images and their covariance."""
    mean_1, mean_2 = _filtered(one, weights), _filtered(other, weights)
    variance_1 = _filtered(one * one, weights) - mean_1 * mean_1
    variance_2 = _filtered(other * other, weights) - mean_2 * mean_2
    covariance = _filtered(one * other, weights) - mean_1 * mean_2
    return np.maximum(variance_1, 0), np.maximum(variance_2, 0), covariance


def _information(target: DoubleArray, image: DoubleArray, covariance: DoubleArray) -> float:
    """What the image keeps of the information in the target, at one scale."""
    gain = covariance / (target + _LEAST)
    gain[(target < _LEAST) | (image < _LEAST) | (gain < 0)] = 0
    rest = np.maximum(image - gain * covariance, _LEAST)
    return float(np.log1p(gain * gain * target / (rest + NOISE_OF_THE_EYE_HU2)).sum())
