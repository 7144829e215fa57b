"""Rules of `serve`: which series of a study are worked on, how, and where the results go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.controls import PresetConditions, misfit, misfits, require_reachable, within
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import checked, find_settings_file, load_settings
from ctdenoise.config.overrides import merged
from ctdenoise.config.pattern import Pattern
from ctdenoise.core.series_facts import ArrivedBy, SeriesFacts


class RuleConditions(PresetConditions):
    """Which series a rule is for.

    All that is given must hold; what a header does not say does not fit.
    """

    what: Pattern | None = None
    """Regular expression for what `inspect` calls the series: `CT`, `scout`, `dose report`,
    `segmentation`."""

    modality: Pattern | None = None
    """Regular expression for Modality."""

    manufacturer_model: Pattern | None = None
    """Regular expression for ManufacturerModelName."""

    protocol: Pattern | None = None
    """Regular expression for ProtocolName."""

    study_description: Pattern | None = None
    """Regular expression for StudyDescription."""

    series_description: Pattern | None = None
    """Regular expression for SeriesDescription."""

    image_type: Pattern | None = None
    """Regular expression for the values of ImageType, joined by slashes: `ORIGINAL/PRIMARY/.*`."""

    plane: tuple[Literal["axial", "coronal", "sagittal"], ...] | None = Field(
        default=None, min_length=1
    )
    """Planes of the slices."""

    slices: tuple[int | None, int | None] | None = None
    """Least number of slices, and the one that is no longer meant; null for an open end:
    `[20, null]`."""

    sender: Pattern | None = None
    """Regular expression for the application entity title of who sent it."""

    arrived_by: tuple[ArrivedBy, ...] | None = Field(default=None, min_length=1)
    """How it came: `dimse` (sent over the network), `folder`, `orthanc`."""

    @model_validator(mode="after")
    def _slices_can_hold(self) -> Self:
        low, high = self.slices or (None, None)
        if (low is not None and low < 0) or (high is not None and high <= (low or 0)):
            raise ValueError("slices can never hold: give two numbers, the smaller first, from 0")
        return self

    def fit(self, facts: SeriesFacts) -> bool:
        """Whether a series is meant.

        Args:
            facts: What is known of it.
        """
        return next(self.misfits(facts), None) is None

    def misfits(self, facts: SeriesFacts) -> Iterator[str]:
        """Each condition that does not hold, in words that quote the header.

        Args:
            facts: What is known of the series.
        """
        yield from misfits(
            ("what", self.what, facts.what),
            ("modality", self.modality, facts.modality),
            ("sender", self.sender, facts.sender),
        )
        yield from self.acquisition_misfits(facts.acquisition)
        yield from misfits(
            (
                "manufacturer_model",
                self.manufacturer_model,
                facts.acquisition.manufacturer_model_name,
            ),
            ("protocol", self.protocol, facts.protocol),
            ("study_description", self.study_description, facts.study_description),
            ("series_description", self.series_description, facts.series_description),
            ("image_type", self.image_type, facts.image_type),
        )
        if self.plane is not None and facts.plane not in self.plane:
            yield misfit("plane", self.plane, facts.plane)
        if not within(self.slices, facts.slices):
            yield misfit("slices", self.slices, facts.slices)
        if self.arrived_by is not None and facts.arrived_by not in self.arrived_by:
            yield misfit("arrived_by", self.arrived_by, facts.arrived_by)


class RuleAction(Settings):
    """What is done to a series."""

    model: str = Field(min_length=1)
    """As `infer --model`: a checkpoint, a folder that `train` made, or the name of a classical
    filter such as `nlm`."""

    digest: str | None = Field(default=None, pattern=r"^([0-9a-f]{12}|[0-9a-f]{64})$")
    """Which model it must be: the 12 digits that `run.json` and the derived series call its digest,
    or the 64 of `sha256sum` of its file, which nobody can forge. The server does not start with
    another one, and works on nothing with it."""

    infer: str = "default"
    """Settings of `infer`: the name of a ready file, or the path of a YAML file."""

    change: dict[str, Any] = Field(default={})
    """Settings of `infer` that differ from the file, as they would stand in it:
    `change: {strength: low, objects: {residual: true}}`."""

    on_error: Literal["stop", "warn"] = "stop"
    """`stop`: a result beyond the limit of a check is not written and not sent, and the series is
    refused with that reason. `warn`: it is sent all the same, and the error is recorded. It stands
    in place of `checks.on_error` of `infer`."""

    send_to: tuple[str, ...] = ()
    """Names of the peers that get the result. None of them: it is kept in the state folder."""

    @model_validator(mode="after")
    def _infer_settings_are_right(self) -> Self:
        self.infer_settings()
        return self

    def infer_settings(self) -> InferSettings:
        """The settings of `infer` that this means, whole.

        Raises:
            SettingsError: If there is no such file, or something in it is wrong.
        """
        read = load_settings(InferSettings, find_settings_file("infer", self.infer))
        changes = {**self.change, "checks": {**self.change.get("checks", {})}}
        changes["checks"]["on_error"] = self.on_error
        values = merged(read.as_json(), changes)
        if isinstance(self.change.get("strength"), str) and "texture" not in self.change:
            del values["texture"]  # a level brings its own
        if {"strength", "texture", "noise_target"} & set(self.change):
            values["presets"] = self.change.get("presets", [])  # as on the command line
        return checked(InferSettings, values, where="change")


class RuleSettings(Settings):
    """A rule: for which series, and what is done to them, or why nothing is."""

    name: str = Field(min_length=1, max_length=64)
    """What it is called, in the ledger, on the status page and in the log."""

    when: RuleConditions = RuleConditions()
    """Which series it is for; all of them unless given."""

    do: RuleAction | None = None
    """What is done to them."""

    skip: str | None = Field(default=None, min_length=1, max_length=200)
    """Why nothing is done to them."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.do is None) == (self.skip is None):
            raise ValueError("a rule has either `do` or `skip`")
        return self


def _reachable_rules(rules: tuple[RuleSettings, ...]) -> tuple[RuleSettings, ...]:
    return require_reachable(rules, called="rules")


Rules = Annotated[tuple[RuleSettings, ...], AfterValidator(_reachable_rules)]
"""Rules of which the first that fits a series is taken."""


def first_fitting(rules: Rules, facts: SeriesFacts) -> RuleSettings | None:
    """The first rule that fits a series; None if none does.

    Args:
        rules: In the order of trying.
        facts: What is known of the series.
    """
    return next((rule for rule in rules if rule.when.fit(facts)), None)
