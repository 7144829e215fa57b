"""Images of noise alone, as a fan-beam scan of given slices would show them.

Filtered back-projection is linear, so a low-dose image is the scan plus the reconstruction of the
noise it lacks: the anatomy is never projected and reconstructed again, and a coarse forward
projection is enough, for it only sets the variances.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.units import HU_PER_RELATIVE_ATTENUATION
from ctdenoise.simulation.fbp import FilteredBackProjection
from ctdenoise.simulation.flux import add_flux_loss
from ctdenoise.simulation.kernels import gather_attenuation
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import (
    Keys,
    NoiseStatistics,
    draw_log_noise,
    upsampling,
)
from ctdenoise.simulation.overlap import lane_layers
from ctdenoise.simulation.projection import JosephProjector
from ctdenoise.simulation.vectors import aligned_zeros, lanes_for

COARSE_PIXELS = 256
"""Slices are binned to about this many pixels across before they are projected."""

COARSE_VIEWS = 144
COARSE_CHANNELS = 185
"""Rays of the coarse projection. A chest simulated so has noise within 0.1 % of that from all
rays; it varies smoothly between them."""

Alteration = Callable[[FloatArray], None]
"""Changes log data times `fbp.channel_weights`, [view, channel, lane], in place."""


class NoiseInsertion:
    """Draws noise images for batches of slices of one scan.

    Args:
        model: What to simulate with.
        every_ray: Project every ray of the fan, for content that changes within a few channels,
            such as metal.
    """

    def __init__(self, model: ScanModel, *, every_ray: bool = False) -> None:
        self.model = model
        fan, grid = model.fan, model.grid
        self._factor = max(1, round(max(grid.rows, grid.columns) / COARSE_PIXELS))
        self._binned = grid.binned(self._factor)
        coarse = fan if every_ray else fan.coarse(views=COARSE_VIEWS, channels=COARSE_CHANNELS)
        self._projector = JosephProjector(coarse, self._binned)
        self._sampling = upsampling(coarse, fan)
        self._fbp = FilteredBackProjection(fan, grid, model.kernel)
        self._sinogram = aligned_zeros(fan.views, fan.channels, 0)
        self._pixel_factor = model.pixel_factor()

    def project(self, hu: HuArray) -> FloatArray:
        """Coarse line integrals, [view, channel, lane], of slices [slice, y, x].

        The flux that a ray starts with counts as attenuation. Lanes beyond the last slice hold air.
        """
        rows, columns, lanes = self._binned.rows, self._binned.columns, lanes_for(len(hu))
        by_row = aligned_zeros(rows + 2, columns + 2, lanes)
        by_column = aligned_zeros(columns + 2, rows + 2, lanes)
        gather_attenuation(hu, self.model.mu_water_per_mm, self._factor, by_row, by_column)
        line_integrals = self._projector.project_padded(by_row, by_column)
        add_flux_loss(
            line_integrals,
            self._projector.fan,
            bowtie=self.model.bowtie,
            modulation=self.model.modulation,
            mu_water_per_mm=self.model.mu_water_per_mm,
        )
        return line_integrals

    def draw(
        self,
        line_integrals: FloatArray,
        statistics: NoiseStatistics,
        *,
        photons: FloatArray,
        keys: Keys,
        weights: FloatArray | None = None,
        alter: Alteration | None = None,
    ) -> FloatArray:
        """Noise images in HU, [y, x, lane], zero outside the scan field.

        Args:
            line_integrals: From `project`.
            statistics: What noise to draw.
            photons: N0 at full dose of each slice, per channel and view, [slice].
            keys: Two random words for each slice, [2, slice], and for those after it that
                overlap it.
            weights: How slices share noise, [slice, slice ahead], see `overlap.layer_weights`; None
                if they do not.
            alter: What else is done to the log data before they are back-projected.
        """
        fan, lanes = self.model.fan, line_integrals.shape[2]
        if self._sinogram.shape[2] != lanes:
            self._sinogram = aligned_zeros(fan.views, fan.channels, lanes)
        statistics = self.model.of_sample(statistics)
        padded_photons = np.ones(lanes, np.float32)
        padded_photons[: len(photons)] = photons / np.float32(self.model.samples_per_channel)
        if statistics.is_silent:
            self._sinogram.fill(0.0)
        else:
            draw_log_noise(
                line_integrals,
                self._sampling,
                padded_photons,
                statistics,
                lane_layers(keys, lanes, weights),
                self._fbp.channel_weights,
                self._sinogram,
            )
        scale = HU_PER_RELATIVE_ATTENUATION / self.model.mu_water_per_mm
        if alter is not None:
            # Altered data also hold artefacts, which are no noise and have no trend.
            alter(self._sinogram)
            return self._fbp.filter_and_back_project(self._sinogram, scale)
        image = self._fbp.noise_image(self._sinogram, scale)
        if self._pixel_factor is not None:
            image *= self._pixel_factor
        return image
