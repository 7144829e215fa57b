"""The page that compares several denoisers which were judged alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctdenoise.metrics.limits import Outcome, Verdict
from ctdenoise.metrics.measured import Curve, HeatMap, Measured
from ctdenoise.metrics.table import Metric, number_text
from ctdenoise.report.charts import Chart
from ctdenoise.report.judgement import JudgementPage
from ctdenoise.report.judgement_charts import curve_chart, heat_map_chart
from ctdenoise.report.judgement_layout import laid_out
from ctdenoise.report.judgement_pictures import ShownPicture, enlarged
from ctdenoise.report.judgement_words import (
    Headline,
    groups_of_limits,
    headline,
    interval_short,
    metric_short,
)
from ctdenoise.report.page import PAGE_FILE, PICTURES_FOLDER
from ctdenoise.report.rendering import rendered
from ctdenoise.report.requirements import require_report_extra

_SHOWN = (
    "noise[scan, output]",
    "noise_change[scan]",
    "rmse[output]",
    "rmse_change",
    "psnr",
    "ssim",
    "fav_shift[scan]",
    "drift[soft]",
    "drift[fat]",
    "drift[lung]",
    "drift[bone]",
    "false_structure",
)
"""Figures of the table, by the beginning of their keys."""


@dataclass(frozen=True, slots=True)
class ComparedCell:
    """A figure of one denoiser.

    Args:
        text: With its unit; a dash for none.
        interval: Empty without one.
        best: Whether it is better than all others by more than the intervals.
        outcome: Against its limit; None without one.
        where: Where it was measured, for the worst of several.
    """

    text: str
    interval: str = ""
    best: bool = False
    outcome: Outcome | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One figure of all denoisers."""

    title: str
    cells: tuple[ComparedCell, ...]


@dataclass(frozen=True, slots=True)
class _Contender:
    """A denoiser in the list at the top."""

    name: str
    address: str
    verdict: Headline


def write_judgement_comparison(folder: Path, pages: Sequence[tuple[str, JudgementPage]]) -> Path:
    """Write `index.html`, which compares judgements and leads to their pages.

    Args:
        folder: An existing folder, usually a staged one.
        pages: Folder of the page of each denoiser below this one, and the page.

    Returns:
        The page.

    Raises:
        MissingExtraError: If jinja2 or matplotlib is not installed.
    """
    require_report_extra()
    pictures = folder / PICTURES_FOLDER
    pictures.mkdir()
    every = [page for _, page in pages]
    charts = _curve_charts(pictures, every)
    text = rendered(
        "judgement_comparison.html",
        names=[page.name for page in every],
        facts=every[0].facts[1:],
        contenders=[
            _Contender(
                page.name,
                f"{place}/{PAGE_FILE}",
                headline(page.measured, page.verdicts, page.missing),
            )
            for place, page in pages
        ],
        rows=list(compared_rows(every)),
        pictures=_pictures(pictures, every),
        charts=charts,
        tables=_tables(pictures, every),
        page=every[0],
    )
    path = folder / PAGE_FILE
    path.write_text(text, encoding="utf-8")
    return path


def compared_rows(pages: Sequence[JudgementPage]) -> Iterator[ComparedRow]:
    """The table: figures of all, then the worst figure of each by every limit.

    Args:
        pages: Of the denoisers, in the order of the columns.
    """
    found = [{metric.key: metric for metric in page.measured.metrics} for page in pages]
    judged = [{one.metric.key: one.outcome for one in page.verdicts} for page in pages]
    every = {key: metric for metrics in reversed(found) for key, metric in metrics.items()}
    shown = [key for start in _SHOWN for key in every if _is_shown(key, start)]
    for key in shown:
        row = _row(every[key].title.removesuffix(", output"), [one.get(key) for one in found])
        outcomes = [one.get(key) for one in judged]
        cells = (replace(c, outcome=o) for c, o in zip(row.cells, outcomes, strict=True))
        yield replace(row, cells=tuple(cells))
    yield from _limit_rows(pages, set(shown))


def _is_shown(key: str, start: str) -> bool:
    if start in {"psnr", "ssim"}:
        return key.startswith(start) and key.endswith("[output]")
    return key == start


def _row(title: str, metrics: Sequence[Metric | None]) -> ComparedRow:
    best = best_of(metrics)
    cells = tuple(
        ComparedCell(number_text(None, ""))
        if metric is None
        else replace(_cell(metric), best=place == best)
        for place, metric in enumerate(metrics)
    )
    return ComparedRow(title, cells)


def _cell(metric: Metric) -> ComparedCell:
    text = f"{metric.text} {metric.unit}".rstrip() if metric.value is not None else metric.text
    return ComparedCell(text, metric.interval_text)


