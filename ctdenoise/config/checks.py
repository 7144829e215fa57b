"""Settings of the checks that follow `infer`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings


class LimitSettings(Settings):
    """From where on a figure is remarked on."""

    warning: float = Field(gt=0)
    """Beyond this the result is written, with a warning."""

    error: float = Field(gt=0)
    """Beyond this the result is not fit for use; see `on_error`."""

    @model_validator(mode="after")
    def _error_is_beyond_warning(self) -> Self:
        if self.error < self.warning:
            raise ValueError("`error` must not be below `warning`")
        return self


class DriftSettings(Settings):
    """How far the mean of a tissue may move, HU.

    The Catphan 503 manual accepts water from -7 to 7 HU, LDPE from -121 to -87, Teflon from 941 to
    1060, air from -1046 to -986, all of which a scanner needs for itself. A denoiser that takes
    about a seventh of half of a range is warned of, and one that takes three sevenths is an error;
    water stands for soft tissue, LDPE for fat, Teflon for bone, air for air and lung.
    """

    soft: LimitSettings = LimitSettings(warning=1.0, error=3.0)
    """Soft tissue."""

    fat: LimitSettings = LimitSettings(warning=2.5, error=7.5)
    """Fat."""

    bone: LimitSettings = LimitSettings(warning=9.0, error=26.0)
    """Bone."""

    lung: LimitSettings = LimitSettings(warning=4.5, error=13.0)
    """Lung."""

    air: LimitSettings = LimitSettings(warning=4.5, error=13.0)
    """Air inside the body."""

    background: LimitSettings = LimitSettings(warning=4.5, error=13.0)
    """Room air around the body."""


class CheckSettings(Settings):
    """What is looked at in a result before it is written, and what follows."""

    on_error: Literal["stop", "warn"] = "warn"
    """`stop`: a result beyond the limit of an error is not written, and the command fails; for use
    without a person who reads what it says. `warn`: it is written all the same, and the error is
    said and recorded."""

    slices: int = Field(default=32, ge=1)
    """How many slices are looked at closely, evenly spread; the others only for a blank slice and
    their mean change."""

    standard_errors: float = Field(default=3.0, ge=0)
    """A mean is remarked on if it is beyond its limit even less so many of its standard errors: a
    mean over few pixels proves nothing."""

    drift: DriftSettings = DriftSettings()
    """How far the mean of a tissue may move."""

    noise_ratio: LimitSettings = LimitSettings(warning=1.02, error=1.1)
    """Noise of the result over that of the scan in flat soft tissue. A denoiser that makes noise
    has a negative gain; 2 % is what the measurement can tell."""

    removed_ratio: float = Field(default=1.1, gt=0)
    """What was removed over the noise of the scan in flat soft tissue (standard deviations): what
    removes more than there is takes something else."""

    edge_loss: float = Field(default=0.1, gt=0, le=1)
    """Share of the fine detail of edges that may be lost, or added by sharpening. A Gaussian blur
    with a standard deviation of half a pixel takes 13 to 18 %."""

    feature: float = Field(default=6.5, ge=5)
    """A spot in what was removed is remarked on if its mean is that many times the standard
    deviation of such means around it. Noise alone reaches 5 in some hundred slices."""

    jump_hu: float = Field(default=1.0, gt=0)
    """By how much the mean change of a slice may differ from that of its neighbours, HU."""

    margin: float = Field(default=0.15, ge=0, le=10)
    """By what share a figure of the scan may lie outside of what the network was trained on."""
