"""What a test without any noise would score against a reference that is noisy itself.

Let the reference be t + s z with the true image t, its noise s and z standard normal, and the test
t itself. Both are clipped to the window [l, h]. With c the clipped t, a = (l - t)/s and
b = (h - t)/s, the mean squared difference of a pixel is

    (l-c)^2 F(a) + (h-c)^2 (1-F(b)) + ((t-c)^2 + s^2) (F(b)-F(a))
        + 2 s (t-c) (f(a)-f(b)) + s^2 (a f(a) - b f(b))

with f and F the normal density and distribution: s^2 inside a wide window, 0 far outside. The mean
of 3 mm boxes of the reference stands for t, where the pixel is within 100 HU of it, else an edge
runs through the box and the pixel stands for itself. The noise magnitude of the reference stands
for s inside the body, and the noise of the air for s outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from ctdenoise.config.evaluation import WindowSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray

_STEP_HU = 2.0
_EDGE_HU = 100.0
_EDGES = np.arange(-1300.0, 3302.0, _STEP_HU)  # what is beyond counts in the first and last bin
_CENTRES = _EDGES[:-1] + _STEP_HU / 2


class Levels(NamedTuple):
    """How often each mean occurs in a slice.

    Args:
        inside: Pixels of the body in every bin of 2 HU, float64 [bin].
        outside: The other image pixels.
    """

    inside: DoubleArray
    outside: DoubleArray


def levels_of(
    reference: DoubleArray, means: DoubleArray, body: BoolArray, padding: BoolArray | None
) -> Levels:
    """How often each mean occurs in a slice.

    Args:
        reference: HU [y, x].
        means: Of its 3 mm boxes, HU [y, x].
        body: The body.
        padding: Pixels that never count; None for none.
    """
    outside = ~body if padding is None else ~(body | padding)
    true_hu = np.where(np.abs(reference - means) < _EDGE_HU, means, reference)
    return Levels(_counts(true_hu[body]), _counts(true_hu[outside]))


def _counts(values: DoubleArray) -> DoubleArray:
    places = ((values - _EDGES[0]) / _STEP_HU).astype(np.int64)
    np.clip(places, 0, len(_CENTRES) - 1, out=places)
    counts: DoubleArray = np.bincount(places, minlength=len(_CENTRES)).astype(np.float64)
    return counts


def psnr_floor(
    slices: Sequence[Levels], window: WindowSettings, noise_hu: float, air_noise_hu: float
) -> float | None:
    """PSNR of a noise-free test, mean of the slices, dB.

    Args:
        slices: What each slice holds.
        window: Both images are clipped to it.
        noise_hu: Noise magnitude of the reference in the body; positive.
        air_noise_hu: The same around the body; not negative.

    Returns:
        None where no slice has a pixel in the window.
    """
    inside = expected_square_hu2(_CENTRES, window, noise_hu)
    outside = expected_square_hu2(_CENTRES, window, air_noise_hu)
    found = []
    for levels in slices:
        pixels = levels.inside.sum() + levels.outside.sum()
        squares = levels.inside @ inside + levels.outside @ outside
        if pixels and squares:
            found.append(10 * math.log10(window.width_hu**2 * pixels / squares))
    return float(np.mean(found)) if found else None


def expected_square_hu2(
    true_hu: DoubleArray, window: WindowSettings, noise_hu: float
) -> DoubleArray:
    """Mean squared difference of a pixel and its noisy twin, both clipped to a window, HU^2.

    Args:
        true_hu: Values without noise, any shape.
        window: The range.
        noise_hu: Standard deviation of the noise; 0 gives 0.
    """
    if noise_hu <= 0:
        return np.zeros_like(true_hu)
    low, high = window.low_hu, window.high_hu
    clipped = np.clip(true_hu, low, high)
    a, b = (low - true_hu) / noise_hu, (high - true_hu) / noise_hu
    below, above = ndtr(a), ndtr(-b)
    within = 1 - below - above
    beyond = true_hu - clipped
    squares: DoubleArray = (
        (low - clipped) ** 2 * below
        + (high - clipped) ** 2 * above
        + (beyond**2 + noise_hu**2) * within
        + 2 * noise_hu * beyond * (_density(a) - _density(b))
        + noise_hu**2 * (a * _density(a) - b * _density(b))
    )
    return np.maximum(squares, 0)


def _density(values: DoubleArray) -> DoubleArray:
    density: DoubleArray = np.exp(-np.square(values) / 2) / math.sqrt(2 * math.pi)
    return density
