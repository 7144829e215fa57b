"""Tables of a judgement, made from figures by their keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ctdenoise.metrics.limits import Outcome, Verdict
from ctdenoise.metrics.table import Metric, number_text
from ctdenoise.report.judgement_words import interval_short

_BEFORE_AND_AFTER = ("noise", "fav", "fpeak", "rmse", "bias", "psnr", "ssim")
"""Families of the table of the scan before and after, in its order."""

_HU = ("drift", "linearity", "hu_", "nonuniformity", "uniformity", "cnr")
"""Beginnings of keys of the table of HU."""

_CHANGES = ("_change", "_shift", "_drift")


@dataclass(frozen=True, slots=True)
class PairRow:
    """A figure before and after.

    Args:
        title: What it is.
        unit: Its unit.
        before: Of the input.
        after: Of the output.
        change: From the one to the other, with its unit; empty where nobody computed it.
        interval: Of the change; empty without one.
    """

    title: str
    unit: str
    before: str
    after: str
    change: str
    interval: str


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A figure with its interval, and with its limit if it has one.

    Args:
        title: What it is.
        key: Its key.
        value: With its unit.
        interval: Empty without one.
        limit: Empty without one.
        outcome: None without a limit.
        note: Why there is no value.
    """

    title: str
    key: str
    value: str
    interval: str
    limit: str
    outcome: Outcome | None
    note: str


@dataclass(frozen=True, slots=True)
class OrganRow:
    """An organ before and after.

    Args:
        name: Of the organ.
        mean_before: HU.
        mean_after: HU.
        drift: HU.
        interval: Of the drift; empty without one.
        sd_before: HU.
        sd_after: HU.
    """

    name: str
    mean_before: str
    mean_after: str
    drift: str
    interval: str
    sd_before: str
    sd_after: str


def pair_rows(metrics: Sequence[Metric]) -> list[PairRow]:
    """Everything that was measured on the scan before and after.

    Args:
        metrics: Every figure.
    """
    found = {metric.key: metric for metric in metrics}
    rows = []
    for family in _BEFORE_AND_AFTER:
        for key, metric in found.items():
            stem = _stem_of_input(key)
            if stem is None or not _is_of(stem, family):
                continue
            after = found.get(key.replace("input]", "output]"))
            if after is not None:
                rows.append(_pair(metric, after, _change(found, stem)))
    return rows


def hu_rows(metrics: Iterable[Metric], verdicts: Sequence[Verdict]) -> list[FigureRow]:
    """Whether HU stay what they are: drift of tissues and inserts, linearity, uniformity.

    Args:
        metrics: Every figure.
        verdicts: Those with a limit.
    """
    some = [metric for metric in metrics if metric.key.startswith(_HU)]
    several = [metric for metric in some if metric.key.startswith("drift[insert ")]
    kept = [metric for metric in some if metric not in several]
    rows = list(_figure_rows(kept, verdicts))
    known = [metric for metric in several if metric.value is not None]
    if known:
        worst = max(known, key=lambda metric: abs(metric.value or 0.0))
        title = f"{worst.title}: the largest of {len(known)}"
        rows += _figure_rows([replace(worst, title=title)], verdicts)
    return rows


def figure_rows(metrics: Iterable[Metric], verdicts: Sequence[Verdict]) -> list[FigureRow]:
    """Every figure, as it was found.

    Args:
        metrics: Every figure.
        verdicts: Those with a limit.
    """
    return list(_figure_rows(metrics, verdicts))


def organ_rows(metrics: Sequence[Metric]) -> list[OrganRow]:
    """Organs before and after.

    Args:
        metrics: Every figure.
    """
    found = {metric.key: metric for metric in metrics}
    rows = []
    for key, drift in found.items():
        name = key.removeprefix("organ_drift[").removesuffix("]")
        if not key.startswith("organ_drift["):
            continue
        cells = [
            found[f"organ_{what}[{name}, {when}]"].text
            for what in ("hu", "sd")
            for when in ("input", "output")
        ]
        rows.append(
            OrganRow(name, cells[0], cells[1], signed(drift), drift.interval_text, *cells[2:])
        )
    return rows


def signed(metric: Metric) -> str:
    """A figure with its sign."""
    text = metric.text
    return f"+{text}" if metric.value is not None and metric.value > 0 else text


def _stem_of_input(key: str) -> str | None:
    """What stands before "input]": "noise[scan", "rmse"."""
    match = re.fullmatch(r"(.*?)(?:\[|, )input\]", key)
    return None if match is None else match[1]


def _is_of(stem: str, family: str) -> bool:
    name = stem.partition("[")[0]
    return name == family or (family == "ssim" and name.startswith("ssim"))


def _change(found: dict[str, Metric], stem: str) -> Metric | None:
    family, _, where = stem.partition("[")
    inside = f"[{where}]" if where else ""
    keys = (f"{family}{change}{inside}" for change in _CHANGES)
    return next((found[key] for key in keys if key in found), None)


def _pair(before: Metric, after: Metric, change: Metric | None) -> PairRow:
    return PairRow(
        before.title.removesuffix(", input"),
        before.unit,
        before.text,
        after.text,
        "" if change is None else f"{signed(change)} {change.unit}".rstrip(),
        "" if change is None else interval_short(change),
    )


def _figure_rows(metrics: Iterable[Metric], verdicts: Sequence[Verdict]) -> Iterator[FigureRow]:
    judged = {verdict.metric.key: verdict for verdict in verdicts}
    for metric in metrics:
        verdict = judged.get(metric.key)
        dash = metric.value is None
        yield FigureRow(
            metric.title,
            metric.key,
            number_text(None, "") if dash else f"{metric.text} {metric.unit}".rstrip(),
            metric.interval_text,
            "" if verdict is None else verdict.limit_text,
            None if verdict is None else verdict.outcome,
            metric.note,
        )
