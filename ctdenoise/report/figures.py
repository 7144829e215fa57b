"""Charts of an evaluation, drawn twice: for a light page and for a dark one."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctdenoise.metrics.hu_accuracy import TISSUES
from ctdenoise.metrics.table import Evaluation
from ctdenoise.report.pictures import data_uri

Tests = Sequence[tuple[str, Evaluation]]
"""Names and evaluations, in the order of the page."""


@dataclass(frozen=True, slots=True)
class _Theme:
    """Colours of a page; series differ in line and marker, too, not in colour alone."""

    name: str
    ink: str
    faint: str
    colours: tuple[str, ...]


# Okabe and Ito's palette, which people with any colour vision can tell apart; lighter on dark.
_LIGHT = _Theme("light", "#1c2733", "#c9d1d9", ("#0072b2", "#d55e00", "#00795a", "#a8457f"))
_DARK = _Theme("dark", "#e3e9ef", "#3c4854", ("#6cc0f5", "#ff9c5a", "#4fd6ad", "#f2a4cf"))
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart in both themes, as data URIs.

    Args:
        title: Above the chart.
        caption: Below the chart.
        light: For a light page.
        dark: For a dark page.
    """

    title: str
    caption: str
    light: str
    dark: str


def write_charts(folder: Path, tests: Tests, *, difference_hu: float) -> tuple[Chart, ...]:
    """Draw the charts of the page and write them as PNG files.

    Args:
        folder: Where the files go.
        tests: What was compared.
        difference_hu: The histogram shows minus to plus this many HU.
    """
    charts = [
        _chart(folder, "rmse_by_slice", _RMSE_TEXT, lambda ax, t: _draw_slices(ax, t, tests)),
        _chart(
            folder,
            "differences",
            _HISTOGRAM_TEXT,
            lambda ax, t: _draw_histogram(ax, t, tests, difference_hu),
        ),
    ]
    if any(_biases(evaluation) for _, evaluation in tests):
        charts.append(
            _chart(folder, "bias_by_tissue", _BIAS_TEXT, lambda ax, t: _draw_biases(ax, t, tests))
        )
    return tuple(charts)


_RMSE_TEXT = ("RMSE slice by slice", "Root mean squared difference inside the body of each slice.")
_HISTOGRAM_TEXT = (
    "Differences",
    "Test minus reference inside the body, per bin of 1 HU. Narrow and centred on zero is close.",
)
_BIAS_TEXT = (
    "Bias by tissue",
    "Mean difference in each tissue of the reference; zero keeps Hounsfield units.",
)


def _chart(
    folder: Path, name: str, text: tuple[str, str], draw: Callable[[Any, _Theme], None]
) -> Chart:
    title, caption = text
    uris = {}
    for theme in (_LIGHT, _DARK):
        png = _rendered(draw, theme)
        if theme is _LIGHT:
            (folder / f"{name}.png").write_bytes(png)
        uris[theme.name] = data_uri(png)
    return Chart(title, caption, uris["light"], uris["dark"])


def _rendered(draw: Callable[[Any, _Theme], None], theme: _Theme) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_style(theme)):
        figure = Figure(figsize=(4.2, 2.7), dpi=240, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(axes, theme)
        buffer = io.BytesIO()
        opaque = theme is _LIGHT  # the file beside the page is looked at on its own
        figure.savefig(buffer, format="png", transparent=not opaque)
    return buffer.getvalue()


def _style(theme: _Theme) -> dict[str, Any]:
    return {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.faint,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": theme.faint,
        "grid.linewidth": 0.5,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "legend.frameon": False,
        "lines.linewidth": 1.7,
        "figure.facecolor": "white",
        "axes.facecolor": "none",
        "savefig.facecolor": "white",
    }


def _series(theme: _Theme, index: int) -> tuple[str, str, str]:
    """Colour, line and marker of a test."""
    position = index % len(theme.colours)
    line = (index + index // len(theme.colours)) % len(_LINES)
    return theme.colours[position], _LINES[line], _MARKERS[position]


def _draw_slices(axes: Any, theme: _Theme, tests: Tests) -> None:
    for index, (name, evaluation) in enumerate(tests):
        colour, line, marker = _series(theme, index)
        values = [np.nan if v is None else v for v in evaluation.slices.columns["rmse"]]
        mark = marker if len(values) <= 12 else ""
        numbers = np.arange(1, len(values) + 1)
        axes.plot(numbers, values, color=colour, linestyle=line, marker=mark, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("slice")
    axes.set_ylabel("RMSE (HU)")
    _legend(axes, len(tests))


def _draw_histogram(axes: Any, theme: _Theme, tests: Tests, difference_hu: float) -> None:
    for index, (name, evaluation) in enumerate(tests):
        colour, line, _ = _series(theme, index)
        histogram = evaluation.differences
        centres = (histogram.edges[1:] + histogram.edges[:-1]) / 2
        shown = np.abs(centres) <= difference_hu
        share = 100 * histogram.counts / max(1.0, float(histogram.counts.sum()))
        axes.plot(centres[shown], share[shown], color=colour, linestyle=line, label=name)
    axes.axvline(0, color=theme.ink, linewidth=0.6)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("test \N{MINUS SIGN} reference (HU)")
    axes.set_ylabel("voxels (%)")
    _legend(axes, len(tests))


def _draw_biases(axes: Any, theme: _Theme, tests: Tests) -> None:
    present = [
        tissue for tissue in TISSUES if any(tissue.name in _biases(test) for _, test in tests)
    ]
    width = 0.8 / len(tests)
    for index, (name, evaluation) in enumerate(tests):
        colour, _, marker = _series(theme, index)
        biases = _biases(evaluation)
        offset = (index - (len(tests) - 1) / 2) * width
        places = [place + offset for place, t in enumerate(present) if t.name in biases]
        values = [biases[t.name] for t in present if t.name in biases]
        axes.vlines(places, 0, values, color=colour, linewidth=2)
        axes.plot(places, values, color=colour, marker=marker, linestyle="none", label=name)
    axes.axhline(0, color=theme.ink, linewidth=0.6)
    axes.set_xticks(range(len(present)), [tissue.title for tissue in present])
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.08, y=0.18)
    axes.set_ylabel("bias (HU)")
    _legend(axes, len(tests))


def _biases(evaluation: Evaluation) -> dict[str, float]:
    """Bias by name of tissue, where there is one."""
    return {
        metric.key.removeprefix("bias_"): metric.value
        for metric in evaluation.metrics
        if metric.key.startswith("bias_") and metric.value is not None
    }


def _legend(axes: Any, count: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=min(count, 4),
        borderaxespad=0.2,
        handlelength=2.6,
    )
