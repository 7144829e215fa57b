"""Settings of artefacts that a simulated scan can be given on top of its noise."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings


class MetalSettings(Settings):
    """Streaks of dense metal: beam hardening of a polyenergetic beam, and starvation behind it.

    The metal keeps the Hounsfield units that the scan shows, clipped or not.
    """

    enabled: bool = False
    """Add the beam hardening and the loss of photons that metal in the scan would cause. For scans
    that show metal without streaks: phantoms, or metal drawn into a scan."""
    threshold_hu: float = Field(2500.0, ge=500, le=30000)
    """Pixels above are metal throughout; all others count as water of some density. 2,500 lies
    above dense bone and below the 3,071 HU at which most scans are clipped."""
    material: Literal["titanium", "iron", "gold"] = "titanium"
    """What the metal is: its density and attenuation at each energy follow from it."""


class RingSettings(Settings):
    """Rings: channels of the detector that measure wrongly, the same in every view and slice."""

    gain_sd: float = Field(0.0, ge=0, le=0.2)
    """Relative standard deviation of the gain of a channel; 0 for no rings. 0.001 to 0.005 is what
    is left where a calibration is old."""
    dead_channels: int = Field(0, ge=0, le=64)
    """Channels that count nothing and are filled linearly from their neighbours."""


class ArtefactSettings(Settings):
    """Artefacts besides noise; none by default. They need geometry `fan`."""

    keep_every_view: int = Field(1, ge=1, le=64)
    """Sparse view: of this many views only one is measured, with the photons that it has in the
    whole turn: the dose of the patient falls by this factor on top of `dose`. 1 for all."""
    angle_degrees: float = Field(360.0, gt=60, le=360)
    """Limited angle: the views measured span this much of the turn, each with its photons of the
    whole turn; 360 for all of it. From 180 degrees plus the fan's opening (about 50) upwards
    every line is measured, and little but the noise changes."""
    first_angle_degrees: float = Field(0.0, ge=0, lt=360)
    """Where a limited-angle scan starts: 0 with the source below the image, 90 left of it, 180
    above."""
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
