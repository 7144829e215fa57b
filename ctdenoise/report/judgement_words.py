"""What came of a judgement, in words: a headline, and one line for each limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ctdenoise.metrics.limits import Outcome, Verdict
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.table import Metric, number_text

_GRAVITY: dict[Outcome, int] = {"fail": 0, "unclear": 1, "not measured": 2, "pass": 3}
_UNCHANGED_PERCENT = 1.0  # less is no change worth a word
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict at the top of the page.

    Args:
        outcome: Of all limits together; "not measured" where no figure has a limit.
        sentence: What a reader must know, in one sentence.
        counts: How many limits were met, failed, or cannot be told, in words.
    """

    outcome: Outcome
    sentence: str
    counts: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit and the figure that comes off worst by it.

    Args:
        outcome: Of all figures of the limit together.
        title: What was measured.
        where: Where the worst figure was measured, in words; empty where there is one alone.
        value: The worst figure with its unit.
        interval: Its interval; empty without one.
        limit: The limit with its unit.
        figures: How many figures it holds for, and how many of them fail, in words.
        source: Who sets the limit.
    """

    outcome: Outcome
    title: str
    where: str
    value: str
    interval: str
    limit: str
    figures: str
    source: str


def headline(
    measured: Measured, verdicts: Sequence[Verdict], missing: Sequence[str] = ()
) -> Headline:
    """The verdict in one sentence: what was won, and what was lost for it.

    Args:
        measured: Every figure.
        verdicts: Those that have a limit.
        missing: What was asked for and could not be measured: nothing passes without it.
    """
    groups = _by_limit(verdicts)
    outcomes = [_together(group) for group in groups]
    gain, won = _gain(measured)
    failed = [group for group, one in zip(groups, outcomes, strict=True) if one == "fail"]
    counts = _counts(outcomes)
    if failed:
        worst = sorted((_worst(group) for group in failed), key=_weight)
        told = _one_of_each_kind(worst)[:_MOST_REASONS]
        reasons = _joined([_reason(one.metric) for one in told])
        more = len(worst) - len(told)
        rest = f", and {more} more {'limit is' if more == 1 else 'limits are'} failed"
        lost = f"{reasons}{rest if more > 0 else ''}"
        sentence = f"{gain}{_JOINS[won]}{lost}" if gain else lost
        return Headline("fail", f"{_capital(sentence)}: fails.", counts)
    if not any(one in {"pass", "unclear"} for one in outcomes):
        words = f"{gain}. " if gain else ""
        return Headline("not measured", f"{_capital(words)}No limit was tested.", counts)
    if missing:
        rest = "no limit is failed, but not all that was asked for could be measured"
        outcome: Outcome = "unclear"
    elif "unclear" in outcomes:
        rest = "no limit is failed, but some cannot be told: their intervals reach over them"
        outcome = "unclear"
    else:
        rest = "all limits that were tested are met"
        outcome = "pass"
    sentence = f"{gain}, and {rest}" if gain else rest
    return Headline(outcome, f"{_capital(sentence)}.", counts)


def limit_rows(verdicts: Sequence[Verdict]) -> list[LimitRow]:
    """One line for each limit, failed ones first.

    Args:
        verdicts: Figures against their limits.
    """
    rows = []
    for group in _by_limit(verdicts):
        worst = _worst(group)
        metric = worst.metric
        several = len(group) > 1
        rows.append(
            LimitRow(
                _together(group),
                _family_title(group),
                f"worst: {_place(metric)}" if several else "",
                metric_short(metric),
                interval_short(metric),
                worst.limit_text,
                _figures(group),
                worst.limit.source,
            )
        )
    return sorted(rows, key=lambda row: _GRAVITY[row.outcome])


def groups_of_limits(verdicts: Sequence[Verdict]) -> dict[str, tuple[Verdict, Outcome, str]]:
    """For each limit, by its title: the worst figure, what came of all together, and where it is.

    Args:
        verdicts: Figures against their limits.
    """
    found = {}
    for group in _by_limit(verdicts):
        worst = _worst(group)
        where = _place(worst.metric) if len(group) > 1 else ""
        found[_family_title(group)] = (worst, _together(group), where)
    return found


def at_words(metric: Metric) -> str:
    """What a figure was measured at: "15 HU lesions of 7 mm at 25 % dose"; empty where nowhere."""
    at = dict(metric.at)
    words = []
    contrast, diameter = at.get("contrast_hu"), at.get("diameter_mm")
    if contrast is not None and diameter is not None:
        words.append(f"{number_words(contrast)} HU lesions of {number_words(diameter)} mm")
    elif contrast is not None:
        words.append(f"{number_words(contrast)} HU contrast")
    elif diameter is not None:
        words.append(f"{number_words(diameter)} mm")
    dose = at.get("dose_percent")
    if dose is not None:
        words.append(f"{'at ' if words else ''}{number_words(dose)} % dose")
    return " ".join(words)


def _by_limit(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """Verdicts by limit, and by what was measured where one limit is for several things."""
    groups: dict[tuple[str, str, str], list[Verdict]] = {}
    for one in verdicts:
        family = one.metric.key.partition("[")[0]
        key = (one.limit.metrics, repr(one.limit), family)
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _together(group: Iterable[Verdict]) -> Outcome:
    return min((one.outcome for one in group), key=_GRAVITY.__getitem__)


def _worst(group: Sequence[Verdict]) -> Verdict:
    return min(group, key=_order)


def _order(verdict: Verdict) -> tuple[int, float]:
    return _GRAVITY[verdict.outcome], -_severity(verdict)


def _one_of_each_kind(worst: Sequence[Verdict]) -> list[Verdict]:
    """The first of each family: bright and dark lesions are one loss, not two."""
    found: dict[str, Verdict] = {}
    for one in worst:
        found.setdefault(one.metric.key.partition("[")[0], one)
    return list(found.values())


def _weight(verdict: Verdict) -> tuple[int, float]:
    """What is told first: lost lesions, then resolution, then HU and texture; the worst first."""
    family = verdict.metric.key.partition("[")[0]
    kinds = list(_REASONS)
    place = kinds.index(family) if family in kinds else len(kinds)
    return place, -_severity(verdict)


def _severity(verdict: Verdict) -> float:
    """How far a figure is beyond its limit, or how near to it: shares of the limit."""
    value, low, high = verdict.metric.value, verdict.limit.low, verdict.limit.high
    if value is None:
        return -float("inf")
    if low is not None and high is not None:
        half = (high - low) / 2 or 1.0
        return max(value - high, low - value) / half
    end = high if low is None else low
    beyond = 0.0 if end is None else (value - end) / (abs(end) or 1.0)
    return beyond if low is None else -beyond


_JOINS = {True: ", but ", False: ", and "}


def _gain(measured: Measured) -> tuple[str, bool]:
    """What was won, less error against a truth or less noise, and whether it was won at all."""
    found = {metric.key: metric for metric in measured.metrics}
    for key, what in (("rmse_change", "RMSE"), ("noise_change[scan]", "noise")):
        metric = found.get(key)
        if metric is None or metric.value is None:
            continue
        if abs(metric.value) < _UNCHANGED_PERCENT:
            return f"{what} stays as it is", False
        won = metric.value < 0
        return f"{what} {'falls' if won else 'rises'} by {abs(metric.value):.0f} %", won
    return "", False


def _reason(metric: Metric) -> str:
    """A failed figure as a part of a sentence."""
    family = metric.key.partition("[")[0]
    words = _REASONS.get(family)
    return (
        words(metric)
        if words
        else f"{metric.title[:1].lower()}{metric.title[1:]} is {metric_short(metric)}"
    )


def _recovery(metric: Metric) -> str:
    verb = "falls" if (metric.value or 0) < 1 else "rises"
    return f"contrast of {at_words(metric) or 'lesions'} {verb} to {metric_short(metric)}"


def _false_structure(metric: Metric) -> str:
    spots = f"{_few_digits(metric.value or 0)} false spots"
    return f"{spots} appear in 100 cm\N{SUPERSCRIPT TWO} of tissue"


def _detectability(metric: Metric) -> str:
    return f"detectability of {at_words(metric) or 'lesions'} falls to {metric_short(metric)}"


def _resolution(metric: Metric) -> str:
    place = at_words(metric)
    return f"resolution{f' at {place}' if place else ''} falls to {metric_short(metric)}"


def _along_the_patient(metric: Metric) -> str:
    return f"resolution along the patient falls to {metric_short(metric)}"


def _drift(metric: Metric) -> str:
    what = metric.title.removeprefix("Drift of ")
    return f"{what} drifts by {_signed(metric)} HU"


def _texture(metric: Metric) -> str:
    coarser = (metric.value or 0) < 0
    change = abs(metric.value or 0)
    return (
        f"noise becomes {'coarser' if coarser else 'finer'} "
        f"(mean frequency {'falls' if coarser else 'rises'} by {change:.0f} %)"
    )


_REASONS: dict[str, Callable[[Metric], str]] = {
    "contrast_recovery": _recovery,
    "false_structure": _false_structure,
    "dprime_ratio": _detectability,
    "ttf50_ratio": _resolution,
    "z_ttf50_ratio": _along_the_patient,
    "drift": _drift,
    "fav_shift": _texture,
}


def metric_short(metric: Metric) -> str:
    """A figure in few digits, with its unit: "0.41", "12.3 HU"."""
    if metric.value is None:
        return number_text(None, "")
    return f"{_few_digits(metric.value)} {metric.unit}".rstrip()


def interval_short(metric: Metric) -> str:
    """The interval of a figure in few digits, without its unit; empty where there is none."""
    if metric.interval is None:
        return ""
    return f"{_few_digits(metric.interval.low)} to {_few_digits(metric.interval.high)}"


def _few_digits(value: float) -> str:
    if math.isinf(value) or math.isnan(value):
        return number_text(value, "")
    return f"{value:.{2 if abs(value) < 10 else 1}f}".replace("-", "\N{MINUS SIGN}")


def _signed(metric: Metric) -> str:
    return f"{metric.value or 0:+.1f}".replace("-", "\N{MINUS SIGN}")


def number_words(value: float) -> str:
    """A number as short as it can be, with a true minus sign."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _place(metric: Metric) -> str:
    """Where a figure was measured: by its `at`, or by what its key has in brackets."""
    inside = metric.key.partition("[")[2].removesuffix("]")
    return at_words(metric) or inside


