"""Settings of how much noise is taken away, and rules that choose them by the facts of a scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.pattern import Pattern, fits
from ctdenoise.core.acquisition import Acquisition

LEVELS: dict[str, tuple[float, float]] = {
    "low": (0.3, 1.0),
    "medium": (0.5, 1.0),
    "high": (0.7, 1.0),
}
"""Strength and texture of each named level."""


FULL_STRENGTH = 1.0
"""Strength of a method that recommends none: all of its change."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """What a method recommends where settings say nothing.

    Args:
        strength: Share of its change that is applied.
        keep_below_per_mm: Frequency below which a scan is left as it is, 1/mm; 0 for none.
    """

    strength: float = FULL_STRENGTH
    keep_below_per_mm: float = 0.0


NOTHING_RECOMMENDED = Recommended()
"""All of the change, at every frequency."""


def _with_level(values: Any) -> Any:
    """A mapping of settings whose strength is a number, where it was the name of a level."""
    level = values.get("strength") if isinstance(values, dict) else None
    if not isinstance(level, str) or level.strip().lower() not in LEVELS:
        return values
    strength, texture = LEVELS[level.strip().lower()]
    return {"texture": texture, **values, "strength": strength}


class ControlSettings(Settings):
    """How much of what a method would take away is taken, and what the noise that stays is like."""

    strength: float | None = Field(default=None, ge=0.0, le=1.0)
    """Share of the method's change that is applied: 0 leaves every voxel as it is, 1 is the
    method's own image. `low`, `medium` and `high` stand for 0.3, 0.5 and 0.7 with a texture of 1.
    Null: what a released model recommends in its card, and 1 for everything else."""

    texture: float = Field(default=0.0, ge=0.0, le=1.0)
    """How far the noise that stays keeps the shape of its power spectrum. 0: the same share is
    taken away at every frequency, which leaves coarse noise, since methods take fine noise best.
    1: at the same noise level, the shape is as near to the original's as can be. It needs a
    strength below 1 to have room."""

    keep_below_per_mm: float | None = Field(default=None, ge=0.0, le=2.0)
    """Coarse structures are left as they are, 1/mm: at this frequency half of the strength is
    applied, at a half of it next to nothing, at twice it all. Faint structures that are wider than
    about two thirds of its inverse keep their contrast: those of 7 mm at 0.1; noise that is as
    coarse stays as well. 0: the strength is the same at every frequency. Null: what a released
    model recommends in its card, and 0 for everything else."""

    noise_target: float | None = Field(default=None, gt=0, le=5000)
    """Noise in the soft tissue of the result, HU. The strength that gives it is found on slices of
    the scan. Null: it is not sought, and `strength` counts."""

    @model_validator(mode="before")
    @classmethod
    def _levels_are_numbers(cls, values: Any) -> Any:
        return _with_level(values)

    @model_validator(mode="after")
    def _strength_is_said_once(self) -> Self:
        if self.noise_target is not None and self.strength not in {None, FULL_STRENGTH}:
            raise ValueError(
                "strength follows from noise_target: give one of them (texture goes with both)"
            )
        return self

    def share(self, own: Recommended = NOTHING_RECOMMENDED) -> float:
        """The strength in figures; 1 where it follows from `noise_target`.

        Args:
            own: What the method recommends where nothing is given.
        """
        if self.noise_target is not None:
            return FULL_STRENGTH
        return own.strength if self.strength is None else self.strength

    def kept_below(self, own: Recommended = NOTHING_RECOMMENDED) -> float:
        """The frequency below which a scan is left as it is, 1/mm; 0 for none.

        Args:
            own: What the method recommends where nothing is given.
        """
        given = self.keep_below_per_mm
        return own.keep_below_per_mm if given is None else given

    def with_recommended(self, own: Recommended) -> Self:
        """The same controls in figures.

        Args:
            own: What the method recommends where nothing is given.
        """
        return self.replaced(strength=self.share(own), keep_below_per_mm=self.kept_below(own))


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
        return not any(self.acquisition_misfits(acquisition))

    def acquisition_misfits(self, acquisition: Acquisition) -> Iterator[str]:
        """Each condition on the scan that does not hold, in words.

        Args:
            acquisition: What its header says.
        """
        yield from misfits(
            ("kernel", self.kernel, acquisition.convolution_kernel),
            ("body_part", self.body_part, acquisition.body_part_examined),
            ("manufacturer", self.manufacturer, acquisition.manufacturer),
        )
        if not within(self.thickness_mm, acquisition.slice_thickness_mm):
            yield misfit("thickness_mm", self.thickness_mm, acquisition.slice_thickness_mm)

    def covers(self, other: PresetConditions) -> bool:
        """Whether everything that other conditions mean is meant by these, as far as can be told.

        Args:
            other: Conditions of the same kind.
        """
        wanted, others = self.model_dump(), other.model_dump()
        return all(_covers(value, others.get(key)) for key, value in wanted.items())


def misfits(*conditions: tuple[str, str | None, str | None]) -> Iterator[str]:
    """Each pattern that does not fit, in words.

    Args:
        conditions: Name, pattern and what the header says; no pattern is no condition.
    """
    for name, pattern, text in conditions:
        if pattern is not None and not fits(pattern, text):
            yield misfit(name, pattern, text)


def within(bounds: Sequence[float | None] | None, value: float | None) -> bool:
    """Whether a number is what it must be at least, and below what it must not reach.

    Args:
        bounds: Both, None for an open end; None for no condition.
        value: The number; None is in no bounds.
    """
    if bounds is None:
        return True
    low, high = bounds
    if value is None:
        return False
    return (low is None or low <= value) and (high is None or value < high)


def misfit(name: str, wanted: object, found: object) -> str:
    """That a condition does not hold, in words."""
    shown = list(wanted) if isinstance(wanted, tuple) else wanted
    said = "nothing" if found is None or found == "" else repr(found)
    return f"{name} is {said}, not {shown}"


def _covers(wanted: Any, other: Any) -> bool:
    """Whether one condition holds wherever another does."""
    if wanted is None or wanted == other:
        return True
    if not (isinstance(wanted, tuple) and isinstance(other, tuple)):
        return False
    if not all(isinstance(end, int | float | None) for end in (*wanted, *other)):
        return set(other) <= set(wanted)
    (low, high), (other_low, other_high) = wanted, other
    starts = low is None or (other_low is not None and low <= other_low)
    return starts and (high is None or (other_high is not None and other_high <= high))


class PresetSettings(ControlSettings):
    """A rule: for which scans, and what is done to them."""

    name: str = Field(min_length=1, max_length=64)
    """What it is called, on the terminal and in `run.json`."""

    when: PresetConditions = PresetConditions()
    """Which scans it is for; all of them unless given."""


class Rule(Protocol):
    """One of several rules of which the first that fits is taken."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def when(self) -> PresetConditions:
        """What it is for."""


AnyRule = TypeVar("AnyRule", bound=Rule)


def require_reachable(rules: tuple[AnyRule, ...], *, called: str) -> tuple[AnyRule, ...]:
    """The same rules.

    Args:
        rules: In the order of trying.
        called: What they are, for the message: "presets".

    Raises:
        ValueError: If one can never be chosen, or two have one name.
    """
    for place, rule in enumerate(rules):
        for before in rules[:place]:
            if before.name == rule.name:
                raise ValueError(f"two {called} are called {rule.name!r}")
            if before.when.covers(rule.when):
                raise ValueError(
                    f"{rule.name!r} is never chosen: {before.name!r} stands before it and fits "
                    "every scan that it fits"
                )
    return rules


def _reachable_presets(presets: tuple[PresetSettings, ...]) -> tuple[PresetSettings, ...]:
    return require_reachable(presets, called="presets")


Presets = Annotated[tuple[PresetSettings, ...], AfterValidator(_reachable_presets)]
"""Rules of which the first that fits a scan is chosen."""
