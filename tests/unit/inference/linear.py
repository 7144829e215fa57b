"""A method whose effect on noise is known in closed form, and scans of known noise for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.method import Estimates, Taken


def radius_per_mm(shape, spacing_mm):
    """Distance from the origin of every frequency of an image, 1/mm."""
    rows, columns = (np.fft.fftfreq(n, d) for n, d in zip(shape, spacing_mm, strict=True))
    return np.hypot(rows[:, None], columns)


def gain(frequency_per_mm):
    """What the method takes away of each frequency: little of the low ones, like networks."""
    return 0.95 * (1 - np.exp(-((frequency_per_mm / 0.25) ** 2)))


def noise_power(frequency_per_mm, cutoff_per_mm):
    """Shape of the noise power spectrum: that of filtered back-projection, or white without one."""
    if cutoff_per_mm is None:
        return np.ones_like(frequency_per_mm)
    return frequency_per_mm * np.exp(-((frequency_per_mm / cutoff_per_mm) ** 2))


def noisy_disc(
    *, sd_hu=20.0, cutoff_per_mm=None, slices=6, size=192, spacing_mm=(0.75, 0.75), seed=0
):
    """A disc of water in air with stationary noise of a known spectrum."""
    random = np.random.default_rng(seed)
    power = noise_power(radius_per_mm((size, size), spacing_mm), cutoff_per_mm)
    white = np.fft.fft2(random.normal(size=(slices, size, size)))
    noise = np.fft.ifft2(white * np.sqrt(power / power.mean())).real
    axis = np.arange(size) - (size - 1) / 2
    inside = axis[:, None] ** 2 + axis**2 < (0.43 * size) ** 2
    hu = np.where(inside, 0.0, -1000.0) + sd_hu * noise
    geometry = Geometry.axial(hu.shape, pixel_spacing_mm=spacing_mm, slice_spacing_mm=3.0)
    return CTVolume(hu.astype(np.float32), geometry)


@dataclass
class LinearMethod:
    """Takes away a share of every frequency of what is not air."""

    name: str = "linear"
    description: str = "numpy cpu float64"
    digest: str = "0123456789ab"
    params: dict = field(default_factory=dict)
    class_names: tuple = ()
    states_error: bool = False
    context: int = 0
    taken: list = field(default_factory=list)

    def block_slices(self, shape):
        del shape
        return 1

    def settle(self, sample, scan):
        del sample, scan
        return self

    def take(self, block, *, labels=False, error=False):
        del labels, error
        volume = block.wanted
        self.taken += list(block.places)
        spacing = volume.geometry.pixel_spacing_mm
        flat = volume.hu + np.where(volume.hu < -500, 1000.0, 0.0)
        passed = gain(radius_per_mm(volume.shape[1:], spacing))
        removed = np.fft.ifft2(np.fft.fft2(flat) * passed).real
        return Taken(removed.astype(np.float32), Estimates())
