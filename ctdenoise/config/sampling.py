"""Settings of `phantom sample`: phantoms to train on, each drawn at random."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.dicom import DicomSettings

Range = tuple[float, float]


class MixtureSettings(Settings):
    """How often each kind of phantom is drawn; shares of their sum."""

    torso: float = Field(default=0.4, ge=0)
    """Chests and abdomens."""
    dead_leaves: float = Field(default=0.3, ge=0)
    """Solids of every size that lie on each other."""
    test_object: float = Field(default=0.2, ge=0)
    """As in test objects: six of ten have small blobs of low contrast, three rods, one is water."""
    vessels: float = Field(default=0.1, ge=0)
    """Trees of vessels in a cloudy texture."""

    @model_validator(mode="after")
    def _has_a_kind(self) -> Self:
        if not self.torso + self.dead_leaves + self.test_object + self.vessels > 0:
            raise ValueError("at least one kind of phantom must be drawn")
        return self


class SampleSettings(Settings):
    """What training phantoms are drawn from.

    Values lie evenly on a logarithmic scale between the ends of a range; those of texture evenly.
    """

    mixture: MixtureSettings = MixtureSettings()
    """Kinds of phantom."""
    size: int = Field(default=512, ge=16, le=4096)
    """Pixels along each side of a slice."""
    slices: int = Field(default=8, ge=1, le=4000)
    """Slices of each phantom."""
    field_of_view_mm: Range = (180.0, 500.0)
    """Side of a slice, mm; never smaller than the body."""
    slice_thickness_mm: Range = (0.6, 5.0)
    """What a slice averages over, mm."""
    slices_apart_mm: float = Field(default=0.0, ge=0, le=100)
    """Least distance of the slices, mm: where it is not above their thickness, they touch. Far
    apart, each slice shows another anatomy, so that as many slices teach more."""
    diameter_mm: Range = (110.0, 400.0)
    """Width of the body, mm; of torsos 260 mm at least."""
    textured_share: float = Field(default=0.7, ge=0, le=1)
    """Share with a texture, of the kinds that can have one (not rods and water)."""
    texture_sd_hu: Range = (0.5, 12.0)
    """Standard deviation of that texture, HU."""
    f50_per_mm: Range = (0.25, 0.9)
    """Frequency k50 at which the kernel would be one half without what raises it, 1/mm: its factor
    on the ramp is 2^-(k / k50)^p (1 + 4 b q^2 / (1 + q^2)^2), q = k / k50."""
    kernel_power: Range = (1.5, 4.0)
    """Power p of the kernel: 2 for a Gaussian, more for one that ends steeply."""
    enhanced_share: float = Field(default=0.4, ge=0, le=1)
    """Share of the kernels that raise middle frequencies, and so edges."""
    most_enhancement: float = Field(default=0.5, ge=0, le=2)
    """Most that they are raised by, b; evenly from 0."""
    system_f50_per_mm: Range = (0.7, 1.4)
    """Frequency at which focal spot and detector leave one half, 1/mm: slices get the sharpness of
    kernel and system together, noise that of the kernel."""
    sharpness: Literal["kernel", "voxels"] = "kernel"
    """Whether slices are as sharp as a reconstruction makes them, or as their voxels."""
    dose: Range = (0.05, 1.0)
    """Dose of the twin over that of the exposure below."""
    exposure_mas: Range = (60.0, 350.0)
    """Exposure of the full dose, mAs."""
    kvp: tuple[float, ...] = (80.0, 100.0, 120.0, 120.0, 140.0)
    """Tube voltages, kV, each entry as likely as the others."""
    dicom: DicomSettings = DicomSettings()
    """How series are written, where DICOM is asked for."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        limits = {
            "field_of_view_mm": (50, 1000),
            "slice_thickness_mm": (0.1, 50),
            "diameter_mm": (60, 900),
            "texture_sd_hu": (0, 200),
            "f50_per_mm": (0.05, 5),
            "kernel_power": (1, 8),
            "system_f50_per_mm": (0.05, 10),
            "dose": (0.001, 1),
            "exposure_mas": (0.1, 5000),
        }
        wrong = [
            f"{name}: give a smaller and a larger value, {least} to {most}"
            for name, (least, most) in limits.items()
            if not least <= getattr(self, name)[0] <= getattr(self, name)[1] <= most
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        if not self.kvp or not all(40 <= kvp <= 200 for kvp in self.kvp):
            raise ValueError("kvp: give at least one voltage, 40 to 200 kV")
        if self.field_of_view_mm[1] < 1.05 * self.diameter_mm[1]:
            raise ValueError("field_of_view_mm: the largest body does not fit the largest field")
        return self
