"""The tables of a comparison: which figures, in which order, and which is clearly the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctdenoise.config.comparison import CompareSettings
from ctdenoise.metrics.comparison import Figure, Figures, clear_best
from ctdenoise.metrics.contrasts import Contrast
from ctdenoise.metrics.slice_figures import psnr_key, ssim_key
from ctdenoise.metrics.table import Metric, number_text
from ctdenoise.report.compared import Comparison, Condition, Contender


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of the table.

    Args:
        key: Of the metric.
        title: Heading.
        unit: Below it.
    """

    key: str
    title: str
    unit: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in the table.

    Args:
        text: The number.
        error: Its standard error; empty where unknown.
        best: Whether it is better than all others of its group by more than the error.
        worse: Whether doing nothing is better.
        note: Why there is no number.
        interval: Its interval over patients; empty with fewer than two.
    """

    text: str
    error: str = ""
    best: bool = False
    worse: bool = False
    note: str = ""
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table.

    Args:
        number: Its place, by which charts name it.
        row: What it is.
        cells: One for each column.
    """

    number: int
    row: Contender
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A condition as a table.

    Args:
        title: Heading.
        words: What the number of patients allows to say.
        reference: Noise of the full dose, in words; empty for an exact truth.
        columns: The figures.
        low: The low dose itself.
        groups: Names and rows; one group without a name where none was given.
        differences: How far methods differ patient by patient; empty for one patient.
        remark: What the tests of them can show.
    """

    title: str
    words: str
    reference: str
    columns: tuple[Column, ...]
    low: Line
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    differences: tuple[Difference, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a method differs from another, in words.

    Args:
        figure: Title and unit of the figure.
        methods: "unet less redcnn".
        difference: Mean over the patients.
        interval: Of that mean; empty where unknown.
        p_value: Of the test alone, then corrected for all tests; dashes where there was none.
        verdict: Which is better, or that nothing is shown.
    """

    figure: str
    methods: str
    difference: str
    interval: str
    p_value: tuple[str, str]
    verdict: str


def columns_of(condition: Condition, settings: CompareSettings) -> tuple[Column, ...]:
    """The figures that the page shows; the files hold more.

    Args:
        condition: Where to look for them.
        settings: The first window counts.
    """
    window = settings.windows[0]
    wanted = (
        Column("rmse", "RMSE", "HU"),
        Column("rmse_soft", "RMSE soft tissue", "HU"),
        Column(psnr_key(window), f"PSNR {window.label}", "dB"),
        Column(ssim_key(window), f"SSIM {window.label}", ""),
        Column("bias_lung", "Bias lung", "HU"),
        Column("bias_fat", "Bias fat", "HU"),
        Column("bias_soft", "Bias soft tissue", "HU"),
        Column("bias_bone", "Bias bone", "HU"),
        Column("noise_test", "Noise", "HU"),
        Column("nps_fav_change", "NPS mean frequency", "% shift"),
        Column("nps_fpeak_change", "NPS peak", "% shift"),
    )
    present = {key for figures in condition.figures for key in figures}
    return tuple(column for column in wanted if column.key in present)


def table_of(comparison: Comparison, condition: Condition, settings: CompareSettings) -> Table:
    """One condition as a table.

    Args:
        comparison: Gives the rows.
        condition: Gives the figures.
        settings: Which window.
    """
    columns = columns_of(condition, settings)
    low, *rows = comparison.contenders
    groups = []
    for group in dict.fromkeys(row.group for row in rows):
        places = [n for n, row in enumerate(comparison.contenders) if n and row.group == group]
        best = {
            column.key: clear_best([condition.figures[n].get(column.key) for n in places])
            for column in columns
        }
        lines = tuple(
            Line(
                place,
                comparison.contenders[place],
                tuple(
                    _cell(condition.figures, place, column.key, best[column.key] == rank)
                    for column in columns
                ),
            )
            for rank, place in enumerate(places)
        )
        groups.append((group, lines))
    first = Line(0, low, tuple(_cell(condition.figures, 0, c.key, best=False) for c in columns))
    return Table(
        condition.title,
        condition.words,
        _reference_words(condition),
        columns,
        first,
        tuple(groups),
        tuple(_difference(one, comparison.names) for one in condition.contrasts),
        next((one.note for one in condition.contrasts if one.note), ""),
    )


def _difference(contrast: Contrast, names: Sequence[str]) -> Difference:
    metric, interval = contrast.metric, contrast.interval
    ends = () if interval is None else (interval.low, interval.high)
    return Difference(
        f"{metric.title}, {metric.unit}" if metric.unit else metric.title,
        f"{names[contrast.one]} \N{MINUS SIGN} {names[contrast.other]}",
        number_text(contrast.difference, metric.unit),
        " to ".join(number_text(end, metric.unit) for end in ends),
        (_p_text(contrast.p_value), _p_text(contrast.p_holm)),
        "not shown" if contrast.better is None else f"{names[contrast.better]} is better",
    )


def _p_text(p_value: float | None) -> str:
    if p_value is None:
        return number_text(None, "")
    return f"{p_value:.2g}" if p_value >= 1e-4 else "< 0.0001"


def _cell(figures: Sequence[Figures], place: int, key: str, best: bool) -> Cell:
    figure = figures[place].get(key)
    if figure is None:
        return Cell(number_text(None, ""), note="not present")
    metric, error = figure.metric, figure.standard_error
    return Cell(
        metric.text,
        "" if error is None or metric.value is None else number_text(error, metric.unit),
        best,
        place > 0 and _is_worse(figure, figures[0].get(key)),
        metric.note,
        metric.interval_text,
    )


def _is_worse(figure: Figure, low: Figure | None) -> bool:
    """Whether a method falls behind doing nothing in what it is there for."""
    if low is None or figure.metric.value is None or low.metric.value is None:
        return False
    if figure.metric.better == "lower":
        return figure.metric.value > low.metric.value
    return figure.metric.better == "higher" and figure.metric.value < low.metric.value


def _reference_words(condition: Condition) -> str:
    if condition.truth == "exact":
        return "The truth is exact: an RMSE of 0 can be reached."
    noise = condition.figures[0].get("noise_reference")
    if noise is None or noise.metric.value is None:
        return ""
    return (
        f"The full-dose scan itself holds noise of {noise.metric.text} HU: what is without any "
        "noise still differs from it by about that much."
    )


def conventions_of(comparison: Comparison) -> tuple[Metric, ...]:
    """Every metric of the comparison once, for the table of how they are computed."""
    found: dict[str, Metric] = {}
    for condition in comparison.conditions:
        for figures in condition.figures:
            for key, figure in figures.items():
                found.setdefault(key, figure.metric)
    return tuple(found.values())


def interval_methods(comparison: Comparison) -> tuple[str, ...]:
    """How the intervals over patients were found, each way once."""
    every = (
        figure.metric.interval
        for condition in comparison.conditions
        for figures in condition.figures
        for figure in figures.values()
    )
    return tuple(dict.fromkeys(one.method for one in every if one is not None))
