"""Settings of the scanner that a low-dose twin is simulated with."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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
    samples_per_channel: Literal["auto", 1, 2] = "auto"
    """Detector samples per channel width: 2 for scanners whose flying focal spot or quarter offset
    doubles the sampling; `auto` takes 2 where the kernel passes more than a channel can sample."""
    rows_per_slice: Literal["auto"] | Annotated[float, Field(ge=1, le=1000)] = 1
    """Readings that a slice is the mean of and that have electronic noise of their own. `auto`: its
    thickness over detector rows of 0.6 mm, 1 where the scan counts as noise-free; that is more
    electronic noise than scanners were found to have, see decision 12."""
    bowtie: Literal["auto", "none", "head", "body"] = "auto"
    """Filter that thins the beam towards the edge of the fan; `auto`: as the header says, else
    `head` for heads and `body` otherwise; none where the scan counts as noise-free."""
    angular_modulation: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = "auto"
    """Tube current as this power of the attenuation of the view, mean kept: 0 constant, 0.5 as
    scanners do; `auto`: 0.5 where the header says that the current was modulated, otherwise 0."""

    @model_validator(mode="after")
    def _detector_behind_isocentre(self) -> Self:
        if self.source_to_detector_mm <= self.source_to_isocentre_mm:
            raise ValueError("source_to_detector_mm must be larger than source_to_isocentre_mm")
        return self
