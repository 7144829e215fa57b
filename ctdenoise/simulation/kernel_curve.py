"""A smooth curve for the kernel of a scan, from ratios of noise spectra in rings."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.kernels import TableKernelSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray

POINTS = 96
"""Points of the curve."""

_REACH_PER_MM = 0.10
"""Structure narrower than this is taken for noise; kernels are smoother."""

_LEAST_LOG = -16.0
"""Natural logarithm of the least A^2: 1 / 3,000 in A."""


def smooth_curve(
    frequency_per_mm: DoubleArray, values: DoubleArray, weights: DoubleArray, grid: DoubleArray
) -> DoubleArray:
    """An even smooth function of frequency through values with errors, on a grid.

    Whittaker's smoothing: least squares with a penalty on the third difference, so that a
    Gaussian kernel (a parabola in the logarithm) is not changed, and with no slope at zero.

    Args:
        frequency_per_mm: Where the values are, rising.
        values: Measured values.
        weights: Inverse variances of the values.
        grid: Evenly spaced frequencies from 0.
    """
    step = grid[1] - grid[0]
    place = np.clip(frequency_per_mm / step, 0, len(grid) - 1)
    left = np.minimum(place.astype(int), len(grid) - 2)
    design = np.zeros((len(values), len(grid)))
    rows = np.arange(len(values))
    design[rows, left] = 1 - (place - left)
    design[rows, left + 1] = place - left
    # The curve is continued to negative frequencies by its mirror image.
    mirror = np.abs(np.arange(-3, len(grid)))
    third = np.diff(np.eye(len(grid))[mirror], n=3, axis=0) / step**3
    strength = np.mean(weights) * _REACH_PER_MM**6 * len(values) / len(grid)
    normal = design.T @ (weights[:, None] * design) + strength * third.T @ third
    return np.linalg.solve(normal, design.T @ (weights * values))


def continued(log_square: DoubleArray, grid: DoubleArray, last: float) -> DoubleArray:
    """A curve of ln A^2 that falls beyond the last frequency at which it was measured.

    Args:
        log_square: The curve.
        grid: Its frequencies, evenly spaced.
        last: Highest frequency of a measurement.
    """
    end = int(np.searchsorted(grid, last))
    result = log_square.copy()
    if 4 <= end < len(grid):
        slope = min((result[end - 1] - result[end - 4]) / 3, 0.0)
        result[end:] = result[end - 1] + slope * np.arange(1, len(grid) - end + 1)
    return np.maximum(result, result[0] + _LEAST_LOG)


def table_kernel(log_square: DoubleArray, grid: DoubleArray) -> TableKernelSettings:
    """The kernel of a curve of ln A^2: A is 1 at zero frequency."""
    value = np.exp(0.5 * (log_square - log_square[0]))
    return TableKernelSettings(
        frequency_per_mm=tuple(np.round(grid, 5).tolist()), value=tuple(np.round(value, 5).tolist())
    )


def half_height(kernel_value: DoubleArray, frequency_per_mm: DoubleArray) -> float:
    """The highest frequency at which a kernel is one half; its last where it never is."""
    above: BoolArray = kernel_value >= 0.5
    last = int(np.flatnonzero(above)[-1])
    if last == len(kernel_value) - 1:
        return float(frequency_per_mm[last])
    part = (kernel_value[last] - 0.5) / (kernel_value[last] - kernel_value[last + 1])
    return float(
        frequency_per_mm[last] + part * (frequency_per_mm[last + 1] - frequency_per_mm[last])
    )
