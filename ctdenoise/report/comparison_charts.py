"""Charts of a comparison: figures against dose, courses of the trainings, cost against quality."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ctdenoise.config.comparison import CompareSettings
from ctdenoise.metrics.noise_texture import Truth
from ctdenoise.metrics.slice_figures import psnr_key
from ctdenoise.report.charts import Chart, Theme, series_style, write_chart
from ctdenoise.report.compared import Comparison, Condition


def comparison_charts(
    folder: Path, comparison: Comparison, settings: CompareSettings
) -> tuple[Chart, ...]:
    """Draw the charts that the comparison has figures for.

    Args:
        folder: Where the PNG files go.
        comparison: What was found.
        settings: The first window counts.
    """
    charts = [
        *_against_dose(folder, comparison, settings),
        *_courses(folder, comparison),
        *_costs(folder, comparison),
    ]
    return tuple(charts)


def _against_dose(folder: Path, comparison: Comparison, settings: CompareSettings) -> list[Chart]:
    charts = []
    window = settings.windows[0]
    for truth in dict.fromkeys(condition.truth for condition in comparison.conditions):
        some = [condition for condition in comparison.conditions if condition.truth == truth]
        if len(some) < 2:
            continue
        for key, title, unit in (
            ("rmse", "RMSE", "HU"),
            (psnr_key(window), f"PSNR {window.label}", "dB"),
        ):
            text = (f"{title} against dose, {_against(truth)}", _NUMBERS)
            name = f"{key.partition('[')[0]}_by_dose_{truth}"
            draw = partial(
                _draw_doses,
                comparison=comparison,
                conditions=some,
                what=(key, f"{title} ({unit})"),
            )
            charts.append(write_chart(folder, name, text, draw, size=_SIZE))
    return charts


def _against(truth: Truth) -> str:
    return "against the full-dose scan" if truth == "scan" else "against the exact truth"


_SIZE = (5.4, 4.0)
_NUMBERS = "Numbers are those of the table; 0 is the low dose itself."


def _draw_doses(
    axes: Any,
    theme: Theme,
    comparison: Comparison,
    conditions: list[Condition],
    what: tuple[str, str],
) -> None:
    key, label = what
    doses = [100 * condition.dose_fraction for condition in conditions]
    lines = [_course(conditions, doses, row, key) for row in range(len(comparison.contenders))]
    values = [value for points in lines for _, value in points]
    low = [value for _, value in lines[0]]
    if not low:
        return
    ends = [(row, max(points)[1]) for row, points in enumerate(lines) if points]
    for row, points in enumerate(lines):
        if points:
            colour, line, marker = series_style(theme, row)
            axes.plot(*zip(*points, strict=True), color=colour, linestyle=line, marker=marker)
    # In decibels what is bad lies below and is no farther away than the others.
    limits = _limits(values, low if key == "rmse" else [])
    for row, place in apart(ends, limits):
        _number(axes, theme, row, (max(doses), place))
    _tell_beyond(axes, theme, ends, limits[1])
    axes.set_ylim(*limits)
    axes.set_xscale("log")
    axes.set_xticks(doses, [f"{dose:g}" for dose in doses])
    axes.minorticks_off()
    axes.set_xlabel("dose (%)")
    axes.set_ylabel(label)


def _course(
    conditions: Sequence[Condition], doses: Sequence[float], row: int, key: str
) -> list[tuple[float, float]]:
    """Dose and value of a row, where it has one."""
    figures = [condition.figures[row].get(key) for condition in conditions]
    return [
        (dose, figure.metric.value)
        for dose, figure in zip(doses, figures, strict=True)
        if figure is not None and figure.metric.value is not None
    ]


def _number(axes: Any, theme: Theme, number: int, point: tuple[float, float]) -> None:
    """The number of a row beside a point."""
    axes.annotate(
        str(number),
        point,
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=theme.ink,
        fontsize=8,
    )


def _tell_beyond(axes: Any, theme: Theme, ends: Sequence[tuple[int, float]], top: float) -> None:
    """What lies above the chart, in words at its top."""
    beyond = [f"{number} ({value:.0f})" for number, value in ends if value > top]
    lines = [", ".join(beyond[place : place + 5]) for place in range(0, len(beyond), 5)]
    if lines:
        text = "higher up: " + ",\n".join(lines)
        axes.text(
            0.5, 0.985, text, transform=axes.transAxes, ha="center", va="top",
            color=theme.ink, fontsize=8,
        )  # fmt: skip


def _courses(folder: Path, comparison: Comparison) -> list[Chart]:
    if not any(row.training.curve for row in comparison.contenders):
        return []
    text = (
        "Courses of the trainings",
        "RMSE on the slices that judged each training, by step; the dashed line is their low dose. "
        + _NUMBERS,
    )
    draw = partial(_draw_courses, comparison=comparison)
    return [write_chart(folder, "courses", text, draw, size=_SIZE)]


def _draw_courses(axes: Any, theme: Theme, comparison: Comparison) -> None:
    trainings = [row.training for row in comparison.contenders]
    baselines = {one.baseline_rmse_hu for one in trainings if one.baseline_rmse_hu is not None}
    limits = _limits([rmse for one in trainings for _, rmse in one.curve], baselines)
    ends: list[tuple[int, float]] = []
    last = 0
    for number, training in enumerate(trainings):
        if not training.curve:
            continue
        colour, line, marker = series_style(theme, number)
        steps, values = zip(*training.curve, strict=True)
        axes.plot(steps, values, color=colour, linestyle=line, marker=marker, markersize=3)
        ends.append((number, values[-1]))
        last = max(last, steps[-1])
    for number, place in apart(ends, limits):
        _number(axes, theme, number, (last, place))
    _tell_beyond(axes, theme, ends, limits[1])
    for value in sorted(baselines):
        axes.axhline(value, color=theme.ink, linewidth=0.8, linestyle="--")
    axes.set_ylim(*limits)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlabel("step")
    axes.set_ylabel("RMSE (HU)")


_LABEL_HEIGHT = 0.036  # of the axis


def apart(
    ends: Sequence[tuple[int, float]], limits: tuple[float, float]
) -> list[tuple[int, float]]:
    """Numbers and heights of labels that can be read, as near to their values as can be.

    Labels that would lie over each other share the stretch around their mean.

    Args:
        ends: Number and value of each.
        limits: Of the axis; what lies above has no label.
    """
    gap = _LABEL_HEIGHT * (limits[1] - limits[0])
    inside = sorted((end for end in ends if end[1] <= limits[1]), key=lambda end: end[1])
    stacks: list[list[tuple[int, float]]] = []
    for end in inside:
        stacks.append([end])
        while len(stacks) > 1 and _foot(stacks[-1], gap) < _foot(stacks[-2], gap) + gap * len(
            stacks[-2]
        ):
            stacks[-2:] = [stacks[-2] + stacks[-1]]
    return [
        (number, _foot(stack, gap) + gap * place)
        for stack in stacks
        for place, (number, _) in enumerate(stack)
    ]


def _foot(stack: Sequence[tuple[int, float]], gap: float) -> float:
    """Height of the lowest label of a stack that is centred on the mean of its values."""
    mean = sum(value for _, value in stack) / len(stack)
    return mean - gap * (len(stack) - 1) / 2


_MOST_OF_LOW_DOSE = 1.25
"""Charts end at so many times the error of the low dose: what is worse is told at their top."""


def _limits(values: Sequence[float], baselines: Collection[float]) -> tuple[float, float]:
    """From the least to the greatest value, or to where nobody needs to compare any more."""
    every = [*values, *baselines]
    top = max(every)
    if baselines:
        top = min(top, _MOST_OF_LOW_DOSE * max(baselines))
    low = min(every)
    margin = 0.06 * max(top - low, 1e-9)
    return low - margin, top + margin


def _costs(folder: Path, comparison: Comparison) -> list[Chart]:
    charts = []
    for place, condition in enumerate(comparison.conditions):
        text = (
            f"Cost against quality, {condition.title}",
            "Operations for a slice of 512 x 512 against RMSE; low and left is better. The dashed "
            "line is the low dose. " + _NUMBERS,
        )
        draw = partial(_draw_costs, comparison=comparison, condition=condition)
        charts.append(write_chart(folder, f"cost_{place + 1}", text, draw, size=_SIZE))
    return charts


def _draw_costs(axes: Any, theme: Theme, comparison: Comparison, condition: Condition) -> None:
    found = [figures.get("rmse") for figures in condition.figures]
    values = [None if figure is None else figure.metric.value for figure in found]
    known = [value for value in values[1:] if value is not None]
    low = values[0]
    if not known or low is None:
        return
    limits = _limits(known, [low])
    for number, (row, value) in enumerate(zip(comparison.contenders, values, strict=True)):
        if number and row.operations and value is not None:
            colour, _, marker = series_style(theme, number)
            point = (row.operations / 1e9, value)
            axes.plot(*point, color=colour, marker=marker, linestyle="none")
            if value <= limits[1]:
                _number(axes, theme, number, point)
    ends = [(n, v) for n, v in enumerate(values) if v is not None]
    _tell_beyond(axes, theme, ends, limits[1])
    axes.axhline(low, color=theme.ink, linewidth=0.8, linestyle="--")
    axes.set_ylim(*limits)
    axes.set_xscale("log")
    axes.margins(x=0.1)
    axes.set_xlim(*a_decade(axes.get_xlim()))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("G operations per slice")
    axes.set_ylabel("RMSE (HU)")


def a_decade(limits: tuple[float, float]) -> tuple[float, float]:
    """Limits of a logarithmic axis, widened until a power of ten, which is labelled, lies within.

    Args:
        limits: Above 0.
    """
    low, high = limits
    if high >= 10 * low:
        return limits
    middle = math.sqrt(low * high)
    return middle / math.sqrt(10), middle * math.sqrt(10)
