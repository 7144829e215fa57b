"""A body of every tissue, and noise like that of filtered back-projection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume

SIZE = 256
SPACING_MM = 1.2
SLICES = 6


def body() -> CTVolume:
    """An ellipse of soft tissue in a ring of fat, with lung, bone, vessels and room air around."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * SPACING_MM
    y, x = axis[:, None], axis[None, :]
    image = np.full((SIZE, SIZE), -1000.0)
    image[(x / 135) ** 2 + (y / 105) ** 2 < 1] = -100
    image[(x / 118) ** 2 + (y / 88) ** 2 < 1] = 50
    for centre, radius, hu in (
        ((55, -20), 28, -800),
        ((-60, -25), 25, -800),
        ((0, 60), 14, 600),
        ((60, 40), 8, 350),
        ((-50, 45), 6, 250),
        ((5, 5), 10, 180),
        ((-70, 20), 9, -850),
    ):
        image[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2] = hu
    image = ndimage.gaussian_filter(image, 0.8)  # as sharp as a scanner
    hu = np.repeat(image[None], SLICES, axis=0).astype(np.float32)
    geometry = Geometry.axial(hu.shape, pixel_spacing_mm=SPACING_MM, slice_spacing_mm=3.0)
    acquisition = Acquisition(kvp=120.0, slice_thickness_mm=3.0, convolution_kernel="B30f")
    return CTVolume(hu, geometry, acquisition)


def ct_noise(sd_hu: float, seed: int, *, cutoff_per_mm: float = 0.2) -> np.ndarray:
    """Noise with the spectrum f exp(-(f/f0)^2) of filtered back-projection, [z, y, x]."""
    white = np.random.default_rng(seed).standard_normal((SLICES, SIZE, SIZE))
    frequency = np.hypot(
        np.fft.fftfreq(SIZE, SPACING_MM)[:, None], np.fft.rfftfreq(SIZE, SPACING_MM)
    )
    response = np.sqrt(frequency * np.exp(-((frequency / cutoff_per_mm) ** 2)))
    noise = np.fft.irfft2(np.fft.rfft2(white) * response, s=(SIZE, SIZE))
    return (noise * (sd_hu / noise.std())).astype(np.float32)


def noisy(truth: CTVolume, sd_hu: float = 15.0, seed: int = 1) -> CTVolume:
    """The body with noise."""
    return replace(truth, hu=truth.hu + ct_noise(sd_hu, seed))


def changed(volume: CTVolume, hu: np.ndarray) -> CTVolume:
    """The same grid with other voxels."""
    return replace(volume, hu=hu.astype(np.float32))
