"""Noise like that of a scan: as strong around every pixel, and with the same power spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.hu_accuracy import SMOOTHING_MM, tissue_masks
from ctdenoise.metrics.nps import PowerSums, candidates, flattest, patches_at, power_of

PATCH_PIXELS = (32, 16)
"""Sides of the patches in which the spectrum is measured: the first with which enough are flat."""

_STEEPEST = 1.0
"""Power rises with the frequency where nothing is measured any more, at most like this power of it:
that of filtered back-projection."""

_TYPICAL_PER_MM = 0.45
"""f0 of a spectrum f exp(-(f/f0)^2), for scans without enough flat soft tissue: a soft kernel."""


@dataclass(frozen=True, slots=True, eq=False)
class NoiseSpectrum:
    """The course of a noise power spectrum with the frequency; its scale has no meaning.

    Args:
        frequency_per_mm: Ascending, above 0.
        power: At these.
        measured: Whether it is that of the scan, and not a typical one.
    """

    frequency_per_mm: DoubleArray
    power: DoubleArray
    measured: bool

    def draw(
        self,
        shape: tuple[int, int],
        pixel_spacing_mm: tuple[float, float],
        rng: np.random.Generator,
    ) -> FloatArray:
        """Noise with this spectrum and unit variance, float32 [y, x].

        Args:
            shape: Rows and columns.
            pixel_spacing_mm: Distance between rows, then between columns.
            rng: Source of randomness.
        """
        fy = np.fft.fftfreq(shape[0], pixel_spacing_mm[0])
        fx = np.fft.rfftfreq(shape[1], pixel_spacing_mm[1])
        power = self._at(np.hypot(fy[:, None], fx))
        power[0, 0] = 0.0
        both = np.full(len(fx), 2.0)  # frequencies that stand for their mirror images, too
        both[0] = 1.0
        if shape[1] % 2 == 0:
            both[-1] = 1.0
        variance = float((power * both).sum()) / (shape[0] * shape[1])
        gain = np.sqrt(power / variance)
        white = np.fft.rfft2(rng.standard_normal(shape))
        drawn: FloatArray = np.fft.irfft2(white * gain, shape).astype(np.float32)
        return drawn

    def _at(self, frequency: DoubleArray) -> DoubleArray:
        known = self.frequency_per_mm
        power = np.interp(frequency, known, self.power)
        below = frequency < known[0]
        slope = 0.0
        if len(known) > 1 and min(self.power[:2]) > 0:
            slope = float(np.log(self.power[1] / self.power[0]) / np.log(known[1] / known[0]))
        slope = min(max(slope, 0.0), _STEEPEST)
        power[below] = self.power[0] * (frequency[below] / known[0]) ** slope
        return np.asarray(power, dtype=np.float64)


def noise_spectrum(volume: CTVolume, body: BoolArray, noise_hu: FloatArray) -> NoiseSpectrum:
    """The spectrum of the noise of some slices, from their flattest patches of soft tissue.

    Args:
        volume: The slices.
        body: Their body mask.
        noise_hu: Standard deviation of the noise around every pixel, HU, positive: patches are
            divided by it.
    """
    for side in PATCH_PIXELS:
        sums = _power(volume, body, noise_hu, side)
        if sums is not None:
            radial = sums.radial()
            return NoiseSpectrum(radial.frequency_per_mm, radial.power, measured=True)
    frequency = np.linspace(0.01, 3.0, 300)
    power = frequency * np.exp(-((frequency / _TYPICAL_PER_MM) ** 2))
    return NoiseSpectrum(frequency, power, measured=False)


def _power(volume: CTVolume, body: BoolArray, noise_hu: FloatArray, side: int) -> PowerSums | None:
    """Summed power of flat patches in units of the noise; None where there are too few."""
    spacing = volume.geometry.pixel_spacing_mm
    size = [max(1, round(SMOOTHING_MM / one)) for one in spacing]
    found = []
    for index in range(volume.shape[0]):
        image = volume.hu[index].astype(np.float64)
        soft = tissue_masks(image, body[index], pixel_spacing_mm=spacing)["soft"]
        smooth = ndimage.uniform_filter(image, size=size, mode="nearest")
        found += candidates(smooth, soft, index=index, side=side)
    total: PowerSums | None = None
    chosen = flattest(found)
    for index in sorted({patch.index for patch in chosen}):
        corners = [patch.corner for patch in chosen if patch.index == index]
        patches = patches_at(volume.hu[index].astype(np.float64), corners, side)
        unit = patches_at(noise_hu[index].astype(np.float64), corners, side)
        scaled = patches / unit.mean(axis=(1, 2), keepdims=True)
        power = power_of(scaled, pixel_spacing_mm=spacing)
        total = power if total is None else total + power
    if total is None or not total.radial().power.sum() > 0:
        return None
    return total
