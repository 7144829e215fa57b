"""Settings of a native scan: a phantom measured by a scanner, its voxels never used."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctdenoise.config.base import Settings
from ctdenoise.config.kernels import FixedKernelSettings, GaussianKernelSettings
from ctdenoise.config.scanner import ScannerSettings


class ApertureSettings(Settings):
    """What a reading averages over; it blurs as a real scanner does."""

    rays: int = Field(1, ge=1, le=64)
    """Rays of a reading, spread over the focal spot, the channel and the turn during the reading; 1
    for a point source and point detectors."""
    focal_spot_mm: float = Field(1.0, ge=0, le=3)
    """Width of the focal spot, mm."""
    fill: float = Field(0.9, gt=0, le=1)
    """Part of the channel pitch that detects."""
    turns_while_reading: bool = True
    """Whether the gantry turns on by a view while a view is read."""


class NativeScanSettings(Settings):
    """A scanner, its dose and the images that it reconstructs."""

    scanner: ScannerSettings = ScannerSettings(
        distances="setting", samples_per_channel=2, bowtie="none", angular_modulation=0.0
    )
    """The fan beam. Nothing of it is taken from a header: `auto` counts as one sample for each
    channel, no bowtie and constant current."""
    aperture: ApertureSettings = ApertureSettings()
    """What a reading averages over."""
    kernel: FixedKernelSettings = GaussianKernelSettings(f50_per_mm=0.335)
    """Reconstruction kernel; the default is a soft one."""
    photons: float = Field(1.0e6, gt=0, le=1e10)
    """N0: photons per channel and view behind no object, at full dose; the default is what 200 mAs
    at 120 kV give a slice of 3 mm."""
    electronic_noise_quanta: float = Field(5.5, ge=0, le=1000)
    """Standard deviation of the electronic noise, in detected photons."""
    count_floor: float = Field(1.0, gt=0, le=100)
    """Counts below this are raised to it before the logarithm."""
    counting: Literal["auto", "poisson", "moments"] = "auto"
    """`poisson`: count every ray. `moments`: Gaussian numbers with the mean, variance and skewness
    of counted rays, which takes a fraction of the time. `auto`: `poisson` where some ray of the
    object expects fewer than 25 photons."""
    mu_water_per_mm: float = Field(0.0192, gt=0.005, lt=0.1)
    """Attenuation of water, 1/mm."""
    kvp: float = Field(120.0, ge=40, le=200)
    """Tube voltage that the header states; decides nothing."""
    exposure_mas: float = Field(200.0, gt=0, le=5000)
    """Exposure that the header states at full dose, mAs; decides nothing."""
    size: int = Field(512, ge=16, le=4096)
    """Pixels along each side of a slice."""
    field_of_view_mm: float = Field(250.0, gt=10, le=1000)
    """Side of a slice, mm; the isocentre is its middle."""
    slice_thickness_mm: float = Field(3.0, gt=0, le=50)
    """What a slice averages over along z, mm."""
    slice_rays: int = Field(1, ge=1, le=64)
    """Planes of rays that the thickness of a slice is sampled by, where the object changes in it;
    1 for a thin slice."""
