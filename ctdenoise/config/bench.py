"""Settings of `evaluate --study bench`: scanned phantoms that a denoiser is judged on."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.kernels import FixedKernelSettings, GaussianKernelSettings
from ctdenoise.config.native_scan import NativeScanSettings
from ctdenoise.config.scanner import ScannerSettings


class BenchKernelSettings(Settings):
    """A kernel that the phantoms are reconstructed with."""

    name: str = Field(min_length=1, max_length=20)
    """What to call it."""
    kernel: FixedKernelSettings
    """The kernel."""


SMOOTH_KERNEL = BenchKernelSettings(name="smooth", kernel=GaussianKernelSettings(f50_per_mm=0.335))
SHARP_KERNEL = BenchKernelSettings(name="sharp", kernel=GaussianKernelSettings(f50_per_mm=0.6))


class BenchRodSettings(Settings):
    """A rod along z; rods stand on a circle at even distances, in their order."""

    hu: float = Field(ge=-1000, le=3000)
    """Its Hounsfield units, which are its contrast against water."""
    diameter_mm: float = Field(default=20.0, ge=6, le=60)
    """Its diameter, mm."""


class TextureSettings(Settings):
    """A background like tissue, in which noise is measured as well as in water."""

    deviation_hu: float = Field(default=8.0, ge=0, le=100)
    """Standard deviation of the texture, HU, as a Gaussian kernel shows it; other kernels show it
    unblurred. 0 measures noise in water alone."""
    exponent: float = Field(default=3.0, ge=0, le=5)
    """Its power spectrum falls as 1 / f to this power."""
    slices: int = Field(default=6, ge=4, le=200)
    """Slices of each repeat."""
    repeats: int = Field(default=4, ge=2, le=100)
    """Scans of the same texture: noise is what they do not share."""


class SliceEdgeSettings(Settings):
    """A tilted face of a slab between the slices, for the resolution along z."""

    contrasts_hu: tuple[float, ...] = (100.0, 30.0)
    """Contrast of each slab against water, HU; empty leaves the resolution along z out."""
    slope: float = Field(default=0.15, gt=0.02, lt=0.5)
    """Rise of the face along x, mm for each mm."""

    @model_validator(mode="after")
    def _has_contrast(self) -> Self:
        if 0.0 in self.contrasts_hu or len(set(self.contrasts_hu)) != len(self.contrasts_hu):
            raise ValueError("the contrasts of the slabs are different, and none is 0 HU")
        return self


_BENCH_SCAN = NativeScanSettings(
    scanner=ScannerSettings(
        distances="setting",
        samples_per_channel=2,
        bowtie="none",
        angular_modulation=0.0,
        views_per_turn=576,
    ),
    photons=2.5e5,
    size=288,
    field_of_view_mm=210.0,
)


class BenchSettings(Settings):
    """Scanned phantoms that a denoiser is judged on: resolution, noise, Hounsfield units."""

    scan: NativeScanSettings = _BENCH_SCAN
    """The scanner and its images; the kernel is one of `kernels` instead. The default has half of
    the usual views, which 200 mm of water hardly notice, and 10 HU of noise at full dose."""
    kernels: tuple[BenchKernelSettings, ...] = Field(default=(SMOOTH_KERNEL,), min_length=1)
    """Kernels, each judged for itself; the first one comes first on the page."""
    dose_fractions: tuple[float, ...] = Field(default=(1.0, 0.25, 0.1), min_length=1)
    """Doses, over that of `scan`."""
    main_dose_fraction: float = 0.25
    """The dose of curves, of the texture and of the resolution along z; one of the doses."""
    diameter_mm: float = Field(default=200.0, ge=50, le=600)
    """Diameter of the water that the rods stand in, mm."""
    circle_mm: float = Field(default=60.0, ge=10, le=300)
    """Distance of the rods from the isocentre, mm."""
    rods: tuple[BenchRodSettings, ...] = Field(
        default=tuple(
            BenchRodSettings(hu=hu) for hu in (-1000.0, 15.0, 365.0, -100.0, 1000.0, 40.0, 115.0)
        ),
        min_length=1,
    )
    """The rods. Neighbours need 10 mm of water between them."""
    slices: int = Field(default=16, ge=4, le=500)
    """Slices of a scan; each has noise of its own."""
    texture: TextureSettings = TextureSettings()
    """Noise in a background that is not flat."""
    slice_edge: SliceEdgeSettings = SliceEdgeSettings()
    """Resolution along z."""
    patch_mm: float = Field(default=23.0, ge=5, le=100)
    """Side of the patches that noise power spectra are measured in, mm."""
    draws: int = Field(default=500, ge=100, le=100_000)
    """How often the slices are drawn again for an interval."""

    @model_validator(mode="after")
    def _can_be_measured(self) -> Self:
        if not all(0 < dose <= 10 for dose in self.dose_fractions):
            raise ValueError("`dose_fractions` lie above 0 and up to 10")
        if self.main_dose_fraction not in self.dose_fractions:
            raise ValueError("`main_dose_fraction` is not one of the `dose_fractions`")
        for what, names in (
            ("kernels", [kernel.name for kernel in self.kernels]),
            ("dose_fractions", list(self.dose_fractions)),
            ("rods", [rod.hu for rod in self.rods]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two of the `{what}` are the same")
        if 0.0 in {rod.hu for rod in self.rods}:
            raise ValueError("a rod of 0 HU is water, and has no edge")
        return self
