"""The page over several comparisons, whose rows of one group are repeats of one training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctdenoise.core.provenance import JsonValue
from ctdenoise.metrics.repeats import Spread, Variant
from ctdenoise.report.charts import Chart, Theme, legend, series_style, write_chart
from ctdenoise.report.rendering import rendered
from ctdenoise.report.requirements import require_report_extra

PAGE_FILE = "index.html"

_SIZE = (5.4, 3.6)
_TALLEST = 3
"""The highest RMSE of a chart over the lowest: what a network begins with may be far above."""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the tables.

    Args:
        key: Of the figure.
        title: Head of its column, with the unit.
        decimals: How many are shown.
        with_difference: Whether the difference from the first variant stands beside it.
    """

    key: str
    title: str
    decimals: int
    with_difference: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """Variants that were judged on the same images.

    Args:
        title: What is compared.
        condition: On what, such as "25 % dose against the exact truth".
        truth: What images are compared with: "scan" or "exact".
        dose_fraction: Their dose.
        variants: In their order; the others are compared with the first.
        baseline: Figures of the low dose itself, by key.
    """

    title: str
    condition: str
    truth: str
    dose_fraction: float
    variants: tuple[Variant, ...]
    baseline: dict[str, float]


@dataclass(frozen=True, slots=True)
class Table:
    """A table, every cell a text.

    Args:
        heads: Of its columns.
        rows: The low dose and every variant.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table_of(ablation: Ablation, columns: Sequence[Column]) -> Table:
    """Mean and standard deviation of every figure that some row has.

    Args:
        ablation: What was found.
        columns: What is shown, where it is known.
    """
    shown = [column for column in columns if _is_known(column, ablation)]
    heads = ["variant", "repeats", "parameters"]
    for column in shown:
        heads += [column.title, "less the first"] if column.with_difference else [column.title]
    rows = [("low dose", "", "", *_baseline_cells(ablation, shown))]
    first = ablation.variants[0]
    for variant in ablation.variants:
        cells = [variant.name, str(len(variant.repeats))]
        cells.append("" if variant.parameters is None else f"{variant.parameters:,}")
        for column in shown:
            cells.append(spread_text(variant.spread(column.key), column.decimals))
            if column.with_difference:
                difference = None if variant is first else variant.difference(column.key, first)
                cells.append(spread_text(difference, column.decimals, sign="+"))
        rows.append(tuple(cells))
    return Table(tuple(heads), tuple(rows))


def spread_text(spread: Spread | None, decimals: int, *, sign: str = "") -> str:
    """Mean and standard deviation for people; nothing where there is none.

    Args:
        spread: What to show.
        decimals: How many.
        sign: "+" for a sign before positive values, too.
    """
    if spread is None:
        return ""
    mean = f"{spread.mean:{sign}.{decimals}f}"
    if spread.deviation is None:
        return mean
    return f"{mean} \N{PLUS-MINUS SIGN} {spread.deviation:.{decimals}f}"


def write_repeats_page(
    folder: Path,
    ablations: Sequence[Ablation],
    columns: Sequence[Column],
    *,
    title: str,
    versions: dict[str, JsonValue],
    made: str,
) -> Path:
    """Write `index.html`, and the courses of the trainings as PNG files beside it.

    Args:
        folder: An existing folder, usually a staged one.
        ablations: In their order.
        columns: What the tables show.
        title: Heading of the page.
        versions: Of the program and its libraries.
        made: When, ISO 8601.

    Raises:
        MissingExtraError: If jinja2 or matplotlib is not installed.
    """
    require_report_extra()
    parts = [
        (ablation, table_of(ablation, columns), _course(folder, number, ablation))
        for number, ablation in enumerate(ablations, start=1)
    ]
    path = folder / PAGE_FILE
    path.write_text(
        rendered("repeats.html", title=title, parts=parts, versions=versions, made=made),
        encoding="utf-8",
    )
    return path


def _is_known(column: Column, ablation: Ablation) -> bool:
    repeats = [one for variant in ablation.variants for one in variant.repeats]
    return any(column.key in figures for figures in repeats)


def _baseline_cells(ablation: Ablation, columns: Sequence[Column]) -> list[str]:
    cells = []
    for column in columns:
        value = ablation.baseline.get(column.key)
        cells.append("" if value is None else f"{value:.{column.decimals}f}")
        if column.with_difference:
            cells.append("")
    return cells


def _course(folder: Path, number: int, ablation: Ablation) -> Chart | None:
    """Validation RMSE against steps, a mean over the repeats; None where no course is known."""
    if not any(variant.curve for variant in ablation.variants):
        return None
    text = (
        "Course of the trainings",
        f"Mean over the repeats, on held-out patients; cut at {_TALLEST} times the least.",
    )
    return write_chart(
        folder,
        f"course_{number:02d}",
        text,
        lambda axes, theme: _draw(axes, theme, ablation),
        size=_SIZE,
    )


def _draw(axes: Any, theme: Theme, ablation: Ablation) -> None:
    for place, variant in enumerate(ablation.variants):
        if variant.curve:
            colour, line, _ = series_style(theme, place)
            steps, rmse = zip(*variant.curve, strict=True)
            axes.plot(steps, rmse, color=colour, linestyle=line, label=variant.name)
    lowest = min(rmse for variant in ablation.variants for _, rmse in variant.curve)
    axes.set_xlim(left=0)
    axes.set_ylim(*cut(axes.get_ylim(), lowest))
    axes.set_xlabel("step")
    axes.set_ylabel("validation RMSE (HU)")
    legend(axes, 2)


def cut(limits: tuple[float, float], lowest: float) -> tuple[float, float]:
    """Limits of the axis of the RMSE, without what is far above the lowest and what is below 0.

    Args:
        limits: That hold all values.
        lowest: The lowest value.
    """
    return max(0.0, limits[0]), min(limits[1], _TALLEST * lowest)
