"""Back-projection of noise in whole numbers, faster than in `kernels`.

Filtered views are kept as 16-bit integers, each beside its neighbour channel, so that processors
interpolate two channels of sixteen slices with one instruction. Noise is rounded to 1/16,000 of the
largest value that its slice has in eight views: far below what its own randomness allows to see.
Sums of integers do not depend on their order.
"""

from __future__ import annotations

import numpy as np
from numba import float32, int32, int64, prange

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.kernels import (
    FanArrays,
    Float,
    IndexArray,
    PixelArrays,
    arctangent,
    row_span,
)
from ctdenoise.simulation.vectors import (
    LANES,
    PAIR_TAPS,
    add_eight_pairs,
    exactly_inlined,
    inlined,
    multiply_add,
    parallel_kernel,
)

TILE = 64
"""Rows and columns of a tile: with a strip of eight views it stays in the second-level cache."""

STRIP_COLUMNS = 16
"""Columns worked on together: what eight views show of them stays in the first-level cache."""

LARGEST_VALUE = 16383
LARGEST_WEIGHT = 8191
"""The sum of eight products of both is less than 2^31."""

_NO_NOISE = np.float32(1e-30)

PairTaps = tuple[IndexArray, IndexArray]
"""Where the pair of a pixel starts, and its weights in the halves of a word, [view, pixel]."""


@exactly_inlined
def _find_largest(
    filtered: FloatArray, first: int, channels: int, block: int, work: FloatArray
) -> None:
    """Largest absolute value of sixteen lanes in eight views, into the first half of `work`."""
    for lane in range(LANES):
        work[lane] = _NO_NOISE
    for view in range(first, first + PAIR_TAPS):
        for channel in range(channels):
            for lane in range(LANES):
                work[LANES + lane] = filtered[view, channel, block + lane]
            for lane in range(LANES):
                work[lane] = max(work[lane], abs(work[LANES + lane]))


@exactly_inlined
def _pack_view(values: FloatArray, pairs: IndexArray, block: int, work: FloatArray) -> None:
    """Round sixteen lanes of a view, [channel, lane]; the first half of `work` holds factors."""
    words = np.zeros(2 * LANES, np.int32)
    for channel in range(pairs.shape[0] - 1, -1, -1):
        for lane in range(LANES):
            work[LANES + lane] = values[channel, block + lane]
        for lane in range(LANES):
            # Rounded by way of a positive number, which is cut off the same everywhere.
            value = work[LANES + lane] * work[lane] + float32(32768.5)
            near = int32(value) - int32(32768)
            words[lane] = (words[LANES + lane] << int32(16)) | (near & int32(0xFFFF))
            words[LANES + lane] = near
        for lane in range(LANES):
            pairs[channel, block + lane] = words[lane]


@exactly_inlined
def _pack_group(
    filtered: FloatArray, first: int, pairs: IndexArray, scales: FloatArray, block: int
) -> None:
    """Round eight views of sixteen lanes; `scales` receives the value of a unit product."""
    work = np.empty(2 * LANES, np.float32)
    _find_largest(filtered, first, pairs.shape[1], block, work)
    for lane in range(LANES):
        scales[block + lane] = work[lane] / float32(LARGEST_VALUE * LARGEST_WEIGHT)
        work[lane] = float32(LARGEST_VALUE) / work[lane]
    for view in range(first, first + PAIR_TAPS):
        _pack_view(filtered[view], pairs[view], block, work)


