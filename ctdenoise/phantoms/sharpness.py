"""Slices of a phantom as sharp as a reconstruction makes them.

A scan shows anatomy through the modulation transfer of its kernel, and noise through the same
kernel. A phantom that is as sharp as its voxels under the noise of a soft kernel looks like no
scan: edges are then always finer than the noise, and a network learns to tell them apart by that.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from ctdenoise.config.kernels import GaussianKernelSettings, TableKernelSettings
from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.units import AIR_HU

_REACH_MM = 12.0
"""Air that is laid around a slice, so that one side does not reach over to the other."""


def as_sharp_as(
    hu: HuArray,
    pixel_spacing_mm: tuple[float, float],
    sharpness: GaussianKernelSettings | TableKernelSettings,
) -> HuArray:
    """Slices filtered in their plane; the sum of their values stays.

    Args:
        hu: HU, [z, y, x].
        pixel_spacing_mm: Distance between rows, then between columns.
        sharpness: Factor at each frequency, in all directions alike.

    Returns:
        HU, float32 [z, y, x].
    """
    rows, columns = hu.shape[1:]
    pad = [int(np.ceil(_REACH_MM / mm)) for mm in pixel_spacing_mm]
    shape = [
        fft.next_fast_len(n + 2 * p, real=True) for n, p in zip((rows, columns), pad, strict=True)
    ]
    factor = _factor(sharpness, (shape[0], shape[1]), pixel_spacing_mm)
    filtered = np.empty(hu.shape, np.float32)
    for index, plane in enumerate(hu):
        # Air is zero here: the values beyond the slice, and those that wrap around, are air.
        wide = np.zeros(shape, np.float32)
        wide[:rows, :columns] = plane - np.float32(AIR_HU)
        spectrum = fft.rfft2(wide) * factor
        back = fft.irfft2(spectrum, s=shape)[:rows, :columns]
        filtered[index] = back + np.float32(AIR_HU)
    return filtered


def _factor(
    sharpness: GaussianKernelSettings | TableKernelSettings,
    shape: tuple[int, int],
    pixel_spacing_mm: tuple[float, float],
) -> FloatArray:
    """Factor of each frequency of a real transform, [y, x]."""
    along_y = fft.fftfreq(shape[0], pixel_spacing_mm[0])
    along_x = fft.rfftfreq(shape[1], pixel_spacing_mm[1])
    radius = np.hypot(along_y[:, None], along_x)
    if isinstance(sharpness, GaussianKernelSettings):
        factor = np.exp2(-((radius / sharpness.f50_per_mm) ** 2))
    else:
        factor = np.interp(radius, sharpness.frequency_per_mm, sharpness.value, right=0.0)
    return np.asarray(factor, dtype=np.float32)
