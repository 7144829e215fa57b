"""Settings of the response study: lesions that are put into the user's own scan."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings

_Diameter = Annotated[float, Field(ge=1, le=60)]
_Contrast = Annotated[float, Field(ge=-1000, le=3000)]


class InsertedSettings(Settings):
    """Lesions for a tissue or an organ: every contrast at every size."""

    contrasts_hu: tuple[_Contrast, ...] = Field(min_length=1)
    """Contrasts of the lesions to what is around them, HU; below 0 for dark ones. All of them are
    put at the same places, one after the other."""
    diameters_mm: tuple[_Diameter, ...] = Field(min_length=1)
    """Diameters of the lesions, mm."""
    elongation: float = Field(default=1.0, ge=1, le=4)
    """Longer diameter over shorter diameter; the longer one points anywhere."""
    softness_mm: float = Field(default=0.0, ge=0, le=10)
    """Standard deviation of the Gaussian that makes borders soft, mm: 0 for sharp ones, about a
    quarter of the diameter for ground glass."""

    @model_validator(mode="after")
    def _no_contrast_is_none(self) -> Self:
        if 0 in self.contrasts_hu:
            raise ValueError("a lesion of 0 HU cannot be seen; leave this contrast out")
        if len(set(self.contrasts_hu)) != len(self.contrasts_hu):
            raise ValueError("a contrast is named twice")
        if len(set(self.diameters_mm)) != len(self.diameters_mm):
            raise ValueError("a diameter is named twice")
        return self


SOFT_TISSUE = InsertedSettings(
    contrasts_hu=(-40, -20, 5, 10, 15, 25, 40, 80, 200), diameters_mm=(3, 5, 7, 10, 15)
)
"""From the low contrast of phantoms to calcifications, and metastases of the liver."""

LUNG = InsertedSettings(contrasts_hu=(100, 200, 400, 800), diameters_mm=(3, 5, 7, 10))
"""Ground glass to solid nodules."""

ORGAN = InsertedSettings(contrasts_hu=(-50, -30, -20, 15, 25, 40), diameters_mm=(5, 7, 10, 15))
"""Lesions of the liver and of other organs."""


class AbsentSettings(Settings):
    """The search for structure that was not there."""

    diameters_mm: tuple[_Diameter, ...] = (3, 5, 7, 10)
    """Sizes of the spots that are looked for, mm."""
    least_deviations: float = Field(default=2.0, ge=1, le=10)
    """How far the contrast of a spot must lie outside of what its input explains, in standard
    deviations of what noise does to contrasts of that size in the input."""


class ResponseSettings(Settings):
    """What becomes of lesions that are put into a scan, and of places where there are none."""

    slices: int = Field(default=10, ge=1, le=200)
    """Slices that take lesions. Each is denoised once without and once with lesions of every
    contrast: with 9 contrasts, 10 slices take as long as 100 slices of the scan."""
    per_slice: int = Field(default=24, ge=1, le=200)
    """Lesions in a slice, at most."""
    apart_mm: float = Field(default=12.0, ge=0, le=100)
    """Distance between the borders of lesions, mm, so that none changes what is made of another;
    what they still do is measured and stated."""
    soft: InsertedSettings | None = SOFT_TISSUE
    """Lesions in soft tissue; null for none."""
    lung: InsertedSettings | None = LUNG
    """Lesions in the lung, where there is any; null for none."""
    organ: InsertedSettings | None = ORGAN
    """Lesions in every organ that is labelled; null for none."""
    f50_per_mm: float | None = Field(default=None, gt=0.02, le=5)
    """Where the task transfer function of the scan is a half, 1/mm: lesions are as blurred as it
    says. Null: estimated from the mean frequency of the noise, which fits filtered
    back-projection."""
    slice_thickness_mm: float | None = Field(default=None, gt=0, le=50)
    """What a slice averages over, mm; null: as the header says, or else the slice spacing."""
    absent: AbsentSettings = AbsentSettings()
    """The search for structure where there is none."""
    draws: int = Field(default=5000, ge=100, le=100000)
    """How often the slices are drawn again for an interval."""
    seed: int = Field(default=0, ge=0)
    """Decides the places; the same seed, the same places."""
