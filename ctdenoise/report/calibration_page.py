"""The calibration page: what was found in a scan, on what evidence, and its twins."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.provenance import JsonValue
from ctdenoise.report.charts import Chart, Theme, from_zero, legend, series_style, write_chart
from ctdenoise.report.rendering import rendered
from ctdenoise.report.requirements import require_report_extra

CALIBRATION_FILE = "calibration.html"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A line of a chart.

    Args:
        name: In the legend.
        x: Abscissae.
        y: Ordinates, as many.
    """

    name: str
    x: DoubleArray
    y: DoubleArray


@dataclass(frozen=True, slots=True, eq=False)
class CurveChart:
    """A chart of some curves.

    Args:
        name: Of its file.
        title: Above it.
        caption: Below it.
        x_label: Quantity and unit along x.
        y_label: Quantity and unit along y.
        curves: At least one.
        reference: Height of a thin horizontal line; None for none.
    """

    name: str
    title: str
    caption: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    reference: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PageTable:
    """A table of the page, every cell a text.

    Args:
        title: Above it.
        headings: Of its columns.
        rows: Its cells, by row.
        note: Below it.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationContent:
    """Everything that the page shows; no word of it names a patient.

    Args:
        facts: What the header says, name and value.
        cards: What was found: label, value, unit.
        notes: What a reader should know about it.
        preview: A PNG file with pictures of the twins.
        charts: Curves.
        tables: Numbers.
        settings_text: The settings as YAML.
        command: The command that makes the page again, without names of files.
        versions: Versions of the program and its libraries.
        made: When, ISO 8601.
    """

    facts: tuple[tuple[str, str], ...]
    cards: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    preview: Path
    charts: tuple[CurveChart, ...]
    tables: tuple[PageTable, ...]
    settings_text: str
    command: str
    versions: dict[str, JsonValue]
    made: str


def write_calibration_page(folder: Path, content: CalibrationContent) -> Path:
    """Write `calibration.html` with its pictures inside, and its charts as PNG files beside it.

    Args:
        folder: An existing folder, usually a staged one.
        content: What the page shows.

    Raises:
        MissingExtraError: If jinja2 or matplotlib is not installed.
    """
    require_report_extra()
    png = base64.b64encode(content.preview.read_bytes()).decode("ascii")
    text = rendered(
        "calibration.html",
        content=content,
        preview=f"data:image/png;base64,{png}",
        charts=[_chart(folder, chart) for chart in content.charts],
    )
    path = folder / CALIBRATION_FILE
    path.write_text(text, encoding="utf-8")
    return path


def _chart(folder: Path, chart: CurveChart) -> Chart:
    return write_chart(
        folder, chart.name, (chart.title, chart.caption), lambda axes, t: _draw(axes, t, chart)
    )


def _draw(axes: Any, theme: Theme, chart: CurveChart) -> None:
    for index, curve in enumerate(chart.curves):
        colour, line, _ = series_style(theme, index)
        axes.plot(curve.x, curve.y, color=colour, linestyle=line, label=curve.name)
    if chart.reference is not None:
        axes.axhline(chart.reference, color=theme.ink, linewidth=0.6)
    axes.set_xlim(left=0)
    from_zero(axes)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    legend(axes, _columns(chart.curves))


def _columns(curves: Sequence[Curve]) -> int:
    """Long names stand below each other."""
    return 1 if sum(len(curve.name) for curve in curves) > 40 else len(curves)
