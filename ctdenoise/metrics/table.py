"""Numbers that carry their conventions, and the table that holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.provenance import JsonValue
from ctdenoise.metrics.fidelity import DifferenceSums

Better = Literal["lower", "higher", "near zero", "neither"]
"""Which of two values of a metric is the better one, if either."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a number lies, as far as the data can tell.

    Args:
        low: Lower end; minus infinity where there is none.
        high: Upper end; infinity where there is none.
        method: How it was found: "exact, noncentral F", "bootstrap over 12 patients, 10000 draws".
        level: Share of such intervals that hold the true number.

    Raises:
        ValueError: If the ends are in the wrong order or not numbers.
    """

    low: float
    high: float
    method: str
    level: float = 0.95

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"an interval from {self.low} to {self.high} holds nothing")

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON; an end that is infinite becomes null."""
        return {
            "low": _finite(self.low),
            "high": _finite(self.high),
            "level": self.level,
            "method": self.method,
        }


class Conventions(TypedDict):
    """What several figures share of how they were found; see `Metric`."""

    window: str
    mask: str
    reduction: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One number and everything needed to compare it with somebody else's.

    Args:
        key: Short name; holds the window where there is one, such as `psnr[-160,240]`.
        title: Name for people.
        value: The number; infinite where the formula says so, None where it cannot be computed.
        unit: "HU", "dB", "%", or "" for none.
        window: The HU that both images were clipped to, "none" for no clipping.
        mask: Which voxels count.
        reduction: How voxels and slices become one number.
        better: Which direction is the better one.
        description: One sentence for people.
        note: Why there is no value, or why it is infinite.
        interval: Where the true value lies; None where that was not asked.
        at: What it was measured at, by name: `(("contrast_hu", 15.0), ("diameter_mm", 7.0))`.
    """

    key: str
    title: str
    value: float | None
    unit: str
    window: str
    mask: str
    reduction: str
    better: Better
    description: str
    note: str = ""
    interval: Interval | None = None
    at: tuple[tuple[str, float], ...] = ()

    @property
    def text(self) -> str:
        """The value for people, without its unit."""
        return number_text(self.value, self.unit)

    @property
    def interval_text(self) -> str:
        """The interval for people, without its unit: "0.91 to 1.02"; empty where there is none."""
        if self.interval is None:
            return ""
        ends = (self.interval.low, self.interval.high)
        return " to ".join(number_text(end, self.unit) for end in ends)

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON; a value that is not finite becomes null, and the note says so."""
        return {
            "key": self.key,
            "title": self.title,
            "value": _finite(self.value),
            "unit": self.unit,
            "window": self.window,
            "mask": self.mask,
            "reduction": self.reduction,
            "better": self.better,
            "description": self.description,
            "note": self.note or _infinite_note(self.value),
            "interval": None if self.interval is None else self.interval.as_json(),
            "at": dict(self.at),
        }

    def as_row(self) -> dict[str, JsonValue]:
        """The same in one row of a table, for CSV."""
        row = self.as_json()
        interval = row.pop("interval")
        del row["at"]  # the key says it, too
        ends = interval if isinstance(interval, dict) else {}
        return {
            **row,
            "interval_low": ends.get("low"),
            "interval_high": ends.get("high"),
            "interval_level": ends.get("level"),
            "interval_method": ends.get("method", ""),
        }


@dataclass(frozen=True, slots=True)
class SliceTable:
    """Figures of each slice.

    Args:
        positions_mm: Distance of each slice from the first, along the normal.
        columns: Values of each slice by key; None where a slice has no body.
    """

    positions_mm: tuple[float, ...]
    columns: dict[str, tuple[float | None, ...]]

    def worst(self, key: str) -> int | None:
        """The slice with the highest value of a column; None if no slice has one."""
        found = [(value, i) for i, value in enumerate(self.columns[key]) if value is not None]
        return max(found)[1] if found else None

    def rows(self) -> Iterator[dict[str, JsonValue]]:
        """One mapping per slice, numbered from 1; values that are not finite are None."""
        for index, position in enumerate(self.positions_mm):
            row: dict[str, JsonValue] = {"slice": index + 1, "position_mm": round(position, 3)}
            for key, column in self.columns.items():
                row[key] = _finite(column[index])
            yield row


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often each difference occurs.

    Args:
        edges: Edges of the bins, HU, float64 [bin + 1]. The first and last bin take what is beyond.
        counts: Voxels in each bin, float64 [bin].
    """

    edges: DoubleArray
    counts: DoubleArray


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How one test volume compares with its reference.

    Args:
        metrics: The numbers, the primary ones first.
        slices: Some of them slice by slice.
        differences: Test minus reference inside the body.
        body: Sums over the body of each slice.
        tissues: Sums over each tissue of each slice, by its name.
    """

    metrics: tuple[Metric, ...]
    slices: SliceTable
    differences: Histogram
    body: tuple[DifferenceSums, ...] = ()
    tissues: Mapping[str, tuple[DifferenceSums, ...]] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Metric:
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise KeyError(key)

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON without NaN or infinity."""
        return {
            "metrics": [metric.as_json() for metric in self.metrics],
            "slices": list(self.slices.rows()),
        }

    def rows(self) -> Iterator[dict[str, JsonValue]]:
        """One mapping per metric, for CSV."""
        for metric in self.metrics:
            yield metric.as_row()


_DECIMALS = {"HU": 2, "dB": 2, "%": 1, "mm": 2, "ml": 2, "voxels": 0, "discs": 0}


def number_text(value: float | None, unit: str) -> str:
    """A number for people: decimals by unit, a dash for none, the infinity sign.

    Args:
        value: The number.
        unit: Two decimals for HU, dB, mm and ml, one for %, none for counts, four where there is no
            unit.
    """
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    text = f"{value:.{_DECIMALS.get(unit, 4)}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text.lstrip("-")


def unit_of(key: str) -> str:
    """The unit of a column of the slice table, by its key."""
    if key.startswith(("ssim", "vif")):
        return ""
    return "dB" if key.startswith("psnr") else "mm" if key == "position_mm" else "HU"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _infinite_note(value: float | None) -> str:
    return "infinite: no difference" if value is not None and math.isinf(value) else ""
