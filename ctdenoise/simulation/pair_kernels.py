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
from ctdenoise.simulation.lane_transforms import SAMPLE, CircularFilter, filter_on_circle
from ctdenoise.simulation.lane_vectors import (
    Vector,
    larger_magnitude,
    load_vector,
    splat,
    store_pairs,
    store_vector,
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
def _filter_two_views(
    source: FloatArray,
    starts: tuple[int, int, int],
    circle: CircularFilter,
    work: tuple[FloatArray, FloatArray],
    shape: tuple[int, int],
) -> Vector:
    """Filter sixteen lanes of two views; their largest magnitude.

    `starts`: of either view in `source`, and of the first in the second array of `work`, which
    receives them, [view, channel, lane], flat. `shape`: channels and lanes of the source.
    """
    samples, filtered = work
    one, two, start = starts
    channels, lanes = shape
    for channel in range(channels):
        for part, first in enumerate((one, two)):
            values = load_vector(source, int64(first + channel * lanes))
            store_vector(samples, int64(channel * SAMPLE + part * LANES), values)
    for place in range(channels * SAMPLE, circle.transfer.shape[0] * SAMPLE, LANES):
        store_vector(samples, int64(place), splat(float32(0.0)))
    filter_on_circle(samples, circle)
    largest = splat(_NO_NOISE)
    for channel in range(channels):
        for part in range(2):
            values = load_vector(samples, int64(channel * SAMPLE + part * LANES))
            largest = larger_magnitude(largest, values)
            store_vector(filtered, int64(start + (part * channels + channel) * LANES), values)
    return largest


@exactly_inlined
def _pack_view(
    filtered: FloatArray, start: int, pairs: IndexArray, at: tuple[int, int, int], factor: Vector
) -> None:
    """Round sixteen lanes of a view; `at`: its first word in `pairs`, channels, lanes."""
    first, channels, lanes = at
    values = load_vector(filtered, int64(start)) * factor
    for channel in range(channels - 1):
        following = load_vector(filtered, int64(start + (channel + 1) * LANES)) * factor
        store_pairs(pairs, int64(first + channel * lanes), values, following)
        values = following
    store_pairs(pairs, int64(first + (channels - 1) * lanes), values, splat(float32(0.0)))


@parallel_kernel
def filter_to_pairs(
    weighted: FloatArray, circle: CircularFilter, pairs: IndexArray, scales: FloatArray
) -> None:
    """Filter views on a circle and round them to pairs of neighbouring channels.

    Args:
        weighted: [view, channel, lane]; views a multiple of eight.
        circle: The filter.
        pairs: Receives [view, channel, lane]: a channel in the lower, the next in the upper half
            of a word. May be the memory of `weighted`: each lane is read before it is written.
        scales: Receives the value of a unit product for every eight views, [group, lane].
    """
    views, channels, lanes = weighted.shape
    for group in prange(views // PAIR_TAPS):
        source, target, factors = weighted.reshape(-1), pairs.reshape(-1), scales.reshape(-1)
        samples = np.empty(circle.transfer.shape[0] * SAMPLE, np.float32)
        filtered = np.empty(PAIR_TAPS * channels * LANES, np.float32)
        factor = np.empty(LANES, np.float32)
        for block in range(0, lanes, LANES):
            first = group * PAIR_TAPS * channels * lanes + block
            largest = splat(_NO_NOISE)
            for view in range(0, PAIR_TAPS, 2):
                start = first + view * channels * lanes
                starts = (start, start + channels * lanes, view * channels * LANES)
                found = _filter_two_views(
                    source, starts, circle, (samples, filtered), (channels, lanes)
                )
                largest = larger_magnitude(largest, found)
            store_vector(factor, int64(0), largest)
            for lane in range(LANES):
                factors[group * lanes + block + lane] = factor[lane] / float32(
                    LARGEST_VALUE * LARGEST_WEIGHT
                )
                factor[lane] = float32(LARGEST_VALUE) / factor[lane]
            for view in range(PAIR_TAPS):
                at = (first + view * channels * lanes, channels, lanes)
                start = view * channels * LANES
                _pack_view(filtered, start, target, at, load_vector(factor, int64(0)))


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
def add_row(
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
        pairs: Rounded projections, [view, channel, lane], from `filter_to_pairs`.
        scales: From `filter_to_pairs`.
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
                add_row(
                    (target, (row * columns + left) * lanes),
                    source,
                    (factors, group * lanes),
                    taps,
                    (right - left, lanes),
                )
