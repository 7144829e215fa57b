"""`serve --explain`: which rule fits each series of a study, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.rules import Rules, RuleSettings
from ctdenoise.config.serve import ServeSettings
from ctdenoise.io.study import find_series
from ctdenoise.networks.released import recommended
from ctdenoise.tasks.serve_plan import SeriesPlan, Verdict, plan_study


@dataclass(frozen=True, slots=True)
class ExplainedRule:
    """A rule held against a series.

    Args:
        name: Of the rule.
        misfits: Each condition that does not hold; empty for the rule that is taken.
    """

    name: str
    misfits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedSeries:
    """What would become of a series.

    Args:
        number: Its number in the study.
        what: "CT", "scout", ...
        description: SeriesDescription.
        slices: How many it has.
        verdict: "make", "skip" or "refuse".
        outcome: The same in words.
        tried: Rules in the order of trying, down to the one that is taken.
    """

    number: int
    what: str
    description: str
    slices: int
    verdict: Verdict
    outcome: str
    tried: tuple[ExplainedRule, ...]


def run(study: Path, settings: ServeSettings) -> tuple[ExplainedSeries, ...]:
    """What a server would do with a study; nothing is done.

    The sender is what the file meta group says (SourceApplicationEntityTitle): nothing, for files
    that did not come through a server.

    Args:
        study: Folder or file.
        settings: Of the server.

    Raises:
        StudyError: If there is no image.
    """
    plans = plan_study(find_series(study), settings.rules, {})
    return tuple(_explained(plan, settings.rules) for plan in plans)


def _explained(plan: SeriesPlan, rules: Rules) -> ExplainedSeries:
    asked = () if plan.facts.made_by_us else tuple(_tried(plan, rules))
    return ExplainedSeries(
        plan.series.number,
        plan.series.what,
        plan.facts.series_description,
        plan.series.slices,
        plan.verdict,
        _outcome(plan),
        asked,
    )


def _tried(plan: SeriesPlan, rules: Rules) -> Iterator[ExplainedRule]:
    for rule in rules:
        yield ExplainedRule(rule.name, tuple(rule.when.misfits(plan.facts)))
        if plan.rule is rule:
            return


def _outcome(plan: SeriesPlan) -> str:
    if plan.verdict == "skip":
        return f"left alone: {plan.reason}"
    if plan.verdict == "refuse":
        return f"refused: {plan.reason}"
    return "" if plan.rule is None else _done(plan.rule)


def _done(rule: RuleSettings) -> str:
    action = rule.do
    if action is None:
        return ""
    settings = action.infer_settings()
    to = ", ".join(action.send_to)
    sent = f"sent to {to}" if to else "kept in the state folder"
    strength = settings.share(recommended(action.model))
    return f"denoised by {action.model}, strength {strength:g}, {sent}"
