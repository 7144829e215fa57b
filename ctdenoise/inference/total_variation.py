"""Total variation: the image with the fewest edges that noise allows.

The model of Rudin, Osher and Fatemi (Physica D 60, 1992), min 1/2 |u - f|^2 + sum w |grad u|, with
a weight w that follows the noise around each pixel. It is solved on the dual side (Chambolle, J.
Math. Imaging Vis. 20, 2004) by accelerated projected gradients (Beck and Teboulle, IEEE Trans.
Image Process. 18, 2009) until the duality gap proves that the minimum is near. The mean over the
slice is kept: a divergence has none.

The weight is chosen by the discrepancy principle (Morozov; Chambolle 2004, section 4): what is
taken away shall have the power that noise has. White noise would all be taken; of grainy noise a
share is as coarse as anatomy, so the share to be taken is a setting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import BoolArray, FloatArray, HuArray
from ctdenoise.inference import classical_kernels as kernels

ACCURACY = 0.02
"""Root mean square distance from the exact minimum, in units of the noise, that ends the search."""

MOST_STEPS = 500
_STEPS_AT_ONCE = 10
_WEIGHTS = (0.05, 20.0)  # searched, in units of the noise
_TRIALS = 9


def total_variation(image: HuArray, limit: FloatArray, *, accuracy_hu: float) -> HuArray:
    """The minimum of 1/2 |u - f|^2 + sum limit |grad u|.

    Args:
        image: f, HU, [y, x].
        limit: Weight of the gradient at each pixel, HU, [y, x].
        accuracy_hu: Largest root mean square distance from the minimum; ends after `MOST_STEPS`
            steps even if it is not reached.
    """
    source = np.ascontiguousarray(image, dtype=np.float32)
    weight = np.ascontiguousarray(limit, dtype=np.float32)
    down, right, fast_down, fast_right = (np.zeros_like(source) for _ in range(4))
    smooth = np.empty_like(source)
    pace = 1.0
    allowed = 0.5 * accuracy_hu**2 * source.size
    for step in range(MOST_STEPS):
        kernels.primal(source, fast_down, fast_right, smooth)
        following = (1 + math.sqrt(1 + 4 * pace**2)) / 2
        momentum = (pace - 1) / following
        kernels.dual_step(smooth, weight, momentum, down, right, fast_down, fast_right)
        pace = following
        if step % _STEPS_AT_ONCE == _STEPS_AT_ONCE - 1:
            kernels.primal(source, down, right, smooth)
            if kernels.duality_gap(smooth, weight, down, right) <= allowed:
                return smooth
    kernels.primal(source, down, right, smooth)
    return smooth


@dataclass(frozen=True, slots=True, eq=False)
class NoisySlice:
    """A slice with what is known about its noise.

    Args:
        image: HU, [y, x].
        sd_hu: Standard deviation of the noise, HU, [y, x].
        counted: Which pixels count, [y, x].
    """

    image: HuArray
    sd_hu: FloatArray
    counted: BoolArray


def discrepancy_weight(slices: Sequence[NoisySlice], *, removed: float) -> float:
    """The weight, in units of the noise, at which a share of the power of the noise is taken.

    What is taken grows with the weight, so that it is found by halving an interval of its
    logarithm, to within two per cent.

    Args:
        slices: Which stand for the scan.
        removed: Mean of ((f - u) / s)^2 over the pixels that count; positive.
    """
    low, high = (math.log(limit) for limit in _WEIGHTS)
    for _ in range(_TRIALS):
        middle = (low + high) / 2
        if _taken(slices, math.exp(middle)) < removed:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _taken(slices: Sequence[NoisySlice], weight: float) -> float:
    total, count = 0.0, 0
    for one in slices:
        accuracy = ACCURACY * float(np.median(one.sd_hu))
        smooth = total_variation(one.image, np.float32(weight) * one.sd_hu, accuracy_hu=accuracy)
        ratio = ((one.image - smooth) / one.sd_hu)[one.counted]
        total += float(np.square(ratio, dtype=np.float64).sum())
        count += ratio.size
    return total / max(count, 1)
