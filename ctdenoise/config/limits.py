"""What a figure of image quality must be to pass, and who says so."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings

Range = tuple[float | None, float | None]
"""The least and the largest value, both of which belong to it; null for no end."""

OURS = "ours: a denoiser against its input"
"""Source of the limits that no body publishes."""


class AcceptanceSettings(Settings):
    """What some figures must be to pass."""

    metrics: str = Field(min_length=1)
    """Keys of the figures, such as `drift[soft]`; `*` stands for anything."""
    where: dict[str, Range] = Field(default={})
    """Only figures that were measured within these ranges: `{contrast_hu: [15, null]}`."""
    low: float | None = None
    """The least value that passes, in the unit of the figure; null for none."""
    high: float | None = None
    """The largest value that passes; null for none."""
    source: str = Field(default=OURS, min_length=1)
    """Who sets the limit."""

    @model_validator(mode="after")
    def _some_value_passes(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("a limit has a `low`, a `high`, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"no value lies above {self.low} and below {self.high}")
        return self


_SEEN = {"diameter_mm": (7.0, None)}

DENOISER_LIMITS = (
    AcceptanceSettings(metrics="drift[water*]", low=-1.0, high=1.0),
    AcceptanceSettings(metrics="drift[soft]", low=-1.0, high=1.0),
    AcceptanceSettings(metrics="drift[insert *]", low=-3.0, high=3.0),
    AcceptanceSettings(metrics="fav_shift[*]", low=-20.0, high=20.0),
    AcceptanceSettings(metrics="ttf50_ratio[*]", where={"contrast_hu": (100.0, None)}, low=0.95),
    AcceptanceSettings(metrics="ttf50_ratio[*]", where={"contrast_hu": (None, -100.0)}, low=0.95),
    AcceptanceSettings(metrics="ttf50_ratio[*]", where={"contrast_hu": (15.0, 40.0)}, low=0.85),
    AcceptanceSettings(metrics="ttf50_ratio[*]", where={"contrast_hu": (-40.0, -15.0)}, low=0.85),
    AcceptanceSettings(metrics="z_ttf50_ratio*", low=0.95),
    AcceptanceSettings(
        metrics="contrast_recovery[*]", where={"contrast_hu": (15.0, None), **_SEEN}, low=0.9
    ),
    AcceptanceSettings(
        metrics="contrast_recovery[*]", where={"contrast_hu": (None, -15.0), **_SEEN}, low=0.9
    ),
    AcceptanceSettings(metrics="dprime_ratio[*]", low=0.95),
    AcceptanceSettings(metrics="response_displacement*", high=0.3),
    AcceptanceSettings(metrics="false_structure", high=0.5),
)
"""Limits for a denoiser, relative to its input: HU kept, resolution kept at high and at low
contrast, texture kept, no lesion fainter, none harder to detect, none moved, nothing shown that is
not there."""
