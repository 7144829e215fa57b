"""One picture of a phantom: its slices, and where they were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.discs import DiscFigures

PICTURE_FILE = "regions.png"

_PANEL_INCHES = 5.2
_COLUMNS = 3
_DPI = 110
_PAPER = "#12202e"
_INK = "#eef3f7"
_MARK = "#56b4e9"
_LABEL_SHARE = 0.1
"""Discs nearer than this share of the picture would have their labels on each other."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownSlice:
    """A slice in which something was measured.

    Args:
        title: What it shows.
        image: Mean of the slices that were measured, HU [y, x].
        discs: Where it was measured, and what.
        level_hu: Centre of the display window.
        width_hu: Its width.
        pixel_spacing_mm: Along (rows, columns).
    """

    title: str
    image: DoubleArray
    discs: tuple[DiscFigures, ...]
    level_hu: float
    width_hu: float
    pixel_spacing_mm: tuple[float, float]


def picture_columns(shown: Sequence[ShownSlice]) -> int:
    """How many slices stand side by side."""
    return min(_COLUMNS, len(shown))


def write_qa_picture(path: Path, shown: Sequence[ShownSlice]) -> None:
    """Draw each slice with its discs, their names, means and noise.

    Args:
        path: The PNG file.
        shown: The slices.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = picture_columns(shown)
    rows = math.ceil(len(shown) / columns)
    style = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 8}
    with mpl.rc_context({**style, "text.color": _INK}):
        size = (columns * _PANEL_INCHES, rows * (_PANEL_INCHES + 0.35))
        figure = Figure(figsize=size, facecolor=_PAPER, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(shown) :]:
            axis.set_axis_off()
        for axis, one in zip(axes, shown, strict=False):
            _draw(axis, one)
        canvas.print_figure(path, dpi=_DPI, facecolor=_PAPER)


def _draw(axis: Any, shown: ShownSlice) -> None:
    from matplotlib.patches import Ellipse

    low, high = (shown.level_hu + side * shown.width_hu / 2 for side in (-1, 1))
    row_mm, column_mm = shown.pixel_spacing_mm
    axis.imshow(
        shown.image,
        cmap="gray",
        vmin=low,
        vmax=high,
        interpolation="nearest",
        aspect=row_mm / column_mm,
    )
    level = f"{round(shown.level_hu)}".replace("-", "\N{MINUS SIGN}")
    axis.set_title(f"{shown.title} (W {shown.width_hu:g} / L {level})", fontsize=9)
    axis.set_axis_off()
    labelled: list[tuple[float, float]] = []
    for one in shown.discs:
        row, column = one.disc.centre
        size = (2 * one.disc.radius_mm / column_mm, 2 * one.disc.radius_mm / row_mm)
        axis.add_patch(Ellipse((column, row), *size, fill=False, edgecolor=_MARK, linewidth=1.2))
        near = _LABEL_SHARE * len(shown.image)
        above = any(abs(row - y) < near and abs(column - x) < 2 * near for y, x in labelled)
        labelled.append((row, column))
        text = f"{one.disc.name}\n{one.mean_hu:.1f} \N{PLUS-MINUS SIGN} {one.noise_hu:.1f} HU"
        axis.text(
            column,
            row - size[1] / 2 - 3 if above else row + size[1] / 2 + 3,
            text.replace("-", "\N{MINUS SIGN}"),
            ha="center",
            va="bottom" if above else "top",
            color=_INK,
            bbox={"facecolor": _PAPER, "alpha": 0.65, "edgecolor": "none", "pad": 1.2},
        )
