"""Compiled loops of the image-domain noise: variance by direction, and spectra of noise.

Directions are those of the normals of rays, modulo half a turn. The variance of rays is sorted into
sectors around the directions ``j pi / sectors``; noise is interpolated linearly between these.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, prange

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.simulation.kernels import FanArrays, PixelArrays
from ctdenoise.simulation.vectors import inlined, parallel_kernel, serial_kernel

Scalar = Any
"""A number of numba."""


@parallel_kernel
def back_project_variance(
    variance: FloatArray, fan: FanArrays, pixels: PixelArrays, out: FloatArray
) -> None:
    """Sum of the variance of the rays through each pixel over L^4, by direction.

    Args:
        variance: Of the weighted log data, [view, channel, lane].
        fan: `FanArrays` of these views and channels.
        pixels: `PixelArrays` of a coarse grid.
        out: The sums are added here, [y, x, sector, lane].
    """
    views, channels, lanes = variance.shape
    rows, columns, sectors = out.shape[0], out.shape[1], out.shape[2]
    for row in prange(rows):
        y_mm = (row - pixels.isocentre_row) * pixels.row_spacing_mm
        target = out[row].reshape(-1)
        source = variance.reshape(-1)
        for column in range(columns):
            x_mm = (column - pixels.isocentre_column) * pixels.column_spacing_mm
            if x_mm * x_mm + y_mm * y_mm > pixels.radius_mm * pixels.radius_mm:
                continue
            for view in range(views):
                cosine, sine = fan.cosines[view], fan.sines[view]
                across = x_mm * cosine + y_mm * sine
                along = fan.distance_mm + x_mm * sine - y_mm * cosine
                gamma = math.atan2(across, along)
                channel = gamma * fan.channels_per_radian + fan.central_channel
                channel = min(max(channel, 0.0), channels - 1.001)
                whole = int(channel)
                right = channel - whole
                turned = (math.atan2(sine, cosine) + gamma) / math.pi * sectors + 0.5
                sector = int(turned - math.floor(turned / sectors) * sectors)
                weight = 1.0 / (across * across + along * along) ** 2
                near = float32((1 - right) * weight)
                far = float32(right * weight)
                at = (view * channels + whole) * lanes
                to = (column * sectors + min(sector, sectors - 1)) * lanes
                for lane in range(lanes):
                    target[to + lane] += near * source[at + lane] + far * source[at + lanes + lane]


@inlined
def _power(
    fx: Scalar, fy: Scalar, centre: tuple[Scalar, Scalar], distance: Scalar, table: FloatArray
) -> Scalar:
    """Noise power per unit of directional variance at a frequency, around a point.

    ``(1/k) sum over the two rays of g L q(k L)`` with the shares g ~ L^-3 of the ray that comes
    from the near and the ray that comes from the far side.
    """
    k = math.sqrt(fx * fx + fy * fy)
    if k == 0:
        return 0.0
    x_mm, y_mm = centre
    offset = (x_mm * fx + y_mm * fy) / k
    tangent = (-x_mm * fy + y_mm * fx) / k
    sine = min(abs(offset) / distance, 0.95)
    middle = distance * math.sqrt(1 - sine * sine)
    near = max(middle - abs(tangent), 0.1 * distance)
    far = middle + abs(tangent)
    share = far * far * far / (far * far * far + near * near * near)
    total = 0.0
    for ray in range(2):
        length = near if ray == 0 else far
        part = share if ray == 0 else 1 - share
        place = k * length / distance * table[0]
        whole = int(place)
        if whole + 2 < table.shape[0]:
            fraction = place - whole
            value = (1 - fraction) * table[1 + whole] + fraction * table[2 + whole]
            total += part * length * value
    return total / k


@serial_kernel
def fill_amplitudes(
    frequencies: tuple[FloatArray, FloatArray],
    centre: tuple[float, float],
    distance_mm: float,
    table: FloatArray,
    aliases: int,
    out: FloatArray,
) -> None:
    """The transfer function that gives white noise the spectrum around a point.

    What aliases onto a frequency is added to the power there. Its direction is that mirrored in an
    axis of the pixels; it counts as the direction of the frequency that it is seen at.

    Args:
        frequencies: Along y and along x, 1/mm, of a half plane.
        centre: x and y of the point seen from the isocentre, mm.
        distance_mm: Source to isocentre.
        table: Entries for one 1/mm of frequency at the isocentre; then q(k L) at these entries.
        aliases: How many times the pixels' sampling frequency the spectrum reaches.
        out: Receives the amplitudes, [fy, fx].
    """
    along_y, along_x = frequencies
    step_y = abs(along_y[1]) * along_y.shape[0]
    step_x = along_x[1] * 2 * (along_x.shape[0] - 1)
    last = max(aliases, 1)
    for row in range(along_y.shape[0]):
        towards_zero = -step_y if along_y[row] >= 0 else step_y
        for column in range(along_x.shape[0]):
            power = 0.0
            for shift_y in range(1 - last, aliases + 1):
                fy = along_y[row] + shift_y * towards_zero
                for shift_x in range(1 - last, aliases + 1):
                    fx = along_x[column] - shift_x * step_x
                    power += _power(fx, fy, centre, distance_mm, table)
            out[row, column] = math.sqrt(power)


def sector_weights(frequencies: tuple[FloatArray, FloatArray], sectors: int) -> FloatArray:
    """Share of each sector in a frequency, [sector, fy, fx]: triangles that add to one.

    Args:
        frequencies: Along y and along x.
        sectors: How many.
    """
    along_y, along_x = frequencies
    place = np.arctan2(along_y[:, None], along_x[None, :]) / np.pi * sectors
    distance = np.abs(place - np.arange(sectors)[:, None, None])
    distance = np.minimum(distance % sectors, -distance % sectors)
    return np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)


def filtered_power(response: FloatArray, reach: int) -> DoubleArray:
    """Power of filtered channels of unit variance, linearly interpolated, by frequency.

    The spectrum of the channels repeats beyond their Nyquist frequency, and interpolation passes
    sinc^4 of it. Twice the integral over the frequency in cycles per channel is the variance.

    Args:
        response: Transfer function of the filter, from 0 to the Nyquist frequency.
        reach: How many sampling frequencies of the channels to follow it to.

    Returns:
        Density at entries ``1 / (2 (len(response) - 1))`` cycles per channel apart.
    """
    half = len(response) - 1
    index = np.arange(2 * half * reach + 1)
    folded = np.abs((index + half) % (2 * half) - half)
    return np.asarray(response[folded].astype(np.float64) ** 2 * np.sinc(index / (2 * half)) ** 4)
