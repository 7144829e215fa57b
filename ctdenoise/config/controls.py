"""Settings of how much noise is taken away, and rules that choose them by the facts of a scan."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.core.acquisition import Acquisition

LEVELS: dict[str, tuple[float, float]] = {
    "low": (0.3, 1.0),
    "medium": (0.5, 1.0),
    "high": (0.7, 1.0),
}
"""Strength and texture of each named level."""


def _with_level(values: Any) -> Any:
    """A mapping of settings whose strength is a number, where it was the name of a level."""
    level = values.get("strength") if isinstance(values, dict) else None
    if not isinstance(level, str) or level.strip().lower() not in LEVELS:
        return values
    strength, texture = LEVELS[level.strip().lower()]
    return {"texture": texture, **values, "strength": strength}


class ControlSettings(Settings):
    """How much of what a method would take away is taken, and what the noise that stays is like."""

    strength: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the method's change that is applied: 0 leaves every voxel as it is, 1 is the
    method's own image. `low`, `medium` and `high` stand for 0.3, 0.5 and 0.7 with a texture of
    1."""

    texture: float = Field(default=0.0, ge=0.0, le=1.0)
    """How far the noise that stays keeps the shape of its power spectrum. 0: the same share is
    taken away at every frequency, which leaves coarse noise, since methods take fine noise best.
    1: at the same noise level, the shape is as near to the original's as can be. It needs a
    strength below 1 to have room."""

    noise_target: float | None = Field(default=None, gt=0, le=5000)
    """Noise in the soft tissue of the result, HU. The strength that gives it is found on slices of
    the scan. Null: strength is used as it is given."""

    @model_validator(mode="before")
    @classmethod
    def _levels_are_numbers(cls, values: Any) -> Any:
        return _with_level(values)

    @model_validator(mode="after")
    def _strength_is_said_once(self) -> Self:
        if self.noise_target is not None and self.strength != 1.0:
            raise ValueError(
                "strength follows from noise_target: give one of them (texture goes with both)"
            )
        return self


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
"""A regular expression that must fit as a whole; capital or small letters are the same."""


class PresetConditions(Settings):
    """Which scans a preset is for.

    All that is given must hold; what a header does not say does not fit.
    """

    kernel: Pattern | None = None
    """Regular expression for ConvolutionKernel, such as `B[67].*|.*LUNG.*`. It must fit as a whole;
    capitals do not matter. Two values of one header are joined: `Br40f/3`."""

    body_part: Pattern | None = None
    """Regular expression for BodyPartExamined, such as `CHEST|THORAX`."""

    manufacturer: Pattern | None = None
    """Regular expression for Manufacturer, such as `SIEMENS.*`."""

    thickness_mm: tuple[float, float] | None = None
    """Least slice thickness, mm, and the one that is no longer meant: `[0, 1.5]`."""

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        if self.thickness_mm is not None and not 0 <= self.thickness_mm[0] < self.thickness_mm[1]:
            raise ValueError(
                "thickness_mm can never hold: give two numbers, the smaller first, from 0"
            )
        return self

    def hold(self, acquisition: Acquisition) -> bool:
        """Whether a scan is meant.

        Args:
            acquisition: What its header says.
        """
        texts = (
            (self.kernel, acquisition.convolution_kernel),
            (self.body_part, acquisition.body_part_examined),
            (self.manufacturer, acquisition.manufacturer),
        )
        for pattern, text in texts:
            if pattern is not None and not _fits(pattern, text):
                return False
        if self.thickness_mm is None:
            return True
        thickness_mm = acquisition.slice_thickness_mm
        low, high = self.thickness_mm
        return thickness_mm is not None and low <= thickness_mm < high


def _fits(pattern: str, text: str | None) -> bool:
    return text is not None and re.fullmatch(pattern, text.strip(), re.IGNORECASE) is not None


class PresetSettings(ControlSettings):
    """A rule: for which scans, and what is done to them."""

    name: str = Field(min_length=1, max_length=64)
    """What it is called, on the terminal and in `run.json`."""

    when: PresetConditions = PresetConditions()
    """Which scans it is for; all of them unless given."""


def require_reachable(presets: tuple[PresetSettings, ...]) -> tuple[PresetSettings, ...]:
    """The same rules.

    Raises:
        ValueError: If one can never be chosen, or two have one name.
    """
    for place, preset in enumerate(presets):
        for before in presets[:place]:
            if before.name == preset.name:
                raise ValueError(f"two presets are called {preset.name!r}")
            if before.when in (preset.when, PresetConditions()):
                raise ValueError(
                    f"{preset.name!r} is never chosen: {before.name!r} stands before it and fits "
                    "every scan that it fits"
                )
    return presets


Presets = Annotated[tuple[PresetSettings, ...], AfterValidator(require_reachable)]
"""Rules of which the first that fits a scan is chosen."""
