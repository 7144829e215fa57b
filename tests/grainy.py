"""Noise that hangs together like that of CT, and small scans that hold it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume


def ct_power(size: int, cutoff: float = 0.25) -> DoubleArray:
    """Power f exp(-(f / f0)^2) of noise of unit variance, [fy, fx]; f0 in cycles per pixel."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    power = radius * np.exp(-np.square(radius / cutoff))
    return np.asarray(power / power.mean())


def grainy_noise(shape: tuple[int, int, int], seed: int, cutoff: float = 0.25) -> DoubleArray:
    """Gaussian noise of unit variance with this power, [z, y, x]."""
    white = np.random.default_rng(seed).normal(size=shape)
    root = np.sqrt(ct_power(shape[1], cutoff))
    return np.asarray(np.fft.ifft2(np.fft.fft2(white) * root).real)


def correlation_of(power: DoubleArray) -> DoubleArray:
    """The correlation by lag that belongs to a power spectrum, lag (0, 0) first."""
    by_lag = np.fft.ifft2(power).real
    return np.asarray(by_lag / by_lag[0, 0])


def patient(
    *, slices: int = 3, size: int = 160, noise_hu: float = 20.0, seed: int = 0
) -> tuple[CTVolume, CTVolume]:
    """The truth and a scan of it: a body with organs of 40 and 90 HU, a lung, a vessel, a bone."""
    axis = (np.arange(size) - (size - 1) / 2) / size
    y, x = axis[:, None], axis[None, :]
    radius = np.hypot(y, x)
    image = np.where(radius < 0.44, 0.0, -1000.0)
    image[np.hypot(y, x + 0.15) < 0.2] = 40.0
    image[np.hypot(y + 0.1, x + 0.15) < 0.04] = 90.0
    image[np.hypot(y, x - 0.25) < 0.12] = -800.0
    image[np.hypot(y - 0.33, x) < 0.05] = 600.0
    image = ndimage.gaussian_filter(image, 0.7)
    hu = np.repeat(image[None], slices, axis=0).astype(np.float32)
    by_place = 1.25 - 1.2 * np.minimum(radius, 0.5)  # more noise in the middle, as in CT
    noise = noise_hu * by_place * grainy_noise((slices, size, size), seed)
    geometry = Geometry.axial((slices, size, size), pixel_spacing_mm=1.5, slice_spacing_mm=3.0)
    acquisition = Acquisition(kvp=120.0, slice_thickness_mm=3.0)
    return (
        CTVolume(hu, geometry, acquisition),
        CTVolume((hu + noise).astype(np.float32), geometry, acquisition),
    )
