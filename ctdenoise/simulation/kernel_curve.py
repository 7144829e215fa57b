"""A smooth curve for the kernel of a scan, from ratios of noise spectra in rings."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.kernels import TableKernelSettings
from ctdenoise.core.arrays import DoubleArray

POINTS = 96
"""Points of the curve."""

_NARROWEST_PER_MM = 0.05
"""Structure narrower than this is taken for noise; kernels are smoother."""

_STEEP_FROM_PER_MM = 0.35

_STEPS = 8
_LARGEST_STEP = 1.5

_LEAST_LOG = -16.0
"""Natural logarithm of the least A^2: 1 / 3,000 in A."""


def smooth_change(
    log_ratio: DoubleArray,
    weights: DoubleArray,
    leakage: DoubleArray,
    grid: DoubleArray,
) -> DoubleArray:
    """The smooth change of ln A^2 that turns simulated into measured ring spectra.

    A ring b of a windowed patch holds sum_j L_bj e^(c_j), where L_bj is the simulated power that
    frequency j sends there, normalised to one. So c solves ln sum_j L_bj e^(c_j) = ln ratio_b by
    Gauss and Newton, with a penalty on its third difference (Whittaker): a Gaussian kernel, a
    parabola in the logarithm, costs nothing. Its mirror image continues it below zero frequency.

    Args:
        log_ratio: ln of measured over simulated power, [ring].
        weights: Inverse variances, [ring].
        leakage: L, each row of sum one, [ring, grid].
        grid: Evenly spaced frequencies from 0, 1/mm.
    """
    mirror = np.abs(np.arange(-3, len(grid)))
    third = np.diff(np.eye(len(grid))[mirror], n=3, axis=0)
    reach = _NARROWEST_PER_MM / (grid[1] - grid[0])
    strength = weights.sum() / len(grid) * reach**6
    # A kernel is smooth where it passes noise, and may end steeply.
    firmness = strength / (1 + (grid / _STEEP_FROM_PER_MM) ** 4)
    penalty = third.T @ (firmness[:, None] * third) + 1e-9 * weights.sum() * np.eye(len(grid))
    change = np.zeros(len(grid))
    for _ in range(_STEPS):
        share = leakage * np.exp(change)
        total = share.sum(axis=1)
        jacobian = share / total[:, None]
        rest = log_ratio - np.log(total)
        normal = jacobian.T @ (weights[:, None] * jacobian) + penalty
        step = np.linalg.solve(normal, jacobian.T @ (weights * rest) - penalty @ change)
        change += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
    return change


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
    return np.asarray(np.maximum(result, result[0] + _LEAST_LOG))


def table_kernel(log_square: DoubleArray, grid: DoubleArray) -> TableKernelSettings:
    """The kernel of a curve of ln A^2: A is 1 at zero frequency."""
    value = np.exp(0.5 * (log_square - log_square[0]))
    return TableKernelSettings(
        frequency_per_mm=tuple(np.round(grid, 5).tolist()), value=tuple(np.round(value, 5).tolist())
    )
