"""What a study of image quality found: numbers, curves and tables, ready to be shown or stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError
from ctdenoise.metrics.table import Better, Metric


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis of a curve or a table shows.

    Args:
        name: For people: "Spatial frequency".
        unit: "1/mm", "HU"; empty for none.
    """

    name: str
    unit: str = ""

    @property
    def text(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One line of a chart.

    Args:
        key: Which chart it belongs to; the curves of a chart share it: "nps[water]".
        name: In the legend: "input", "output", "FBP".
        x: Places, float64 [point].
        y: Values, float64 [point]; NaN where there is none.
        x_axis: What x is.
        y_axis: What y is.
        low: Lower end of the 95 % band, float64 [point]; None without one.
        high: Its upper end.
        note: How it was found, in a few words.

    Raises:
        InputError: If the arrays differ in length.
    """

    key: str
    name: str
    x: DoubleArray
    y: DoubleArray
    x_axis: Axis
    y_axis: Axis
    low: DoubleArray | None = None
    high: DoubleArray | None = None
    note: str = ""

    def __post_init__(self) -> None:
        arrays = [self.x, self.y, *(band for band in (self.low, self.high) if band is not None)]
        if any(one.shape != (self.x.size,) for one in arrays):
            raise InputError(f"The arrays of the curve {self.key} {self.name} differ in length.")
        if (self.low is None) != (self.high is None):
            raise InputError(f"The band of the curve {self.key} {self.name} has one end only.")

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON; what is no number becomes null."""
        return {
            "key": self.key,
            "name": self.name,
            "x_axis": self.x_axis.text,
            "y_axis": self.y_axis.text,
            "x": _numbers(self.x),
            "y": _numbers(self.y),
            "low": None if self.low is None else _numbers(self.low),
            "high": None if self.high is None else _numbers(self.high),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """A table of numbers that is shown in colours.

    Args:
        key: Short name: "contrast_recovery".
        title: For people.
        rows: What the rows are.
        row_names: A text for each row: "15 HU".
        columns: What the columns are.
        column_names: A text for each column: "7 mm".
        values: float64 [row, column]; NaN where there is none.
        unit: Of the values; empty for none.
        better: Which of two values is the better one.
        ideal: The value of a perfect result; None where nothing is ideal.
        low: Lower ends of the 95 % intervals, float64 [row, column]; None without.
        high: Upper ends.
        note: How it was found, in a few words.

    Raises:
        InputError: If the arrays do not fit the names.
    """

    key: str
    title: str
    rows: Axis
    row_names: tuple[str, ...]
    columns: Axis
    column_names: tuple[str, ...]
    values: DoubleArray
    unit: str = ""
    better: Better = "neither"
    ideal: float | None = None
    low: DoubleArray | None = None
    high: DoubleArray | None = None
    note: str = ""

    def __post_init__(self) -> None:
        wanted = (len(self.row_names), len(self.column_names))
        arrays = [self.values, *(band for band in (self.low, self.high) if band is not None)]
        if any(one.shape != wanted for one in arrays):
            raise InputError(f"The table {self.key} does not fit its {wanted} rows and columns.")

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON; what is no number becomes null."""
        return {
            "key": self.key,
            "title": self.title,
            "rows": self.rows.text,
            "row_names": list(self.row_names),
            "columns": self.columns.text,
            "column_names": list(self.column_names),
            "unit": self.unit,
            "ideal": self.ideal,
            "values": [_numbers(row) for row in self.values],
            "low": None if self.low is None else [_numbers(row) for row in self.low],
            "high": None if self.high is None else [_numbers(row) for row in self.high],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a study found; those of several studies can be added.

    Args:
        metrics: Numbers with their conventions.
        curves: Lines of charts.
        heat_maps: Tables that are shown in colours.
        conditions: How it was measured, in plain JSON by the name of the study: phantom, doses,
            repeats, seeds.
    """

    metrics: tuple[Metric, ...] = ()
    curves: tuple[Curve, ...] = ()
    heat_maps: tuple[HeatMap, ...] = ()
    conditions: tuple[tuple[str, JsonValue], ...] = ()

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.metrics + other.metrics,
            self.curves + other.curves,
            self.heat_maps + other.heat_maps,
            self.conditions + other.conditions,
        )

    def __getitem__(self, key: str) -> Metric:
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise KeyError(key)

    def chart(self, key: str) -> tuple[Curve, ...]:
        """The curves of a chart, in their order."""
        return tuple(curve for curve in self.curves if curve.key == key)

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON without NaN or infinity."""
        return {
            "metrics": [metric.as_json() for metric in self.metrics],
            "curves": [curve.as_json() for curve in self.curves],
            "heat_maps": [table.as_json() for table in self.heat_maps],
            "conditions": dict(self.conditions),
        }


def _numbers(values: DoubleArray) -> list[JsonValue]:
    return [float(value) if np.isfinite(value) else None for value in values]