def best_of(metrics: Sequence[Metric | None]) -> int | None:
    """Which figure is better than every other by more than both their intervals; None if none is.

    Args:
        metrics: The same figure of several denoisers; None where one lacks it.
    """
    known = [(place, one) for place, one in enumerate(metrics) if one is not None]
    ends = [(place, _badness(one)) for place, one in known]
    ranges = [(place, found) for place, found in ends if found is not None]
    if len(ranges) < 2 or len(ranges) < len(known):
        return None
    ranges.sort(key=lambda one: one[1])
    first, second = ranges[0], min(low for _, (low, _) in ranges[1:])
    return first[0] if first[1][1] < second else None


def _badness(metric: Metric) -> tuple[float, float] | None:
    """The interval of a figure so that less is better; None where nothing is known of it."""
    if metric.interval is None or metric.value is None or metric.better == "neither":
        return None
    low, high = metric.interval.low, metric.interval.high
    if metric.better == "higher":
        return -high, -low
    if metric.better == "near zero":
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return nearest, max(abs(low), abs(high))
    return low, high


def _limit_rows(pages: Sequence[JudgementPage], shown: Collection[str]) -> Iterator[ComparedRow]:
    """For each limit the figure of each denoiser that comes off worst, if it is not shown yet."""
    groups = [groups_of_limits(page.verdicts) for page in pages]
    titles = dict.fromkeys(title for group in groups for title in group)
    for title in titles:
        worst = [group[title][0].metric.key for group in groups if title in group]
        if all(key in shown for key in worst):
            continue
        cells = []
        for group in groups:
            found = group.get(title)
            cells.append(ComparedCell(number_text(None, "")) if found is None else _worst(*found))
        yield ComparedRow(title, tuple(cells))


def _worst(verdict: Verdict, outcome: Outcome, where: str) -> ComparedCell:
    metric = verdict.metric
    return ComparedCell(metric_short(metric), interval_short(metric), outcome=outcome, where=where)


def _curve_charts(folder: Path, pages: Sequence[JudgementPage]) -> list[Chart]:
    """The most telling charts: the input once, and the output of every denoiser."""
    layout = laid_out(sum((page.measured for page in pages), Measured()))
    keys = [chart.key for chart in (*layout.of_scan, *layout.main) if chart.curves]
    charts = []
    for key in keys:
        curves = list(_curves(key, pages))
        if len(curves) > 1:
            charts.append(curve_chart(folder, key, curves))
    return charts


def _curves(key: str, pages: Sequence[JudgementPage]) -> Iterator[Curve]:
    shared: set[str] = set()
    for page in pages:
        for curve in page.measured.chart(key):
            if "output" in curve.name:
                yield replace(curve, name=curve.name.replace("output", page.name))
            elif "input" in curve.name or _same_in_all(curve, key, pages):
                if curve.name not in shared:
                    yield curve
                shared.add(curve.name)
            else:
                own = [one for one in page.measured.chart(key) if not _same_in_all(one, key, pages)]
                name = page.name if len(own) == 1 else f"{page.name}: {curve.name}"
                yield replace(curve, name=name)


def _same_in_all(curve: Curve, key: str, pages: Sequence[JudgementPage]) -> bool:
    """Whether a curve does not depend on the denoiser, such as that of filtered back-projection."""
    twins = [
        other for page in pages for other in page.measured.chart(key) if other.name == curve.name
    ]
    return len(twins) == len(pages) and all(np.array_equal(one.y, curve.y) for one in twins)


def _tables(folder: Path, pages: Sequence[JudgementPage]) -> list[Chart]:
    """Tables in colours, side by side, those of one key on one scale."""
    charts = []
    layout = laid_out(sum((page.measured for page in pages), Measured()))
    for key in dict.fromkeys(chart.key for chart in layout.main if chart.table is not None):
        tables = [(page.name, _table(page.measured, key)) for page in pages]
        known = [(name, table) for name, table in tables if table is not None]
        reach = max(_reach(table) for _, table in known)
        for name, table in known:
            titled = replace(table, title=f"{table.title}: {name}", key=f"{key} {name}")
            charts.append(heat_map_chart(folder, titled, reach=reach))
    return charts


def _table(measured: Measured, key: str) -> HeatMap | None:
    return next((table for table in measured.heat_maps if table.key == key), None)


def _reach(table: HeatMap) -> float:
    known = table.values[np.isfinite(table.values)]
    if table.ideal is None or not known.size:
        return 0.1
    return float(np.abs(known - table.ideal).max())


def _pictures(folder: Path, pages: Sequence[JudgementPage]) -> list[ShownPicture]:
    """The middle of a slice, enlarged: input, every output, and the truth."""
    views = [(page.name, page.view) for page in pages if page.view is not None]
    if not views:
        return []
    return list(enlarged(folder, views, pages[0].settings.page.compare_mm))