@parallel_kernel
def pack_pairs(filtered: FloatArray, pairs: IndexArray, scales: FloatArray) -> None:
    """Round filtered views to pairs of neighbouring channels.

    Args:
        filtered: [view, channel, lane]; views a multiple of eight, channels at least as many as in
            `pairs`.
        pairs: Receives [view, channel, lane]: a channel in the lower, the next in the upper
            half of a word.
        scales: Receives the value of a unit product for every eight views, [group, lane].
    """
    for group in prange(pairs.shape[0] // PAIR_TAPS):
        for block in range(0, pairs.shape[2], LANES):
            _pack_group(filtered, group * PAIR_TAPS, pairs, scales[group], block)


@exactly_inlined
def _find_pairs(
    fan: FanArrays,
    view: int,
    start: tuple[Float, Float, Float],
    unit: Float,
    taps: PairTaps,
    shape: tuple[int, int],
) -> None:
    """Place and weights unit / L^2 of the pixels of a row of a strip, for eight views.

    `start` holds x and y of the first pixel and the column spacing, mm; geometry as in `kernels`.
    """
    index, weights = taps
    x_mm, y_mm, spacing = start
    channels, lanes = shape
    for tap in range(PAIR_TAPS):
        first = int32((view + tap) * channels * lanes)
        cosine = float32(fan.cosines[view + tap])
        sine = float32(fan.sines[view + tap])
        across = x_mm * cosine + y_mm * sine
        along = float32(fan.distance_mm) + x_mm * sine - y_mm * cosine
        scale, offset = float32(fan.channels_per_radian), float32(fan.central_channel)
        for pixel in range(STRIP_COLUMNS):
            step = float32(pixel) * spacing
            depth = multiply_add(step, sine, along)
            side = multiply_add(step, cosine, across)
            squared = multiply_add(depth, depth, side * side)
            # One division for both the ratio and the weight.
            inverse = float32(1.0) / (depth * squared)
            ratio = side * squared * inverse
            channel = multiply_add(arctangent(ratio), scale, offset)
            whole = int32(channel)
            weight = depth * inverse * unit
            far = int32((channel - float32(whole)) * weight + float32(0.5))
            near = int32(weight + float32(0.5)) - far
            index[tap, pixel] = first + whole * int32(lanes)
            weights[tap, pixel] = (far << int32(16)) | near


@inlined
def _add_row(
    image: tuple[FloatArray, int],
    source: IndexArray,
    scales: tuple[FloatArray, int],
    taps: PairTaps,
    shape: tuple[int, int],
) -> None:
    """Add eight views to a stretch of pixels of one row; each array with where to start in it."""
    target, at = image
    factors, scale_at = scales
    index, weights = taps
    pixels, lanes = shape
    for pixel in range(pixels):
        both = (
            weights[0, pixel],
            weights[1, pixel],
            weights[2, pixel],
            weights[3, pixel],
            weights[4, pixel],
            weights[5, pixel],
            weights[6, pixel],
            weights[7, pixel],
        )
        for lane in range(0, lanes, LANES):
            places = (int64(at + pixel * lanes + lane), int64(scale_at + lane))
            moved = (
                int64(index[0, pixel]) + lane,
                int64(index[1, pixel]) + lane,
                int64(index[2, pixel]) + lane,
                int64(index[3, pixel]) + lane,
                int64(index[4, pixel]) + lane,
                int64(index[5, pixel]) + lane,
                int64(index[6, pixel]) + lane,
                int64(index[7, pixel]) + lane,
            )
            add_eight_pairs(target, source, factors, places, moved, both)


@parallel_kernel
def back_project_pairs(
    pairs: IndexArray,
    scales: FloatArray,
    fan: FanArrays,
    pixels: PixelArrays,
    unit: float,
    image: FloatArray,
) -> None:
    """Weighted fan-beam back-projection: sum over views of q(channel of the pixel) unit / L^2.

    Args:
        pairs: Rounded projections, [view, channel, lane], from `pack_pairs`.
        scales: From `pack_pairs`.
        fan: `FanArrays`.
        pixels: `PixelArrays`.
        unit: LARGEST_WEIGHT times the square of the least distance of a pixel, mm^2.
        image: The sum, times LARGEST_WEIGHT over it, is added here, [y, x, lane].
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
                _find_pairs(fan, view, start, float32(unit), taps, (channels, lanes))
                _add_row(
                    (target, (row * columns + left) * lanes),
                    source,
                    (factors, group * lanes),
                    taps,
                    (right - left, lanes),
                )
