"""Small inputs for tests, built in memory."""

from __future__ import annotations

import numpy as np

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume


def water_disc(
    *,
    slices: int = 4,
    size: int = 64,
    pixel_spacing_mm: float = 2.0,
    slice_spacing_mm: float = 3.0,
    radius_mm: float = 50.0,
    noise_hu: float = 0.0,
    seed: int = 0,
) -> CTVolume:
    """A disc of water in air, with white noise if asked for."""
    geometry = Geometry.axial(
        (slices, size, size), pixel_spacing_mm=pixel_spacing_mm, slice_spacing_mm=slice_spacing_mm
    )
    axis = (np.arange(size) - (size - 1) / 2) * pixel_spacing_mm
    inside = axis[:, None] ** 2 + axis[None, :] ** 2 <= radius_mm**2
    hu = np.repeat(np.where(inside, 0.0, -1000.0)[None], slices, axis=0).astype(np.float32)
    if noise_hu:
        noise = np.random.default_rng(seed).normal(0.0, noise_hu, hu.shape)
        hu += noise.astype(np.float32)
    acquisition = Acquisition(kvp=120.0, slice_thickness_mm=slice_spacing_mm)
    return CTVolume(hu, geometry, acquisition)
