"""Settings of artefacts that a simulated scan can be given on top of its noise."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings


class MetalSettings(Settings):
    """Streaks of dense metal: beam hardening of a polyenergetic beam, and starvation behind it."""

    enabled: bool = False
    """Add the beam hardening that dense objects cause."""
    threshold_hu: float = Field(2500.0, ge=500, le=30000)
    """Pixels above are metal."""
    material: Literal["titanium", "iron", "gold"] = "titanium"
    """What the metal is; its attenuation per energy follows from it."""


class RingSettings(Settings):
    """Rings: channels of the detector whose gain is off."""

    gain_sd: float = Field(0.0, ge=0, le=0.2)
    """Relative standard deviation of the gain of a channel; 0 for no rings."""
    dead_channels: int = Field(0, ge=0, le=64)
    """Channels that count nothing and are filled from their neighbours."""


class ArtefactSettings(Settings):
    """Artefacts besides noise; none by default."""

    keep_every_view: int = Field(1, ge=1, le=64)
    """Sparse view: of this many views only one is measured; 1 for all."""
    angle_degrees: float = Field(360.0, gt=60, le=360)
    """Limited angle: the views measured span this much of the turn; 360 for all of it."""
    first_angle_degrees: float = Field(0.0, ge=0, lt=360)
    """Source angle at which a limited-angle scan starts."""
    metal: MetalSettings = MetalSettings()
    """Metal streaks."""
    rings: RingSettings = RingSettings()
    """Ring artefacts."""

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.keep_every_view > 1 and self.angle_degrees < 360:
            raise ValueError("keep_every_view and angle_degrees cannot be combined")
        return self

    @property
    def is_none(self) -> bool:
        """Whether nothing is to be added."""
        return self == ArtefactSettings()
