"""Constancy: the scan of a phantom against earlier ones of the same phantom, scanner and protocol.

The first days that passed, or those of a named date, make the baseline: the mean of each figure. A
day that failed never becomes part of it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctdenoise.config.limits import AcceptanceSettings
from ctdenoise.config.qa import DAILY, OURS, ConstancySettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError
from ctdenoise.metrics.table import Metric
from ctdenoise.tasks.qa_found import qa_metric

ENTRY_VERSION = 1
"""Version of the entries of a history."""

MEAN, NOISE, TEXTURE = "mean_hu[centre]", "noise", "nps_fav"
"""Figures that are compared from day to day."""


@dataclass(frozen=True, slots=True)
class Day:
    """One scan in a history.

    Args:
        date: ISO 8601; empty where unknown.
        series: What scans must share to be compared: phantom, scanner, protocol.
        scan: A digest of the pixels, by which a scan is not counted twice.
        figures: By key.
        passed: Whether no limit was failed.
    """

    date: str
    series: str
    scan: str
    figures: Mapping[str, float | None]
    passed: bool

    def as_json(self) -> dict[str, JsonValue]:
        """One line of the history."""
        return {
            "version": ENTRY_VERSION,
            "date": self.date,
            "series": self.series,
            "scan": self.scan,
            "figures": dict(self.figures),
            "passed": self.passed,
        }


def day_of(entry: Mapping[str, JsonValue]) -> Day:
    """A scan from a line of the history.

    Raises:
        InputError: If it is no entry of this version.
    """
    figures = entry.get("figures")
    if entry.get("version") != ENTRY_VERSION or not isinstance(figures, dict):
        raise InputError("An entry of the history is not one that this version writes.")
    return Day(
        str(entry.get("date", "")),
        str(entry.get("series", "")),
        str(entry.get("scan", "")),
        {key: float(value) for key, value in figures.items() if isinstance(value, int | float)},
        entry.get("passed") is True,
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """What earlier days say a figure should be.

    Args:
        days: Those that it is the mean of, oldest first.
    """

    days: tuple[Day, ...]

    @property
    def text(self) -> str:
        """The days for people."""
        dates = sorted({day.date or "an unknown day" for day in self.days})
        return dates[0] if len(dates) == 1 else f"{len(self.days)} days, {dates[0]} to {dates[-1]}"

    def __getitem__(self, key: str) -> float | None:
        values = [value for day in self.days if (value := day.figures.get(key)) is not None]
        return statistics.fmean(values) if values else None


def baseline_of(
    earlier: Sequence[Day], *, series: str, scan: str, settings: ConstancySettings
) -> Baseline | None:
    """The baseline for a scan; None where no earlier day can be one.

    Args:
        earlier: The history, oldest first.
        series: Of the scan.
        scan: Its digest: it is not compared with itself.
        settings: Which days count.

    Raises:
        InputError: If a date is named and there is no such day that passed.
    """
    same = [day for day in earlier if day.series == series and day.scan != scan and day.passed]
    if settings.baseline_date is not None:
        named = tuple(day for day in same if day.date == settings.baseline_date)
        if not named:
            raise InputError(
                f"the history has no scan of {settings.baseline_date} that passed, of this "
                "phantom, scanner and protocol.",
                where="constancy.baseline_date",
            )
        return Baseline(named)
    by_date = sorted(same, key=lambda day: day.date)
    return Baseline(tuple(by_date[: settings.baseline_days])) if by_date else None


def changes(figures: Mapping[str, float | None], baseline: Baseline) -> tuple[Metric, ...]:
    """How far a scan is from the baseline, as figures.

    Args:
        figures: Of the scan, by key.
        baseline: Of earlier days.
    """
    against = f"against the baseline ({baseline.text})"
    wanted = (
        ("change_mean", "Change of the CT number", MEAN, "HU"),
        ("change_noise", "Change of the noise", NOISE, "%"),
        ("change_texture", "Change of the mean frequency of the noise", TEXTURE, "%"),
    )
    found = []
    for key, title, source, unit in wanted:
        before, now = baseline[source], figures.get(source)
        value = None
        if before is not None and now is not None:
            value = now - before if unit == "HU" else 100 * (now / before - 1) if before else None
        found.append(
            qa_metric(
                key,
                title,
                value,
                unit,
                mask=f"as {source}",
                reduction=against,
                better="near zero",
                description=f"{title} {against}.",
                note="" if value is not None else "not known on both days",
            )
        )
    return tuple(found)


def constancy_limits(settings: ConstancySettings) -> tuple[AcceptanceSettings, ...]:
    """What may change from day to day, as limits."""
    return tuple(
        AcceptanceSettings(metrics=key, low=-most, high=most, source=source)
        for key, most, source in (
            ("change_mean", settings.mean_hu, DAILY),
            ("change_noise", settings.noise_percent, DAILY),
            ("change_texture", settings.texture_percent, OURS),
        )
    )
