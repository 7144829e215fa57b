"""The compiled loops of parallel rays: layouts and promises are those of `kernels`."""

from __future__ import annotations

import math

import numpy as np
from numba import float32, int32, prange

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.simulation.kernels import Float, IndexArray, PixelArrays, row_span
from ctdenoise.simulation.pair_kernels import (
    LARGEST_WEIGHT,
    STRIP_COLUMNS,
    TILE,
    PairTaps,
    add_row,
)
from ctdenoise.simulation.vectors import (
    PAIR_TAPS,
    exactly_inlined,
    multiply_add,
    parallel_kernel,
)

Directions = tuple[DoubleArray, DoubleArray]
"""Cosine and sine of the normal of each view's rays."""

Detector = tuple[float, float]
"""Channels per mm, and the channel of the ray through the isocentre."""


@exactly_inlined
def _find_pairs(
    directions: Directions,
    detector: Detector,
    view: int,
    start: tuple[Float, Float, Float],
    taps: PairTaps,
    shape: tuple[int, int],
) -> None:
    """Place and weights of the pixels of a row of a strip, for eight views.

    `start` holds x and y of the first pixel and the column spacing, mm.
    """
    index, weights = taps
    x_mm, y_mm, spacing = start
    channels, lanes = shape
    for tap in range(PAIR_TAPS):
        cosine = float32(directions[0][view + tap] * detector[0])
        sine = float32(directions[1][view + tap] * detector[0])
        channel_of_first = x_mm * cosine + y_mm * sine + float32(detector[1])
        step = spacing * cosine
        first = int32((view + tap) * channels * lanes)
        for pixel in range(STRIP_COLUMNS):
            channel = multiply_add(float32(pixel), step, channel_of_first)
            whole = int32(channel)
            fraction = channel - float32(whole)
            far = int32(fraction * float32(LARGEST_WEIGHT) + float32(0.5))
            index[tap, pixel] = first + whole * int32(lanes)
            weights[tap, pixel] = (far << int32(16)) | (int32(LARGEST_WEIGHT) - far)


@parallel_kernel
def back_project_parallel(
    pairs: IndexArray,
    scales: FloatArray,
    directions: Directions,
    detector: Detector,
    pixels: PixelArrays,
    image: FloatArray,
) -> None:
    """Parallel back-projection: sum over views of q(channel of the pixel).

    Args:
        pairs: Rounded projections, [view, channel, lane], from `filter_to_pairs`.
        scales: From `filter_to_pairs`.
        directions: Normals of the views.
        detector: `Detector`.
        pixels: `PixelArrays`.
        image: The sum is added here, [y, x, lane].
    """
    views, channels, lanes = pairs.shape
    rows, columns = image.shape[0], image.shape[1]
    across = (columns + TILE - 1) // TILE
    for tile in prange(((rows + TILE - 1) // TILE) * across):
        target, source, factors = image.reshape(-1), pairs.reshape(-1), scales.reshape(-1)
        index = np.zeros((PAIR_TAPS, STRIP_COLUMNS), np.int32)
        weights = np.zeros((PAIR_TAPS, STRIP_COLUMNS), np.int32)
        first_row = (tile // across) * TILE
        first_column = (tile % across) * TILE
        last_row, last_column = min(rows, first_row + TILE), min(columns, first_column + TILE)
        strips = (last_column - first_column + STRIP_COLUMNS - 1) // STRIP_COLUMNS
        # Views, then strips of columns, then rows.
        for step in range(views // PAIR_TAPS * strips):
            group = step // strips
            strip = first_column + (step % strips) * STRIP_COLUMNS
            for row in range(first_row, last_row):
                end = min(last_column, strip + STRIP_COLUMNS)
                left, right = row_span(pixels, row, strip, end)
                if right <= left:
                    continue
                start = (
                    float32((left - pixels.isocentre_column) * pixels.column_spacing_mm),
                    float32((row - pixels.isocentre_row) * pixels.row_spacing_mm),
                    float32(pixels.column_spacing_mm),
                )
                taps, view = (index, weights), group * PAIR_TAPS
                _find_pairs(directions, detector, view, start, taps, (channels, lanes))
                add_row(
                    (target, (row * columns + left) * lanes),
                    source,
                    (factors, group * lanes),
                    taps,
                    (right - left, lanes),
                )


@parallel_kernel
def sum_variances(
    variance: FloatArray,
    directions: Directions,
    detector: Detector,
    distance_mm: float,
    pixels: PixelArrays,
    sums: FloatArray,
) -> None:
    """Variance around each pixel in both geometries, but for a common factor.

    With c = cos(gamma) of the ray through a pixel and L the distance of the pixel from the focal
    spot, the fan's is the sum over the turn of variance * (D / L)^3, the other's that of variance.

    Args:
        variance: Of the log data times c, on parallel rays of a whole turn, [view, channel, lane].
        directions: Normals of the views.
        detector: `Detector`.
        distance_mm: D, focal spot to isocentre.
        pixels: `PixelArrays`.
        sums: Receives [fan or parallel, y, x, lane].
    """
    views, channels, lanes = variance.shape
    rows, columns = sums.shape[1], sums.shape[2]
    for row in prange(rows):
        y_mm = (row - pixels.isocentre_row) * pixels.row_spacing_mm
        for column in range(columns):
            x_mm = (column - pixels.isocentre_column) * pixels.column_spacing_mm
            if math.hypot(x_mm, y_mm) > pixels.radius_mm:
                continue
            for view in range(views):
                cosine, sine = directions[0][view], directions[1][view]
                across_mm = x_mm * cosine + y_mm * sine
                channel = across_mm * detector[0] + detector[1]
                channel = min(max(channel, 0.0), channels - 1.001)
                whole = int(channel)
                far = float32(channel - whole)
                near = float32(1.0) - far
                along_mm = math.sqrt(distance_mm**2 - across_mm**2)
                distance = along_mm + x_mm * sine - y_mm * cosine
                weight = float32((distance_mm / distance) ** 3)
                for lane in range(lanes):
                    value = (
                        near * variance[view, whole, lane] + far * variance[view, whole + 1, lane]
                    )
                    sums[0, row, column, lane] += weight * value
                    sums[1, row, column, lane] += value


@parallel_kernel
def multiply_smooth(image: FloatArray, coarse: FloatArray, factor: int) -> None:
    """Multiply an image by a coarse one, interpolated linearly between its pixels.

    Args:
        image: [y, x, lane], changed in place.
        coarse: Values at the middle of each block of factor x factor pixels, [y, x, lane].
        factor: Fine pixels in a coarse one, along each axis.
    """
    rows, columns, lanes = image.shape
    middle = (factor - 1) / 2
    for row in prange(rows):
        y = min(max((row - middle) / factor, 0.0), coarse.shape[0] - 1.001)
        up = int(y)
        low = float32(y - up)
        for column in range(columns):
            x = min(max((column - middle) / factor, 0.0), coarse.shape[1] - 1.001)
            left = int(x)
            right = float32(x - left)
            for lane in range(lanes):
                above = coarse[up, left, lane]
                above += right * (coarse[up, left + 1, lane] - above)
                below = coarse[up + 1, left, lane]
                below += right * (coarse[up + 1, left + 1, lane] - below)
                image[row, column, lane] *= above + low * (below - above)
