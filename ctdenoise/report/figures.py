"""Charts of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ctdenoise.metrics.hu_accuracy import TISSUES
from ctdenoise.metrics.table import Evaluation
from ctdenoise.report.charts import Chart, Theme, from_zero, legend, series_style, write_chart

Tests = Sequence[tuple[str, Evaluation]]
"""Names and evaluations, in the order of the page."""


def write_charts(folder: Path, tests: Tests, *, difference_hu: float) -> tuple[Chart, ...]:
    """Draw the charts of the page and write them as PNG files.

    Args:
        folder: Where the files go.
        tests: What was compared.
        difference_hu: The histogram shows minus to plus this many HU.
    """
    charts = [
        write_chart(folder, "rmse_by_slice", _RMSE_TEXT, lambda ax, t: _draw_slices(ax, t, tests)),
        write_chart(
            folder,
            "differences",
            _HISTOGRAM_TEXT,
            lambda ax, t: _draw_histogram(ax, t, tests, difference_hu),
        ),
    ]
    if any(_biases(evaluation) for _, evaluation in tests):
        charts.append(
            write_chart(
                folder, "bias_by_tissue", _BIAS_TEXT, lambda ax, t: _draw_biases(ax, t, tests)
            )
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


def _draw_slices(axes: Any, theme: Theme, tests: Tests) -> None:
    for index, (name, evaluation) in enumerate(tests):
        colour, line, marker = series_style(theme, index)
        values = [np.nan if v is None else v for v in evaluation.slices.columns["rmse"]]
        mark = marker if len(values) <= 12 else ""
        numbers = np.arange(1, len(values) + 1)
        axes.plot(numbers, values, color=colour, linestyle=line, marker=mark, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    from_zero(axes)
    axes.set_xlabel("slice")
    axes.set_ylabel("RMSE (HU)")
    legend(axes, len(tests))


def _draw_histogram(axes: Any, theme: Theme, tests: Tests, difference_hu: float) -> None:
    for index, (name, evaluation) in enumerate(tests):
        colour, line, _ = series_style(theme, index)
        histogram = evaluation.differences
        centres = (histogram.edges[1:] + histogram.edges[:-1]) / 2
        shown = np.abs(centres) <= difference_hu
        share = 100 * histogram.counts / max(1.0, float(histogram.counts.sum()))
        axes.plot(centres[shown], share[shown], color=colour, linestyle=line, label=name)
    axes.axvline(0, color=theme.ink, linewidth=0.6)
    from_zero(axes)
    axes.set_xlabel("test \N{MINUS SIGN} reference (HU)")
    axes.set_ylabel("voxels (%)")
    legend(axes, len(tests))


def _draw_biases(axes: Any, theme: Theme, tests: Tests) -> None:
    present = [
        tissue for tissue in TISSUES if any(tissue.name in _biases(test) for _, test in tests)
    ]
    width = 0.8 / len(tests)
    for index, (name, evaluation) in enumerate(tests):
        colour, _, marker = series_style(theme, index)
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
    legend(axes, len(tests))


def _biases(evaluation: Evaluation) -> dict[str, float]:
    """Bias by name of tissue, where there is one."""
    return {
        metric.key.removeprefix("bias_"): metric.value
        for metric in evaluation.metrics
        if metric.key.startswith("bias_") and metric.value is not None
    }
