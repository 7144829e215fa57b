"""Dose equivalence in words: at which dose the input shows as much."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ctdenoise.metrics.table import Metric
from ctdenoise.report.judgement_words import at_words, interval_short, metric_short, number_words


def dose_sentences(metrics: Iterable[Metric]) -> list[str]:
    """For each lesion of the dose study: the dose at which the input shows as much.

    Args:
        metrics: Every figure.
    """
    chosen: dict[str, Metric] = {}
    for metric in metrics:
        dose = dict(metric.at).get("dose_percent")
        if not metric.key.startswith("dose_equivalent[") or metric.value is None or dose is None:
            continue
        lesion = at_words(metric).partition(" at ")[0]
        known = chosen.get(lesion)
        if known is None or _from_quarter(dose) < _from_quarter(dict(known.at)["dose_percent"]):
            chosen[lesion] = metric
    return [_dose_sentence(lesion, metric) for lesion, metric in chosen.items()]


def _from_quarter(dose_percent: float) -> float:
    """How far a dose is from a quarter, which is the usual low dose."""
    return abs(math.log(dose_percent / 25))


def _dose_sentence(lesion: str, metric: Metric) -> str:
    dose = dict(metric.at)["dose_percent"]
    within = f" ({interval_short(metric)} %)" if metric.interval is not None else ""
    note = f"; {metric.note}" if metric.note else ""
    return (
        f"{lesion}: after the denoiser, {number_words(dose)} % dose shows them as well as "
        f"{metric_short(metric)} dose does without it{within}{note}."
    )
