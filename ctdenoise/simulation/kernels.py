"""The compiled loops of the fan-beam projector and back-projector.

Array layouts: images ``[y, x, lane]``, sinograms ``[view, channel, lane]``, float32, C order, the
number of lanes a multiple of `vectors.LANES`. Every output element is summed in an order that
depends neither on the number of threads nor on the other lanes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float32, int32, int64, prange

from ctdenoise.config.scanner import VIEW_MULTIPLE
from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.simulation.vectors import (
    LANES,
    add_four_taps,
    add_one_tap,
    exactly_inlined,
    inlined,
    multiply_add,
    parallel_kernel,
)

VIEW_BLOCK = 16
"""Views that one thread projects together, so that a block of image rows stays in its cache."""

ROW_BLOCK = 16
TILE_ROWS = 16
TILE_COLUMNS = 64
BACK_VIEW_BLOCK = VIEW_MULTIPLE
"""Views that are back-projected into a tile before its next row."""

Float = Any
"""A float32 scalar of numba, whose constructors have no types."""

IndexArray = npt.NDArray[np.int32]
Taps = tuple[IndexArray, FloatArray, FloatArray]
"""Channel, weight of it and weight of the next one, each [view, pixel]."""

# Odd polynomial for the arctangent, fitted on |r| <= 0.65 (fans up to 66 degrees): within 3e-7.
_ATAN = (
    np.float32(0.9999950527),
    np.float32(-0.3330847952),
    np.float32(0.1964550265),
    np.float32(-0.1214437629),
    np.float32(0.0488168075),
)


class Lines(NamedTuple):
    """Where each ray crosses the pixel rows (or columns, for flat rays) of a padded image.

    Crossing of row r (from 0, without padding) is at ``intercept + slope * r`` in padded columns.
    All are indexed [view, channel].
    """

    slope: FloatArray
    intercept: FloatArray
    step_mm: FloatArray
    """Length of the ray between two neighbouring rows."""
    first: IndexArray
    last: IndexArray
    """Rows that the ray crosses inside the padded image: first <= row < last."""
    is_flat: BoolArray
    """Whether the ray runs closer to the rows, and so crosses columns instead."""


class FanArrays(NamedTuple):
    """The fan as the back-projector needs it."""

    cosines: DoubleArray
    sines: DoubleArray
    """Of the source angle of each view."""
    distance_mm: float
    """Source to isocentre."""
    channels_per_radian: float
    central_channel: float
    """Channel index of the ray through the isocentre."""


class PixelArrays(NamedTuple):
    """The pixel grid as the back-projector needs it; the isocentre in index coordinates."""

    row_spacing_mm: float
    column_spacing_mm: float
    isocentre_row: float
    isocentre_column: float
    radius_mm: float
    """Pixels farther than this from the isocentre are left alone."""


@inlined
def _add_line(
    target: FloatArray,
    at: int,
    source: FloatArray,
    width: int,
    lanes: int,
    line: tuple[float, float, float],
    rows: tuple[int, int],
) -> None:
    """Add the samples of one ray in some rows to one detector element."""
    slope, intercept, step = line
    row, last = rows
    while row + 4 <= last:
        x0 = intercept + slope * float32(row)
        x1 = x0 + slope
        x2 = x1 + slope
        x3 = x2 + slope
        i0, i1, i2, i3 = int32(x0), int32(x1), int32(x2), int32(x3)
        f0 = (x0 - float32(i0)) * step
        f1 = (x1 - float32(i1)) * step
        f2 = (x2 - float32(i2)) * step
        f3 = (x3 - float32(i3)) * step
        start = int64((row + 1) * width)
        for lane in range(0, lanes, LANES):
            add_four_taps(
                target,
                source,
                int64(at + lane),
                int64(lanes),
                (
                    int64((start + i0) * lanes + lane),
                    int64((start + width + i1) * lanes + lane),
                    int64((start + 2 * width + i2) * lanes + lane),
                    int64((start + 3 * width + i3) * lanes + lane),
                ),
                (step - f0, step - f1, step - f2, step - f3),
                (f0, f1, f2, f3),
            )
        row += 4
    while row < last:
        x0 = intercept + slope * float32(row)
        i0 = int32(x0)
        f0 = (x0 - float32(i0)) * step
        for lane in range(0, lanes, LANES):
            add_one_tap(
                target,
                source,
                int64(at + lane),
                int64(lanes),
                (int64(((row + 1) * width + i0) * lanes + lane),),
                (step - f0,),
                (f0,),
            )
        row += 1


@inlined
def _project_views(
    image: FloatArray,
    lines: Lines,
    flat: bool,
    first_view: int,
    last_view: int,
    target: FloatArray,
) -> None:
    """Project a few views, one block of image rows after the other."""
    channels = lines.slope.shape[1]
    rows, width, lanes = image.shape[0] - 2, image.shape[1], image.shape[2]
    source = image.reshape(-1)
    for block in range(0, rows, ROW_BLOCK):
        for view in range(first_view, last_view):
            for channel in range(channels):
                if lines.is_flat[view, channel] != flat:
                    continue
                first = max(block, lines.first[view, channel])
                last = min(block + ROW_BLOCK, lines.last[view, channel])
                if first < last:
                    line = (
                        lines.slope[view, channel],
                        lines.intercept[view, channel],
                        lines.step_mm[view, channel],
                    )
                    at = (view * channels + channel) * lanes
                    _add_line(target, at, source, width, lanes, line, (first, last))


@parallel_kernel
def project_lines(
    by_row: FloatArray, by_column: FloatArray, lines: Lines, sinogram: FloatArray
) -> None:
    """Line integrals by Joseph's method: linear interpolation in every row the ray crosses.

    Args:
        by_row: Image with one pixel of zeros around it, [y + 2, x + 2, lane].
        by_column: The same image transposed, [x + 2, y + 2, lane].
        lines: `Lines` of all rays.
        sinogram: Line integrals are added here, [view, channel, lane].
    """
    views = sinogram.shape[0]
    for block in prange((views + VIEW_BLOCK - 1) // VIEW_BLOCK):
        target = sinogram.reshape(-1)
        first = block * VIEW_BLOCK
        last = min(views, first + VIEW_BLOCK)
        _project_views(by_row, lines, False, first, last, target)
        _project_views(by_column, lines, True, first, last, target)


@exactly_inlined
def arctangent(ratio: Float) -> Float:
    """Angle whose tangent is a ratio, radians, to 3e-7 for ratios up to 0.65."""
    square = ratio * ratio
    inner = multiply_add(square, _ATAN[4], _ATAN[3])
    inner = multiply_add(square, inner, _ATAN[2])
    inner = multiply_add(square, inner, _ATAN[1])
    return ratio * multiply_add(square, inner, _ATAN[0])


@inlined
def back_row(
    image: FloatArray,
    at: int,
    filtered: FloatArray,
    first_view: int,
    taps: Taps,
    shape: tuple[int, int, int],
) -> None:
    """Add four views to a stretch of pixels of one row."""
    index, near, far = taps
    pixels, channels, lanes = shape
    base = int64(first_view * channels)
    for pixel in range(pixels):
        starts = (
            (base + index[0, pixel]) * lanes,
            (base + channels + index[1, pixel]) * lanes,
            (base + 2 * channels + index[2, pixel]) * lanes,
            (base + 3 * channels + index[3, pixel]) * lanes,
        )
        low = (near[0, pixel], near[1, pixel], near[2, pixel], near[3, pixel])
        high = (far[0, pixel], far[1, pixel], far[2, pixel], far[3, pixel])
        for lane in range(0, lanes, LANES):
            add_four_taps(
                image,
                filtered,
                int64(at + pixel * lanes + lane),
                int64(lanes),
                (
                    int64(starts[0] + lane),
                    int64(starts[1] + lane),
                    int64(starts[2] + lane),
                    int64(starts[3] + lane),
                ),
                low,
                high,
            )


@inlined
def _find_channels(
    fan: FanArrays, view: int, start: tuple[Float, Float, Float], pixels: int, taps: Taps
) -> None:
    """Channel and weights 1/L^2 of each pixel of a row, for four views.

    `start` holds x and y of the first pixel and the column spacing, mm. With s across and l along
    the central ray, the fan angle is atan(s / l) and L^2 = l^2 + s^2.
    """
    index, near, far = taps
    x_mm, y_mm, spacing = start
    for tap in range(4):
        cosine = float32(fan.cosines[view + tap])
        sine = float32(fan.sines[view + tap])
        across = x_mm * cosine + y_mm * sine
        along = float32(fan.distance_mm) + x_mm * sine - y_mm * cosine
        scale, offset = float32(fan.channels_per_radian), float32(fan.central_channel)
        for pixel in range(pixels):
            step = float32(pixel) * spacing
            inverse = float32(1.0) / (along + step * sine)
            ratio = (across + step * cosine) * inverse
            channel = arctangent(ratio) * scale + offset
            whole = int32(channel)
            weight = inverse * inverse / (float32(1.0) + ratio * ratio)
            fraction = (channel - float32(whole)) * weight
            index[tap, pixel] = whole
            far[tap, pixel] = fraction
            near[tap, pixel] = weight - fraction


@inlined
def row_span(pixels: PixelArrays, row: int, first: int, last: int) -> tuple[int, int]:
    """First and last column of a row inside the scan field (empty if last <= first)."""
    y_mm = (row - pixels.isocentre_row) * pixels.row_spacing_mm
    half_squared = pixels.radius_mm * pixels.radius_mm - y_mm * y_mm
    if half_squared <= 0:
        return first, first
    half = math.sqrt(half_squared) / pixels.column_spacing_mm
    left = max(first, math.ceil(pixels.isocentre_column - half))
    right = min(last, math.floor(pixels.isocentre_column + half) + 1)
    return left, right


@parallel_kernel
def back_project_fan(
    filtered: FloatArray, fan: FanArrays, pixels: PixelArrays, image: FloatArray
) -> None:
    """Weighted fan-beam back-projection: sum over views of q(channel of the pixel) / L^2.

    Args:
        filtered: Filtered projections, [view, channel, lane]; views a multiple of eight.
        fan: `FanArrays`.
        pixels: `PixelArrays`.
        image: The sum is added here, [y, x, lane].
    """
    views, channels, lanes = filtered.shape
    rows, columns = image.shape[0], image.shape[1]
    across = (columns + TILE_COLUMNS - 1) // TILE_COLUMNS
    for tile in prange(((rows + TILE_ROWS - 1) // TILE_ROWS) * across):
        target, source = image.reshape(-1), filtered.reshape(-1)
        index = np.empty((4, TILE_COLUMNS), np.int32)
        near = np.empty((4, TILE_COLUMNS), np.float32)
        far = np.empty((4, TILE_COLUMNS), np.float32)
        taps = (index, near, far)
        first_row = (tile // across) * TILE_ROWS
        first_column = (tile % across) * TILE_COLUMNS
        last_column = min(columns, first_column + TILE_COLUMNS)
        for block in range(0, views, BACK_VIEW_BLOCK):
            for row in range(first_row, min(rows, first_row + TILE_ROWS)):
                left, right = row_span(pixels, row, first_column, last_column)
                count = right - left
                if count <= 0:
                    continue
                start = (
                    float32((left - pixels.isocentre_column) * pixels.column_spacing_mm),
                    float32((row - pixels.isocentre_row) * pixels.row_spacing_mm),
                    float32(pixels.column_spacing_mm),
                )
                at = (row * columns + left) * lanes
                for view in range(block, block + BACK_VIEW_BLOCK, 4):
                    _find_channels(fan, view, start, count, taps)
                    back_row(target, at, source, view, taps, (count, channels, lanes))


@parallel_kernel
def gather_attenuation(
    hu: HuArray, mu_water_per_mm: float, factor: int, by_row: FloatArray, by_column: FloatArray
) -> None:
    """Attenuation from Hounsfield units, binned and laid out for `project_lines`.

    mu = mu_water * (1 + HU / 1000), never below zero; each coarse pixel is the mean of
    factor x factor fine ones, those beyond the edge counting as air.

    Args:
        hu: Slices, [slice, y, x].
        mu_water_per_mm: Attenuation of water, 1/mm.
        factor: Fine pixels in a coarse one, along each axis.
        by_row: Receives [y + 2, x + 2, lane].
        by_column: Receives the transpose.
    """
    slices, rows, columns = hu.shape
    scale = float32(mu_water_per_mm / (factor * factor))
    for coarse_row in prange(by_row.shape[0] - 2):
        first_row = coarse_row * factor
        last_row = min(rows, first_row + factor)
        for index in range(slices):
            for coarse_column in range(by_row.shape[1] - 2):
                first = coarse_column * factor
                total = float32(0.0)
                for row in range(first_row, last_row):
                    for column in range(first, min(columns, first + factor)):
                        relative = float32(1.0) + hu[index, row, column] * float32(0.001)
                        total += max(relative, float32(0.0))
                by_row[coarse_row + 1, coarse_column + 1, index] = total * scale
        for coarse_column in range(by_row.shape[1] - 2):
            for lane in range(by_row.shape[2]):
                by_column[coarse_column + 1, coarse_row + 1, lane] = by_row[
                    coarse_row + 1, coarse_column + 1, lane
                ]


@parallel_kernel
def add_to_slices(image: FloatArray, hu: HuArray, out: HuArray) -> None:
    """The sum of slices [slice, y, x] and an image [y, x, lane], written to `out`."""
    slices, rows, columns = hu.shape
    for row in prange(rows):
        for index in range(slices):
            for column in range(columns):
                out[index, row, column] = hu[index, row, column] + image[row, column, index]
