"""What a scan is simulated with, every `auto` decided."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import FixedKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.beam import mu_water_per_mm
from ctdenoise.simulation.filters import resolve_kernel
from ctdenoise.simulation.flux import Bowtie, bowtie_of, modulation_of
from ctdenoise.simulation.scanner import Fan, PixelGrid, centre_reach_mm, fan_of

TREND_UNIT_MM = 100.0


@dataclass(frozen=True)
class RadialTrend:
    """How the noise of a scan differs from the simulated noise with the distance from isocentre.

    Its standard deviation is that of the simulation times exp(slope * (r / 100 mm)^2).

    Args:
        slope: Of the logarithm of the standard deviation.
        reach_mm: Distance beyond which the factor stays as it is.
    """

    slope: float
    reach_mm: float

    def factor(self, radius_mm: DoubleArray) -> DoubleArray:
        """Factor on the standard deviation of the noise at distances from the isocentre."""
        relative = np.minimum(radius_mm, self.reach_mm) / TREND_UNIT_MM
        return np.asarray(np.exp(self.slope * relative**2))


@dataclass(frozen=True)
class ScanModel:
    """The scanner, the grid and the kernel of one scan.

    Args:
        fan: The fan beam, as it is sampled.
        grid: The pixels of a slice.
        kernel: The reconstruction kernel.
        mu_water_per_mm: Attenuation of water.
        bowtie: The filter that thins the beam towards its edges.
        modulation: Power of the attenuation of a view with which the tube current goes.
        radial_trend: Measured change of the noise from the isocentre outwards; None for none.
        samples_per_channel: Samples that share the photons of a channel.
    """

    fan: Fan
    grid: PixelGrid
    kernel: FixedKernelSettings
    mu_water_per_mm: float
    bowtie: Bowtie
    modulation: float
    radial_trend: RadialTrend | None = None
    samples_per_channel: int = 1

    @classmethod
    def of(
        cls, geometry: Geometry, acquisition: Acquisition, settings: SimulateSettings
    ) -> ScanModel:
        """The model of a scan from its header and the settings alone.

        Args:
            geometry: Grid of the scan, all its slices.
            acquisition: Header facts of the series.
            settings: What to simulate.
        """
        mu_water = settings.mu_water_per_mm
        fan = fan_of(settings.scanner, acquisition)
        reach_mm = centre_reach_mm(geometry, fan) if settings.centre == "header" else 0.0
        model = cls(
            fan,
            PixelGrid.of(geometry, acquisition, reach_mm=reach_mm),
            resolve_kernel(settings.kernel, acquisition),
            mu_water_per_mm(acquisition.kvp) if mu_water == "auto" else mu_water,
            bowtie_of(settings, acquisition, geometry),
            modulation_of(settings, acquisition),
        )
        return model.doubled() if settings.scanner.samples_per_channel == 2 else model

    def with_kernel(self, kernel: FixedKernelSettings) -> ScanModel:
        """The same scan with another reconstruction kernel."""
        return replace(self, kernel=kernel)

    def with_trend(self, trend: RadialTrend | None) -> ScanModel:
        """The same scan with another change of the noise from the isocentre outwards."""
        return replace(self, radial_trend=trend)

    def doubled(self) -> ScanModel:
        """The same scan with two samples in each channel."""
        return replace(self, fan=self.fan.doubled(), samples_per_channel=2)