_FAMILIES = {
    "contrast_recovery": "Contrast recovery of inserted lesions",
    "dprime_ratio": "Detectability d\N{PRIME}, output over input",
    "ttf50_ratio": "Resolution (TTF50), output over input",
    "z_ttf50_ratio": "Resolution along the patient, output over input",
    "fav_shift": "Shift of the mean frequency of the noise",
}


def _family_title(group: Sequence[Verdict]) -> str:
    family = group[0].metric.key.partition("[")[0]
    if len(group) == 1 and family not in _FAMILIES:
        return group[0].metric.title
    title = _FAMILIES.get(family, group[0].metric.title.partition(",")[0])
    where = group[0].limit.where.get("contrast_hu")
    return f"{title}{_range_words(where)}"


def _range_words(contrast: tuple[float | None, float | None] | None) -> str:
    if contrast is None:
        return ""
    low, high = contrast
    if low is not None and high is not None:
        return f", {number_words(low)} to {number_words(high)} HU"
    if low is not None:
        return f", from {number_words(low)} HU"
    return "" if high is None else f", {number_words(high)} HU and below"


def _figures(group: Sequence[Verdict]) -> str:
    counts = dict.fromkeys(_GRAVITY, 0)
    for one in group:
        counts[one.outcome] += 1
    if len(group) == 1:
        return ""
    named = [f"{count} {_SHORT[kind]}" for kind, count in counts.items() if count]
    return f"{len(group)} figures: {', '.join(named)}"


_SHORT: dict[Outcome, str] = {
    "fail": "fail",
    "unclear": "cannot be told",
    "not measured": "not measured",
    "pass": "pass",
}


def _counts(outcomes: Sequence[Outcome]) -> str:
    parts = []
    said: tuple[tuple[Outcome, str], ...] = (
        ("fail", "failed"),
        ("unclear", "cannot be told"),
        ("not measured", "not measured"),
        ("pass", "met"),
    )
    for kind, words in said:
        count = sum(1 for one in outcomes if one == kind)
        if count:
            parts.append(f"{count} {words}")
    total = len(outcomes)
    return f"{total} {'limit' if total == 1 else 'limits'}: {', '.join(parts)}" if parts else ""


def _joined(parts: Sequence[str]) -> str:
    if len(parts) < 3:
        return " and ".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
