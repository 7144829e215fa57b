"""Scans of objects whose line integrals are known: one image without noise, and noise for it.

Filtered back-projection is linear. The image of the line integrals is made once; every repeat adds
the image of its noise alone, -ln(max(counts, floor) / (a N)), which needs no object but the number
of photons that each ray expects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ctdenoise.config.native_scan import NativeScanSettings
from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.units import AIR_HU, HU_PER_RELATIVE_ATTENUATION
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.counting import count_photons
from ctdenoise.simulation.fbp import FilteredBackProjection
from ctdenoise.simulation.flux import add_flux_loss
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import (
    Keys,
    NoiseStatistics,
    Upsampling,
    draw_log_noise,
    native_noise,
    upsampling,
)
from ctdenoise.simulation.overlap import lane_layers
from ctdenoise.simulation.vectors import LANES, aligned_zeros, lanes_for

FEW_COUNTS = 25.0
"""Rays that expect fewer photons are counted by `auto`. From here on the logarithm of a quadratic
in a Gaussian number has the mean, variance and skewness of that of a Poisson number."""

_EXACT_MOMENTS_BELOW = 100.0
"""Rays that expect fewer photons take their moments from a table; see `noise`."""


class NativeScanner:
    """Images of planes of an object.

    Args:
        model: The scanner.
        settings: Its dose and how photons are counted.
        planes: Attenuation p of every ray of `model.fan`, no unit, float32 [plane, view, channel].
            The ray of view b and channel g is the line
            x cos(b + g) + y sin(b + g) = distance * sin(g).

    Raises:
        SimulationError: If the line integrals are not finite or not of this fan.
    """

    def __init__(self, model: ScanModel, settings: NativeScanSettings, planes: FloatArray) -> None:
        fan = model.fan
        if planes.ndim != 3 or planes.shape[1:] != (fan.views, fan.channels):
            raise SimulationError(
                f"Line integrals of shape {planes.shape} are not those of this fan.",
                fix=f"Give planes of {fan.views} views of {fan.channels} channels.",
            )
        if not np.isfinite(planes).all():
            raise SimulationError("Line integrals must be finite.")
        self.model = model
        self._settings = settings
        self._planes = planes
        self._attenuated = _with_flux(model, planes)
        self._fbp = FilteredBackProjection(fan, model.grid, model.kernel)
        self._outside = model.grid.radius_mm() > fan.field_radius_mm
        self._expected = aligned_zeros(fan.views, fan.channels, 0)
        self._expected_of: tuple[int, ...] = ()
        self._data = aligned_zeros(fan.views, fan.channels, 0)
        self._every_ray: Upsampling = upsampling(fan, fan)

    def without_noise(self) -> HuArray:
        """Images of all planes, HU, [plane, y, x]; air outside the scan field."""
        grid = self.model.grid
        result = np.full((len(self._planes), grid.rows, grid.columns), AIR_HU, np.float32)
        for first in range(0, len(result), LANES):
            part = result[first : first + LANES]
            data = self._lanes(LANES)
            data[:, :, : len(part)] = self._planes[first : first + LANES].transpose(1, 2, 0)
            data[:, :, len(part) :] = 0.0
            data *= self._fbp.channel_weights[:, None]
            image = self._fbp.filter_and_back_project(data, self._scale)
            hu = image[:, :, : len(part)].transpose(2, 0, 1) + np.float32(AIR_HU)
            part[...] = np.where(self._outside, np.float32(AIR_HU), hu)
        return result

    def noise(self, which: Sequence[int], dose_fraction: float, keys: Keys) -> HuArray:
        """Images of noise alone, HU, [image, y, x]; zero outside the scan field.

        Args:
            which: Number of the plane of each image.
            dose_fraction: Photons over those of the settings, positive.
            keys: Two random words for each image, [2, image]: its noise is a function of them.

        Raises:
            SimulationError: If the dose is not positive.
        """
        if not (np.isfinite(dose_fraction) and dose_fraction > 0):
            raise SimulationError(f"A dose of {dose_fraction} is not positive.")
        grid = self.model.grid
        result = np.empty((len(which), grid.rows, grid.columns), np.float32)
        for first in range(0, len(which), LANES):
            part = result[first : first + LANES]
            words = keys[:, first : first + LANES]
            image = self._noise_of(tuple(which[first : first + LANES]), dose_fraction, words)
            part[...] = image[:, :, : len(part)].transpose(2, 0, 1)
        return result

    def counting(self, dose_fraction: float) -> Literal["poisson", "moments"]:
        """How photons are counted at a dose.

        Args:
            dose_fraction: Photons over those of the settings.
        """
        if self._settings.counting != "auto":
            return self._settings.counting
        least = dose_fraction * self._photons * float(np.exp(-self._attenuated.max()))
        return "poisson" if least < FEW_COUNTS else "moments"

    @property
    def _photons(self) -> float:
        """Of a sample."""
        return self._settings.photons / self.model.samples_per_channel

    @property
    def _scale(self) -> float:
        return HU_PER_RELATIVE_ATTENUATION / self.model.mu_water_per_mm

    def _noise_of(self, which: tuple[int, ...], dose_fraction: float, keys: Keys) -> FloatArray:
        lanes = lanes_for(len(which))
        data, expected = self._lanes(lanes), self._expected_lanes(which, lanes)
        statistics = self._statistics(dose_fraction)
        photons = np.full(lanes, self._photons, np.float32)
        if self.counting(dose_fraction) == "poisson":
            count_photons(expected, statistics, photons=photons[: len(which)], keys=keys, out=data)
            data *= self._fbp.channel_weights[:, None]
        else:
            draw_log_noise(
                expected,
                self._every_ray,
                photons,
                statistics,
                lane_layers(keys, lanes),
                self._fbp.channel_weights,
                data,
            )
        return self._fbp.noise_image(data, self._scale)

    def _statistics(self, dose_fraction: float) -> NoiseStatistics:
        settings = self._settings
        return self.model.of_sample(
            native_noise(
                dose_fraction,
                electronic_noise=settings.electronic_noise_quanta,
                floor=settings.count_floor,
                dual_below=_EXACT_MOMENTS_BELOW,
            )
        )

    def _lanes(self, lanes: int) -> FloatArray:
        """Room for log data, [view, channel, lane], which the back-projection overwrites."""
        if self._data.shape[2] != lanes:
            self._data = aligned_zeros(self.model.fan.views, self.model.fan.channels, lanes)
        return self._data

    def _expected_lanes(self, which: tuple[int, ...], lanes: int) -> FloatArray:
        """Attenuation of the beam in each lane; lanes that are not used repeat the last plane."""
        filled = which + which[-1:] * (lanes - len(which))
        if filled == self._expected_of:
            return self._expected
        if self._expected.shape[2] != lanes:
            self._expected = aligned_zeros(self.model.fan.views, self.model.fan.channels, lanes)
        if len(set(filled)) == 1:
            self._expected[...] = self._attenuated[filled[0]][:, :, None]
        else:
            self._expected[...] = self._attenuated[list(filled)].transpose(1, 2, 0)
        self._expected_of = filled
        return self._expected


def _with_flux(model: ScanModel, planes: FloatArray) -> FloatArray:
    """Line integrals to which the bowtie and the tube current add theirs."""
    attenuated = planes.transpose(1, 2, 0).copy(order="K")
    add_flux_loss(
        attenuated,
        model.fan,
        bowtie=model.bowtie,
        modulation=model.modulation,
        mu_water_per_mm=model.mu_water_per_mm,
    )
    return attenuated.transpose(2, 0, 1)
