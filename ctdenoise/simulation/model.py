"""What a scan is simulated with, every `auto` decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import FixedKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.beam import mu_water_per_mm, rows_in_slice
from ctdenoise.simulation.filters import resolve_kernel
from ctdenoise.simulation.flux import Bowtie, bowtie_of, modulation_of
from ctdenoise.simulation.noise import NoiseStatistics
from ctdenoise.simulation.scanner import Fan, PixelGrid, centre_reach_mm, fan_of

MAKERS = ("SIEMENS", "GE ", "GENERAL ELECTRIC", "PHILIPS", "CANON", "TOSHIBA", "HITACHI", "NEUSOFT")
"""Makers of scanners that sort their rays into parallel ones. Others do so, too; their names are
not told from those of phantoms and programs."""

BeamGeometry = Literal["fan", "parallel", "rebinned"]


def geometry_of(settings: SimulateSettings, acquisition: Acquisition) -> BeamGeometry:
    """How the rays were sorted before reconstruction: as set, or by who made the scanner.

    In the three series of patients that this was tried on (of GE, Philips and Siemens) the noise
    follows rebinned rays better than those of the fan, in strength and in texture.

    So an image whose maker is not known, as most NIfTI files are, counts as rebinned, too.

    Args:
        settings: `geometry` decides unless it is `auto`.
        acquisition: Header facts: `manufacturer`.
    """
    if settings.geometry != "auto":
        return settings.geometry
    if settings.mode != "insertion" or not settings.artefacts.is_none:
        return "fan"  # what these are made for
    if settings.source_noise == "none":
        return "fan"
    maker = (acquisition.manufacturer or "").strip().upper()
    return "rebinned" if not maker or f"{maker} ".startswith(MAKERS) else "fan"


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

    def factor_at(self, radius_mm: float) -> float:
        """The same at one distance."""
        return float(self.factor(np.array(radius_mm)))


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
        geometry: How the rays are sorted before reconstruction.
        radial_trend: Measured change of the noise from the isocentre outwards; None for none.
        samples_per_channel: Samples that share the photons of a channel.
        rows: Readings of detector rows that share the photons of a slice.
    """

    fan: Fan
    grid: PixelGrid
    kernel: FixedKernelSettings
    mu_water_per_mm: float
    bowtie: Bowtie
    modulation: float
    geometry: BeamGeometry = "fan"
    radial_trend: RadialTrend | None = None
    samples_per_channel: int = 1
    rows: float = 1.0

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
            geometry_of(settings, acquisition),
            rows=_rows_of(settings, acquisition, geometry),
        )
        return model.doubled() if settings.scanner.samples_per_channel == 2 else model

    def with_kernel(self, kernel: FixedKernelSettings) -> ScanModel:
        """The same scan with another reconstruction kernel."""
        return replace(self, kernel=kernel)

    def with_trend(self, trend: RadialTrend | None) -> ScanModel:
        """The same scan with another change of the noise from the isocentre outwards."""
        return replace(self, radial_trend=trend)

    def pixel_factor(self) -> FloatArray | None:
        """Factor of the radial trend on the noise of each pixel, [y, x, 1]; None without one."""
        if self.radial_trend is None:
            return None
        factor = self.radial_trend.factor(self.grid.radius_mm())
        return factor.astype(np.float32)[:, :, None]

    def of_sample(self, statistics: NoiseStatistics) -> NoiseStatistics:
        """Noise of a channel as that of one of the samples that share its photons.

        The mean of their log data has the variance of the whole channel, electronic noise included.
        A sample is starved from as few counts on as a whole channel is.
        """
        share = 1 / self.samples_per_channel
        return statistics._replace(
            constant=statistics.constant * share,
            floor=statistics.floor * share,
            electronic_noise=statistics.electronic_noise * float(np.sqrt(share)),
        )

    def doubled(self) -> ScanModel:
        """The same scan with two samples in each channel."""
        return replace(self, fan=self.fan.doubled(), samples_per_channel=2)


def _rows_of(settings: SimulateSettings, acquisition: Acquisition, geometry: Geometry) -> float:
    if settings.scanner.rows_per_slice != "auto":
        return settings.scanner.rows_per_slice
    if settings.source_noise == "none":
        return 1.0
    return rows_in_slice(acquisition.slice_thickness_mm or geometry.slice_spacing_mm or 0.0)
