"""Local standard deviation of an image of noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray

KERNEL_MM = 6.0
"""Edge of the rectangle of maps of local noise, as of the patches that give the global noise level
(Christianson et al., AJR 2015)."""


def local_sd_hu(
    noise_hu: HuArray,
    padding: BoolArray | None,
    *,
    pixel_spacing_mm: tuple[float, float],
    window_mm: float,
) -> FloatArray:
    """Standard deviation around each pixel, over the image pixels of a rectangle, HU.

    With n pixels x in the rectangle: sqrt((sum x^2 - (sum x)^2 / n) / (n - 1)). At the edge of the
    image the rectangle is cut. It says how much was taken away there, whatever it was: noise, and
    fine structure where a network removes that too. It is no error of the result.

    Args:
        noise_hu: One slice of noise, float32 [y, x].
        padding: Which pixels are none, bool [y, x]; None where all are image pixels.
        pixel_spacing_mm: Spacing along (y, x).
        window_mm: Edge of the rectangle; it has an odd number of pixels, at least 3.

    Returns:
        float32 [y, x]; 0 at padding and where fewer than two pixels count.
    """
    size = [max(3, 2 * round(window_mm / spacing / 2) + 1) for spacing in pixel_spacing_mm]
    counted = np.ones(noise_hu.shape) if padding is None else (~padding).astype(np.float64)
    noise = np.where(counted > 0, noise_hu, 0.0).astype(np.float64)
    area = size[0] * size[1]

    def summed(values: DoubleArray) -> DoubleArray:
        total: DoubleArray = uniform_filter(values, size, mode="constant") * area
        return total

    count = np.rint(summed(counted))
    squares = summed(noise * noise) - summed(noise) ** 2 / np.maximum(count, 1)
    variance = np.maximum(squares, 0) / np.maximum(count - 1, 1)
    variance[(count < 2) | (counted == 0)] = 0
    sd_hu: FloatArray = np.sqrt(variance).astype(np.float32)
    return sd_hu
