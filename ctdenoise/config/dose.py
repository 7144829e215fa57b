"""Settings of the low-dose simulator."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ctdenoise.config.artefacts import ArtefactSettings
from ctdenoise.config.base import Settings
from ctdenoise.config.degradation import DegradationSettings
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.config.kernels import AutoKernelSettings, KernelSettings
from ctdenoise.config.scanner import ScannerSettings

_AIM = re.compile(r"\s*([0-9.eE+-]+)\s*(%|mas|hu)?\s*", re.IGNORECASE)

DoseUnit = Literal["fraction", "mas", "hu"]


class DoseAim(Settings):
    """How low a dose is wanted, in one of three units."""

    value: float = Field(gt=0)
    """The number."""
    unit: DoseUnit = "fraction"
    """`fraction` of the dose of the scan in (0, 1]; `mas`: exposure of the twin; `hu`: noise level
    of the twin."""

    @classmethod
    def parsed(cls, text: float | str) -> DoseAim:
        """The aim that a number or a text such as "25 %", "50 mAs" or "30 HU" states."""
        found = _AIM.fullmatch(str(text))
        try:
            value = float(found[1]) if found else None
        except ValueError:
            value = None
        if found is None or value is None:
            raise ValueError(f"{text!r} is no dose: write 0.25, 25 %, 50 mAs or 30 HU")
        unit = (found[2] or "").lower()
        if unit in {"mas", "hu"}:
            if value <= 0:
                raise ValueError(f"{text!r} must be positive")
            return cls(value=value, unit="mas" if unit == "mas" else "hu")
        fraction = value / 100 if unit == "%" else value
        if unit == "" and 1 < fraction <= 100:
            raise ValueError("a dose is a fraction in (0, 1]: write 0.25 for 25 %")
        if not 0 < fraction <= 1:
            raise ValueError("a dose is a fraction in (0, 1]")
        return cls(value=fraction)

    @property
    def text(self) -> str:
        """What `parsed` reads."""
        words = {"fraction": "", "mas": " mAs", "hu": " HU"}
        return f"{self.value!r}{words[self.unit]}"


class SimulateSettings(Settings):
    """How a low-dose twin is made from a scan."""

    dose: float | str | tuple[float | str, ...] = 0.25
    """Dose of the twin: a fraction of the dose of the scan in (0, 1], an exposure such as "50 mAs",
    or a noise level such as "30 HU". A list makes several twins."""
    mode: Literal["insertion", "reconstruction", "image_domain", "degradation"] = "insertion"
    """`insertion`: add the noise that the scan lacks, anatomy untouched. `reconstruction`: project
    the scan, count photons and reconstruct it again, which blurs it: a reference. `image_domain`:
    draw noise of the right local strength and texture in the image (without streaks of single rays;
    what training on fresh noise uses). `degradation`: the general model of `degradations`, which is
    no CT physics: one twin, whatever the dose."""
    geometry: Literal["auto", "fan", "parallel", "rebinned"] = "auto"
    """`fan`: reconstruct the fan beam as it is. `parallel`: a faster approximation of it, within
    2 % in noise. `rebinned`: sort the rays into parallel ones first, as most scanners do. `auto`:
    `rebinned` for insertion into a scan whose header names the maker of a scanner or nobody,
    else `fan`."""
    source_noise: Literal["subtract", "none"] = "subtract"
    """`subtract`: the scan holds its own full-dose noise, so only the difference is added. `none`:
    the scan counts as noise-free (a phantom), so all the noise of the dose is added."""
    photons: Literal["auto"] | Annotated[float, Field(gt=0, le=1e10)] = "auto"
    """N0 at full dose: mean photons per channel and view without an object. `auto`: such that the
    simulated full-dose noise equals the noise measured in the scan; where that cannot be measured,
    from kVp, mAs and slice thickness."""
    mas: Literal["header"] | Annotated[float, Field(gt=0, le=5000)] = "header"
    """Exposure of the scan, mAs. A number is believed: N0 comes from it, not from the noise."""
    reference_mas: float = Field(200.0, gt=0, le=5000)
    """Exposure assumed where N0 is `auto`, no noise can be measured and the header is silent."""
    exposure_along_z: Literal["auto", "header", "flat"] = "auto"
    """Let N0 follow the exposure from slice to slice (tube current modulation). `auto`: as the
    noise of the scan shows, else as the header says; `header`: the header alone; `flat`: not at
    all."""
    slice_correlation: Literal["auto", "none"] = "auto"
    """`auto`: slices that overlap share noise as their thickness says. `none`: never."""
    centre: Literal["header", "image"] = "header"
    """Where the isocentre is: as the header says, where it says so plausibly, or at the centre of
    the image."""
    electronic_noise_quanta: float = Field(5.5, ge=0, le=1000)
    """Standard deviation of the electronic noise, in detected photons."""
    count_floor: float = Field(1.0, gt=0, le=100)
    """Counts below this are raised to it before the logarithm."""
    dual_below_counts: float = Field(100.0, ge=0, le=1e6)
    """Rays with fewer expected low-dose counts take the exact mean, variance and skewness of few
    counts from a table, with the noise that the scan has itself taken off; other rays take Gaussian
    noise. Above 10 quanta of electronic noise it grows in proportion. 0: Gaussian throughout."""
    mu_water_per_mm: Literal["auto"] | Annotated[float, Field(gt=0.005, lt=0.1)] = "auto"
    """Attenuation of water, 1/mm; `auto` takes it from the tube voltage (120 kV if unknown)."""
    kernel: KernelSettings = AutoKernelSettings()
    """Reconstruction kernel, which shapes the noise."""
    scanner: ScannerSettings = ScannerSettings()
    """The fan beam."""
    artefacts: ArtefactSettings = ArtefactSettings()
    """Artefacts besides noise."""
    degradations: tuple[DegradationSettings, ...] = ()
    """What mode `degradation` does to the slices, in this order."""
    slices_per_batch: int = Field(32, ge=1, le=256)
    """Slices worked on together; does not change the result, only memory and speed."""

    dicom: DicomSettings = DicomSettings()
    """How twins are written, where DICOM is asked for."""

    @field_validator("dose")
    @classmethod
    def _aims(
        cls, value: float | str | tuple[float | str, ...]
    ) -> float | str | tuple[float | str, ...]:
        aims = [DoseAim.parsed(dose) for dose in (value if isinstance(value, tuple) else (value,))]
        if not aims:
            raise ValueError("at least one dose is needed")
        if len(set(aims)) < len(aims):
            raise ValueError("a dose is given twice")
        return value

    @model_validator(mode="after")
    def _has_the_rays_it_needs(self) -> Self:
        if not self.artefacts.is_none and self.mode not in {"insertion", "reconstruction"}:
            raise ValueError("artefacts need mode insertion or reconstruction")
        if self.geometry not in {"auto", "fan"} and not self.artefacts.is_none:
            raise ValueError("artefacts need geometry fan")
        if self.geometry not in {"auto", "fan"} and self.mode == "reconstruction":
            raise ValueError("mode reconstruction needs geometry fan")
        return self

    @model_validator(mode="after")
    def _mode_has_what_it_needs(self) -> Self:
        if (self.mode == "degradation") != bool(self.degradations):
            raise ValueError(
                "`degradations` and `mode: degradation` go together: give both, or neither"
            )
        if self.mode == "image_domain" and self.geometry not in {"auto", "fan"}:
            raise ValueError("`mode: image_domain` draws the noise of `geometry: fan` only")
        return self

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the voxels, as plain JSON.

        The size of the batches does not, nor does how files are written.
        """
        return self.model_dump(mode="json", exclude={"slices_per_batch", "dicom"})

    @property
    def aims(self) -> tuple[DoseAim, ...]:
        """The doses asked for, in the order given."""
        doses = self.dose if isinstance(self.dose, tuple) else (self.dose,)
        return tuple(DoseAim.parsed(dose) for dose in doses)
