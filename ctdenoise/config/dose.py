"""Settings of the low-dose simulator."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ctdenoise.config.base import Settings

VIEW_MULTIPLE = 8
"""The back-projector takes views in groups of this size."""


class ScannerSettings(Settings):
    """The fan beam: an arc of equiangular channels that turns around the patient.

    The defaults are those of a Siemens-like whole-body scanner.
    """

    distances: Literal["header", "setting"] = "header"
    """Take both distances from the series where its header gives them, or always from here."""
    source_to_isocentre_mm: float = Field(595.0, gt=100, lt=2000)
    """Focal spot to centre of rotation, mm."""
    source_to_detector_mm: float = Field(1085.6, gt=100, lt=4000)
    """Focal spot to detector, mm."""
    channels: int = Field(736, ge=16, le=4096)
    """Detector channels of one row."""
    channel_pitch_mm: float = Field(1.2858, gt=0, lt=20)
    """Distance of neighbouring channels at the detector, mm."""
    views_per_turn: int = Field(1152, ge=16, le=8192, multiple_of=VIEW_MULTIPLE)
    """Projections in one rotation, a multiple of 8."""

    @model_validator(mode="after")
    def _detector_behind_isocentre(self) -> Self:
        if self.source_to_detector_mm <= self.source_to_isocentre_mm:
            raise ValueError("source_to_detector_mm must be larger than source_to_isocentre_mm")
        return self


class AutoKernelSettings(Settings):
    """The kernel that the series' ConvolutionKernel names; soft where it is unknown."""

    name: Literal["auto"] = "auto"
    """Kind of kernel."""


class RampKernelSettings(Settings):
    """The bare ramp up to the detector's Nyquist frequency: the sharpest and noisiest."""

    name: Literal["ramp"] = "ramp"
    """Kind of kernel."""


class HannKernelSettings(Settings):
    """Ramp times a Hann window."""

    name: Literal["hann"] = "hann"
    """Kind of kernel."""
    width: float = Field(1.0, gt=0.05, le=10)
    """Where the window reaches zero, over the detector's Nyquist frequency."""


class GaussianKernelSettings(Settings):
    """Ramp times a Gaussian."""

    name: Literal["gaussian"] = "gaussian"
    """Kind of kernel."""
    f50_per_mm: float = Field(0.335, gt=0.02, le=5)
    """Frequency at which the Gaussian is one half, 1/mm (0.335: soft; 0.6 and more: sharp)."""


FixedKernelSettings = Annotated[
    RampKernelSettings | HannKernelSettings | GaussianKernelSettings, Field(discriminator="name")
]
KernelSettings = Annotated[
    AutoKernelSettings | RampKernelSettings | HannKernelSettings | GaussianKernelSettings,
    Field(discriminator="name"),
]


class SimulateSettings(Settings):
    """How a low-dose twin is made from a scan."""

    dose: float | tuple[float, ...] = 0.25
    """Dose of the twin over the dose of the scan, in (0, 1]; a list makes several twins."""
    source_noise: Literal["subtract", "none"] = "subtract"
    """`subtract`: the scan holds its own full-dose noise, so only the difference is added. `none`:
    the scan counts as noise-free (a phantom), so all the noise of the dose is added."""
    photons: Literal["auto"] | Annotated[float, Field(gt=0, le=1e10)] = "auto"
    """N0 at full dose: mean photons per channel and view without an object. `auto`: such that the
    simulated full-dose noise equals the noise measured in the scan; where that cannot be measured,
    from kVp, mAs and slice thickness."""
    reference_mas: float = Field(200.0, gt=0, le=5000)
    """Exposure assumed where N0 is `auto`, no noise can be measured and the header is silent."""
    exposure_along_z: Literal["header", "flat"] = "header"
    """Let N0 follow the header's exposure from slice to slice (tube current modulation), or not."""
    electronic_noise_quanta: float = Field(5.5, ge=0, le=1000)
    """Standard deviation of the electronic noise, in detected photons."""
    count_floor: float = Field(1.0, gt=0, le=100)
    """Counts below this are raised to it before the logarithm."""
    dual_below_counts: float = Field(100.0, ge=0, le=1e6)
    """Rays with fewer expected low-dose counts draw the scan's own noise as well."""
    mu_water_per_mm: Literal["auto"] | Annotated[float, Field(gt=0.005, lt=0.1)] = "auto"
    """Attenuation of water, 1/mm; `auto` takes it from the tube voltage (120 kV if unknown)."""
    kernel: KernelSettings = AutoKernelSettings()
    """Reconstruction kernel, which shapes the noise."""
    scanner: ScannerSettings = ScannerSettings()
    """The fan beam."""
    slices_per_batch: int = Field(32, ge=1, le=256)
    """Slices worked on together; does not change the result, only memory and speed."""

    @field_validator("dose")
    @classmethod
    def _fractions(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        doses = (value,) if isinstance(value, float) else value
        if not doses:
            raise ValueError("at least one dose is needed")
        if any(1 < dose <= 100 for dose in doses):
            raise ValueError("a dose is a fraction in (0, 1]: write 0.25 for 25 %")
        if any(not 0 < dose <= 1 for dose in doses):
            raise ValueError("a dose is a fraction in (0, 1]")
        if len(set(doses)) < len(doses):
            raise ValueError("a dose is given twice")
        return value

    @property
    def doses(self) -> tuple[float, ...]:
        """The doses as a tuple, in the order given."""
        return (self.dose,) if isinstance(self.dose, float) else self.dose
