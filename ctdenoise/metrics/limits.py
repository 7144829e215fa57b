"""Which figures pass: each against the limit that was set for it, with what is known of its error.

A figure passes where it lies within its limit. Where it has an interval, the interval decides: the
limit is failed only if the whole interval lies beyond it, and met only if the interval reaches no
value beyond it; in between nobody can tell, and the verdict says so instead of guessing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ctdenoise.config.limits import AcceptanceSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.metrics.table import Metric, number_text

Outcome = Literal["pass", "fail", "unclear", "not measured"]
"""What a limit says of a figure. `unclear`: its interval reaches over the limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure against its limit.

    Args:
        metric: The figure.
        limit: What it was held against.
        outcome: What came of it.
    """

    metric: Metric
    limit: AcceptanceSettings
    outcome: Outcome

    @property
    def limit_text(self) -> str:
        """The limit for people, with its unit: "at least 0.9", "-1.00 to 1.00 HU"."""
        low, high, unit = self.limit.low, self.limit.high, self.metric.unit
        ends = [_short(end, unit) for end in (low, high) if end is not None]
        text = " to ".join(ends)
        if high is None:
            text = f"at least {text}"
        elif low is None:
            text = f"at most {text}"
        return f"{text} {unit}".rstrip()

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return {
            "key": self.metric.key,
            "outcome": self.outcome,
            "low": self.limit.low,
            "high": self.limit.high,
            "source": self.limit.source,
        }


def judged(metrics: Iterable[Metric], limits: Sequence[AcceptanceSettings]) -> tuple[Verdict, ...]:
    """Every figure that some limit is meant for, held against the first such limit.

    Args:
        metrics: Figures, in the order of the verdicts.
        limits: What must be met; those first that are to win.
    """
    verdicts = []
    for metric in metrics:
        limit = next((one for one in limits if _is_meant(one, metric)), None)
        if limit is not None:
            verdicts.append(Verdict(metric, limit, _outcome(metric, limit)))
    return tuple(verdicts)


def _is_meant(limit: AcceptanceSettings, metric: Metric) -> bool:
    pattern = ".*".join(re.escape(part) for part in limit.metrics.split("*"))
    if not re.fullmatch(pattern, metric.key):
        return False
    known = dict(metric.at)
    for name, (low, high) in limit.where.items():
        value = known.get(name)
        if value is None or not _lower(low) <= value <= _upper(high):
            return False
    return True


def _outcome(metric: Metric, limit: AcceptanceSettings) -> Outcome:
    if metric.value is None or math.isnan(metric.value):
        return "not measured"
    low, high = _lower(limit.low), _upper(limit.high)
    if metric.interval is None:
        return "pass" if low <= metric.value <= high else "fail"
    if metric.interval.high < low or metric.interval.low > high:
        return "fail"
    within = low <= metric.interval.low and metric.interval.high <= high
    return "pass" if within else "unclear"


def _lower(end: float | None) -> float:
    return -math.inf if end is None else end


def _upper(end: float | None) -> float:
    return math.inf if end is None else end


def _short(value: float, unit: str) -> str:
    """A limit without needless zeros."""
    text = f"{value:g}"
    return number_text(value, unit) if "e" in text else text.replace("-", "\N{MINUS SIGN}")
