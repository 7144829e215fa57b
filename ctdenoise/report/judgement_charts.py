"""Charts of a judgement, drawn from curves and tables of figures whoever made them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ctdenoise.metrics.measured import Curve, HeatMap
from ctdenoise.report.charts import Chart, Theme, from_zero, legend, series_style, write_chart
from ctdenoise.report.judgement_layout import Planned, family_of

SIZE = (4.4, 3.0)
"""Width and height of a chart, inches."""

DOTS = 170
"""Dots in an inch of it."""

_TITLES = (
    ("nps", "Noise power spectrum"),
    ("ntf", "Noise transfer, output over input"),
    ("z_ttf", "Resolution along the patient"),
    ("ttf", "Task transfer function (resolution)"),
    ("mtf", "Modulation transfer function"),
    ("ssp", "Slice sensitivity profile"),
    ("dprime", "Detectability against dose"),
    ("auc", "Area under the ROC curve against dose"),
    ("linearity", "HU linearity"),
    ("response_transfer", "Transfer of inserted lesions"),
)
"""Titles of charts by the beginning of their key."""

_CAPTIONS = {
    "nps": "Power of the noise by spatial frequency, with its 95 % band. Lower is less noise; a "
    "peak that moves to the left is coarser, blotchier noise.",
    "ttf": "Share of the contrast that is left at each spatial frequency. A curve of the output "
    "below that of the input is blur.",
    "dprime": "How well a model observer (channelised Hotelling) tells a lesion from none, with "
    "its 95 % interval. Higher is better; at the same height two images are worth the same.",
}
_LEGEND_LETTERS = 58  # so many letters fit side by side into a legend
_LEGEND_LINE = 8  # what the line before a name takes, in letters
_MOST_CELLS = 200  # a table of more is a picture: without numbers, and few of its names
_MARKED = 14  # curves of so few points show them


def drawn_charts(folder: Path, planned: Sequence[Planned], *, dots: int = DOTS) -> list[Chart]:
    """Charts of curves and of tables; what charts of a kind show is explained once.

    Args:
        folder: Where the PNG files go.
        planned: What to draw.
        dots: In an inch.
    """
    charts, explained = [], set()
    for one in planned:
        if one.table is not None:
            charts.append(heat_map_chart(folder, one.table, dots=dots))
            continue
        family = family_of(one.key)
        is_new = family not in explained
        charts.append(curve_chart(folder, one.key, one.curves, dots=dots, is_explained=is_new))
        explained.add(family)
    return charts


def curve_chart(
    folder: Path,
    key: str,
    curves: Sequence[Curve],
    *,
    dots: int = DOTS,
    is_explained: bool = True,
) -> Chart:
    """One chart.

    Args:
        folder: Where the PNG file goes.
        key: Of the curves.
        curves: Its lines.
        dots: In an inch.
        is_explained: Whether the caption says what such charts show.
    """
    family = family_of(key)
    inside = key.partition("[")[2].removesuffix("]")
    title = next((t for start, t in _TITLES if family.startswith(start)), _plain(family))
    if family == "dprime" and not curves[0].x_axis.name.startswith("Dose"):
        title = "Detectability of lesions in your scan"
        inside = inside.removeprefix("inserted, ")
    where = "" if not inside or inside == "scan" else f": {inside}"
    notes = dict.fromkeys(curve.note for curve in curves if curve.note)
    about = _CAPTIONS.get(family, "") if is_explained else ""
    caption = " ".join([about, *(f"{_sentence(note)}" for note in notes)]).strip()
    draw = partial(_draw_curves, curves=curves, family=family)
    return write_chart(
        folder, _file_name(key), (f"{title}{where}", caption), draw, size=SIZE, dots=dots
    )


def heat_map_chart(
    folder: Path, table: HeatMap, *, reach: float | None = None, dots: int = DOTS
) -> Chart:
    """A table in colours.

    Args:
        folder: Where the PNG file goes.
        table: The figures.
        reach: How far from the ideal the colours reach, for several tables on one scale; as far as
            its own figures if None.
        dots: In an inch.
    """
    ideal = "" if table.ideal is None else f"{table.ideal:g} is ideal."
    caption = f"{ideal} {_sentence(table.note) if table.note else ''}".strip()
    draw = partial(_draw_table, table=table, reach=reach)
    return write_chart(
        folder,
        f"{_file_name(table.key)}_table",
        (table.title, caption),
        draw,
        size=SIZE,
        dots=dots,
    )


def _plain(family: str) -> str:
    words = family.replace("_", " ")
    return f"{words[:1].upper()}{words[1:]}"


def _sentence(text: str) -> str:
    text = f"{text[:1].upper()}{text[1:]}"
    return text if text.endswith(".") else f"{text}."


def _file_name(key: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")


def _draw_curves(axes: Any, theme: Theme, curves: Sequence[Curve], family: str) -> None:
    for number, curve in enumerate(curves):
        colour, line, marker = series_style(theme, number)
        few = np.count_nonzero(np.isfinite(curve.y)) <= _MARKED
        axes.plot(
            curve.x,
            curve.y,
            color=colour,
            linestyle=line,
            marker=marker if few else "",
            markersize=4,
            label=curve.name,
        )
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    from_zero(axes)
    if family.startswith("dprime"):
        _dose_axis(axes, curves)
    axes.set_xlabel(curves[0].x_axis.text)
    axes.set_ylabel(curves[0].y_axis.text)
    legend(axes, len(curves), columns=_columns([curve.name for curve in curves]))


def _columns(names: Sequence[str]) -> int:
    """So many columns of a legend fit above a chart."""
    widest = max((len(name) for name in names), default=1) + _LEGEND_LINE
    return max(1, _LEGEND_LETTERS // widest)


def _dose_axis(axes: Any, curves: Sequence[Curve]) -> None:
    """Ticks at the doses that were measured."""
    measured = [curve.x for curve in curves if curve.x.size <= _MARKED]
    places = np.unique(np.concatenate(measured)) if measured else np.empty(0)
    if 0 < places.size <= _MARKED:
        axes.set_xticks(places, [f"{place:g}" for place in places])


def _draw_table(axes: Any, theme: Theme, table: HeatMap, reach: float | None) -> None:
    del theme  # its colours are those of the values
    values = table.values
    known = values[np.isfinite(values)]
    if table.ideal is None:
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    else:
        own = float(np.abs(known - table.ideal).max()) if known.size else 0.0
        reach = max(own if reach is None else reach, 0.1)
        low, high = table.ideal - reach, table.ideal + reach
    diverging = table.ideal is not None
    image = axes.imshow(
        values,
        cmap="RdBu" if diverging else "viridis",
        vmin=low,
        vmax=high if high > low else low + 1,
        aspect="auto",
    )
    rows, columns = values.shape
    size = 9 if rows * columns <= 20 else 7.5
    is_picture = rows * columns > _MOST_CELLS
    for row in range(0 if is_picture else rows):
        for column in range(columns):
            value = values[row, column]
            if np.isfinite(value):
                strength = abs((value - low) / ((high - low) or 1) - 0.5)
                dark = strength > 0.3 if diverging else (value - low) < 0.55 * (high - low)
                axes.text(
                    column,
                    row,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="white" if dark else "black",
                )
    across, down = (max(1, -(-count // 6)) if is_picture else 1 for count in (columns, rows))
    axes.set_xticks(range(0, columns, across), list(table.column_names[::across]))
    axes.set_yticks(range(0, rows, down), list(table.row_names[::down]))
    axes.set_xlabel(table.columns.name)
    axes.set_ylabel(table.rows.name)
    axes.grid(visible=False)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
    bar.outline.set_visible(False)
    if table.unit:
        bar.set_label(table.unit)
