"""The page by which a denoiser is judged: one file that works offline and prints on two pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.judgement import JudgeSettings
from ctdenoise.config.load import settings_text
from ctdenoise.core.provenance import JsonValue
from ctdenoise.inference.check_finding import CheckFinding
from ctdenoise.metrics.limits import Verdict
from ctdenoise.metrics.measured import Measured
from ctdenoise.report.charts import Chart
from ctdenoise.report.dose_words import dose_sentences
from ctdenoise.report.judgement_charts import drawn_charts
from ctdenoise.report.judgement_layout import laid_out
from ctdenoise.report.judgement_pictures import shown_scan
from ctdenoise.report.judgement_tables import figure_rows, hu_rows, organ_rows, pair_rows
from ctdenoise.report.judgement_view import ScanView
from ctdenoise.report.judgement_words import headline, limit_rows
from ctdenoise.report.page import PAGE_FILE, PICTURES_FOLDER
from ctdenoise.report.rendering import rendered
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.report.response_words import words_about_response

Facts = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""Headings, each with names and values."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgementPage:
    """Everything the page shows.

    Args:
        name: What the denoiser is called; names no patient.
        facts: What was judged on what, in words that name no patient.
        flags: Where the scan lies outside of what a network was trained on.
        range_known: Whether it is known what the network was trained on.
        measured: Every figure, curve and table.
        verdicts: Figures against their limits.
        view: Pictures of the scan; None where there was none.
        absent: What was not measured, and how to get it.
        settings: How it was measured.
        command: The command that makes the page again, without names of files.
        versions: Versions of the program and its libraries.
        made: When, ISO 8601.
        missing: What was asked for and could not be measured; it is among `absent`, too.
    """

    name: str
    facts: Facts
    flags: tuple[CheckFinding, ...]
    range_known: bool
    measured: Measured
    verdicts: tuple[Verdict, ...]
    view: ScanView | None
    absent: tuple[str, ...]
    settings: JudgeSettings
    command: str
    versions: dict[str, JsonValue]
    made: str
    missing: tuple[str, ...] = ()

    @property
    def crop_mm(self) -> str:
        """Side of the enlarged places, for people."""
        return f"{self.settings.page.crop_mm:g}"


@dataclass(frozen=True, slots=True)
class _Charts:
    """Charts as they stand on the page."""

    of_scan: list[Chart]
    main: list[Chart]
    further: list[Chart]
    left_out: int


_DOTS_OF_FURTHER = 110


def write_judgement(folder: Path, page: JudgementPage) -> Path:
    """Write `index.html` with its pictures inside, and the pictures once more as PNG files.

    Args:
        folder: An existing folder, usually a staged one.
        page: What the page shows.

    Returns:
        The page.

    Raises:
        MissingExtraError: If jinja2 or matplotlib is not installed.
    """
    require_report_extra()
    pictures = folder / PICTURES_FOLDER
    pictures.mkdir()
    metrics = page.measured.metrics
    text = rendered(
        "judgement.html",
        page=page,
        headline=headline(page.measured, page.verdicts, page.missing),
        limits=limit_rows(page.verdicts),
        scan=None if page.view is None else shown_scan(pictures, page.view, page.settings.page),
        charts=_charts(pictures, page.measured),
        pairs=pair_rows(metrics),
        hu=hu_rows(metrics, page.verdicts),
        organs=organ_rows(metrics),
        figures=figure_rows(metrics, page.verdicts),
        sentences=[*words_about_response(page.verdicts), *dose_sentences(metrics)],
        conventions=metrics,
        methods=_interval_methods(page.measured),
        conditions=_conditions(page.measured),
        settings_text=settings_text(page.settings),
    )
    path = folder / PAGE_FILE
    path.write_text(text, encoding="utf-8")
    return path


def _charts(folder: Path, measured: Measured) -> _Charts:
    layout = laid_out(measured)
    return _Charts(
        drawn_charts(folder, layout.of_scan),
        drawn_charts(folder, layout.main),
        drawn_charts(folder, layout.further, dots=_DOTS_OF_FURTHER),
        layout.left_out,
    )


def _interval_methods(measured: Measured) -> list[str]:
    """How intervals were found, each way once: those that differ in numbers alone are one."""
    methods = (metric.interval.method for metric in measured.metrics if metric.interval)
    return list({re.sub(r"[\d.,]+", "", method): method for method in methods}.values())


def _conditions(measured: Measured) -> list[tuple[str, str]]:
    """How each study was made, as a line of words; its settings stand in their file."""
    lines = []
    for name, value in measured.conditions:
        given = value
        if isinstance(value, dict):
            given = {key: one for key, one in value.items() if key != "settings"}
        lines.append((name, _words(given)))
    return lines


def _words(value: JsonValue) -> str:
    if isinstance(value, dict):
        parts = (f"{key.replace('_', ' ')} {_words(one)}" for key, one in value.items())
        return "; ".join(parts)
    if isinstance(value, list | tuple):
        return ", ".join(_words(one) for one in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
