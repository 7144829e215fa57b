"""The compiled loops of the classical filters.

All images are float32 [y, x] in C order. Every pixel is summed in an order that does not depend on
the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import prange

from ctdenoise.core.arrays import DoubleArray, FloatArray

ROW_BLOCK = 16
"""Rows that a thread filters together, so that their distances stay in its cache."""

ShiftArray = npt.NDArray[np.int64]
"""Rows and columns from a pixel to others, [shift, 2]."""

Function = TypeVar("Function", bound=Callable[..., Any])


def _parallel(function: Function) -> Function:
    """Compile a function that spreads its outer `prange` loop over threads; cached on disk."""
    jit = numba.njit(parallel=True, fastmath=True, nogil=True, error_model="numpy", cache=True)
    return cast("Function", jit(function))


def _inner(function: Function) -> Function:
    """Compile a function that other kernels call; it becomes a part of them."""
    jit = numba.njit(fastmath=True, nogil=True, error_model="numpy", forceinline=True)
    return cast("Function", jit(function))


@_parallel
def non_local_means(
    image: FloatArray,
    variance: FloatArray,
    shifts: ShiftArray,
    inverse: DoubleArray,
    slope: DoubleArray,
    patch: int,
) -> FloatArray:
    """Weighted means of pixels whose surroundings are alike; see `classical_filters`.

    The caller pads image and variance by `patch` and the largest shift on every side.

    Args:
        image: Padded.
        variance: Of the noise of each pixel, of the same shape.
        shifts: Rows and columns to the other pixel, int64 [shift, 2]; without (0, 0).
        inverse: For each shift, what makes the expected distance of noise 1: 1 / (1 - r) for the
            correlation r of both pixels.
        slope: For each shift, 1 over the distance beyond 1 at which the weight is 0.
        patch: Pixels on each side of a pixel that belong to its surroundings.
    """
    reach = np.abs(shifts).max()
    margin = reach + patch
    rows, columns = image.shape[0] - 2 * margin, image.shape[1] - 2 * margin
    result = np.empty((rows, columns), np.float32)
    share = 1.0 / (2 * patch + 1) ** 2
    for block in prange((rows + ROW_BLOCK - 1) // ROW_BLOCK):
        first = block * ROW_BLOCK
        count = min(ROW_BLOCK, rows - first)
        squares = np.empty((ROW_BLOCK + 2 * patch, columns + 2 * patch), np.float32)
        line = np.empty(columns + 2 * patch, np.float32)
        weights = np.ones((ROW_BLOCK, columns), np.float32)
        sums = np.empty((ROW_BLOCK, columns), np.float32)
        for row in range(count):
            sums[row] = image[first + row + margin, margin : margin + columns]
        for shift in range(len(shifts)):
            down, right = shifts[shift, 0], shifts[shift, 1]
            scale, steep = np.float32(share * inverse[shift]), np.float32(slope[shift])
            for row in range(count + 2 * patch):
                at, to = first + row + reach, first + row + reach + down
                _squares(
                    image[at], image[to], variance[at], variance[to], reach, right, squares[row]
                )
            for row in range(count):
                _summed(squares, row, patch, line)
                others = image[first + row + margin + down, margin + right :]
                _weigh(line, others, patch, scale, steep, weights[row], sums[row])
        for row in range(count):
            for column in range(columns):
                result[first + row, column] = sums[row, column] / weights[row, column]
    return result


@_inner
def _squares(
    here: FloatArray,
    there: FloatArray,
    own: FloatArray,
    other: FloatArray,
    start: int,
    right: int,
    into: FloatArray,
) -> None:
    """Squares of differences over the sum of both variances, along a row."""
    for column in range(len(into)):
        at = column + start
        difference = here[at] - there[at + right]
        into[column] = difference * difference / (own[at] + other[at + right])


@_inner
def _summed(squares: FloatArray, row: int, patch: int, into: FloatArray) -> None:
    """Sums of the columns of some rows."""
    into[:] = squares[row]
    for beside in range(1, 2 * patch + 1):
        line = squares[row + beside]
        for column in range(len(into)):
            into[column] += line[column]


@_inner
def _weigh(
    line: FloatArray,
    others: FloatArray,
    patch: int,
    scale: np.float32,
    steep: np.float32,
    weights: FloatArray,
    sums: FloatArray,
) -> None:
    """Add the pixels of a row, as their surroundings weigh."""
    one, zero = np.float32(1.0), np.float32(0.0)
    for column in range(len(weights)):
        distance = line[column]
        for beside in range(1, 2 * patch + 1):
            distance += line[column + beside]
        weight = max(zero, one - max(zero, distance * scale - one) * steep)
        weight = weight * weight
        weight = weight * weight
        weight = weight * weight
        weights[column] += weight
        sums[column] += weight * others[column]


@_parallel
def bilateral(
    image: FloatArray,
    variance: FloatArray,
    shifts: ShiftArray,
    near: DoubleArray,
    inverse: DoubleArray,
    reach: int,
) -> FloatArray:
    """Means of the pixels around, weighted by distance and by likeness; see `classical_filters`.

    The caller pads image and variance by `reach` on every side.

    Args:
        image: Padded.
        variance: Of the noise of each pixel, of the same shape.
        shifts: Rows and columns to the other pixel, int64 [shift, 2]; without (0, 0).
        near: Weight of each shift by its distance.
        inverse: For each shift, what the square of a difference over the sum of both variances is
            multiplied by in the exponent.
        reach: The largest shift.
    """
    rows, columns = image.shape[0] - 2 * reach, image.shape[1] - 2 * reach
    result = np.empty((rows, columns), np.float32)
    for row in prange(rows):
        sums = image[row + reach, reach : reach + columns].copy()
        weights = np.ones(columns, np.float32)
        here, own = image[row + reach], variance[row + reach]
        for shift in range(len(shifts)):
            down, right = shifts[shift, 0], shifts[shift, 1]
            there, other = image[row + reach + down], variance[row + reach + down]
            by_distance, scale = np.float32(near[shift]), np.float32(inverse[shift])
            for column in range(columns):
                at = column + reach
                difference = there[at + right] - here[at]
                square = difference * difference / (own[at] + other[at + right])
                weight = by_distance * np.exp(-square * scale)
                weights[column] += weight
                sums[column] += weight * there[at + right]
        for column in range(columns):
            result[row, column] = sums[column] / weights[column]
    return result


@_parallel
def primal(image: FloatArray, down: FloatArray, right: FloatArray, result: FloatArray) -> None:
    """The image less the divergence of a field: f - D^T p, where D is the forward difference.

    Args:
        image: f.
        down: p along y; its last row is 0.
        right: p along x; its last column is 0.
        result: Filled.
    """
    rows, columns = image.shape
    for row in prange(rows):
        for column in range(columns):
            value = image[row, column] + down[row, column] + right[row, column]
            if row > 0:
                value -= down[row - 1, column]
            if column > 0:
                value -= right[row, column - 1]
            result[row, column] = value


@_parallel
def dual_step(
    smooth: FloatArray,
    limit: FloatArray,
    momentum: float,
    down: FloatArray,
    right: FloatArray,
    fast_down: FloatArray,
    fast_right: FloatArray,
) -> None:
    """One accelerated step of projected gradients, in place.

    Args:
        smooth: The primal image of the extrapolated field.
        limit: Largest length of the field at each pixel.
        momentum: Share of the last change that is added beforehand to the next.
        down: p along y, renewed.
        right: p along x, renewed.
        fast_down: Extrapolated p along y, renewed.
        fast_right: Extrapolated p along x, renewed.
    """
    rows, columns = smooth.shape
    step, push = np.float32(0.125), np.float32(momentum)
    one, zero = np.float32(1.0), np.float32(0.0)
    for row in prange(rows):
        below = min(row + 1, rows - 1)
        for column in range(columns):
            beside = min(column + 1, columns - 1)
            here = smooth[row, column]
            y = fast_down[row, column] + step * (smooth[below, column] - here)
            x = fast_right[row, column] + step * (smooth[row, beside] - here)
            length = np.sqrt(x * x + y * y)
            most = limit[row, column]
            shrink = one if length <= most else most / max(length, np.float32(1e-30))
            y, x = y * shrink, x * shrink
            y = zero if row == rows - 1 else y
            x = zero if column == columns - 1 else x
            fast_down[row, column] = y + push * (y - down[row, column])
            fast_right[row, column] = x + push * (x - right[row, column])
            down[row, column] = y
            right[row, column] = x


@_parallel
def duality_gap(
    smooth: FloatArray, limit: FloatArray, down: FloatArray, right: FloatArray
) -> float:
    """The sum of limit |D u| - <D u, p>: twice of it bounds the squared distance from the minimum.

    Args:
        smooth: The primal image u of the field.
        limit: Largest length of the field at each pixel.
        down: p along y.
        right: p along x.
    """
    rows, columns = smooth.shape
    gaps = np.zeros(rows)
    for row in prange(rows):
        below = min(row + 1, rows - 1)
        total = 0.0
        for column in range(columns):
            beside = min(column + 1, columns - 1)
            y = np.float64(smooth[below, column]) - smooth[row, column]
            x = np.float64(smooth[row, beside]) - smooth[row, column]
            total += limit[row, column] * np.sqrt(x * x + y * y)
            total -= y * down[row, column] + x * right[row, column]
        gaps[row] = total
    return float(gaps.sum())
