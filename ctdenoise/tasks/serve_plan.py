"""What is to be done with each series of a study, by rules; nothing is done here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.rules import Rules, RuleSettings, first_fitting
from ctdenoise.core.series_facts import ArrivedBy, SeriesFacts
from ctdenoise.io.rule_facts import rule_facts
from ctdenoise.io.study import FoundSeries
from ctdenoise.networks.released import portable

Verdict = Literal["make", "skip", "refuse"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a rule asks for, whole: nothing is read from a settings file any more.

    Args:
        model: As `infer --model`.
        settings: Of `infer`.
        send_to: Names of the peers that get the result.
        digest: What the model must have; None for any.
    """

    model: str
    settings: InferSettings
    send_to: tuple[str, ...]
    digest: str | None = None


def orders_of(rules: Rules) -> dict[str, Order]:
    """What each rule asks for, by its name; rules that skip ask for nothing.

    Args:
        rules: Of the server.

    Raises:
        SettingsError: If the settings of `infer` that a rule names cannot be read.
    """
    return {
        rule.name: Order(
            portable(rule.do.model), rule.do.infer_settings(), rule.do.send_to, rule.do.digest
        )
        for rule in rules
        if rule.do is not None
    }


NO_RULE = "no rule wants it"
"""Reason of a series that fits no rule."""


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series and what is to become of it.

    Args:
        series: As it was found.
        facts: What the rules looked at.
        rule: The one that fits; None where none does, or none was asked.
        verdict: "make" it, "skip" it, or "refuse" it since a rule wants it and it cannot be read.
        reason: Why it is not made; empty otherwise.
    """

    series: FoundSeries
    facts: SeriesFacts
    rule: RuleSettings | None
    verdict: Verdict
    reason: str = ""


def plan_study(
    found: Sequence[FoundSeries], rules: Rules, entrances: Mapping[str, ArrivedBy]
) -> tuple[SeriesPlan, ...]:
    """What is to become of each series of a study, in its order.

    Args:
        found: Every series, as `find_series` gives them.
        rules: In the order of trying.
        entrances: How series of some senders came; see `rule_facts`.
    """
    return tuple(_planned(series, rules, entrances) for series in found)


def _planned(series: FoundSeries, rules: Rules, entrances: Mapping[str, ArrivedBy]) -> SeriesPlan:
    facts = rule_facts(series, entrances)
    if facts.made_by_us:
        return SeriesPlan(series, facts, None, "skip", facts.made_by_us)
    rule = first_fitting(rules, facts)
    if rule is None:
        return SeriesPlan(series, facts, None, "skip", NO_RULE)
    if rule.do is None:
        return SeriesPlan(series, facts, rule, "skip", rule.skip or "")
    if not series.readable:
        return SeriesPlan(series, facts, rule, "refuse", "; ".join(series.problems))
    return SeriesPlan(series, facts, rule, "make")
