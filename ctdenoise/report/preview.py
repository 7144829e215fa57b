"""One picture of a simulation: the scan, its twins, what was added, and how strong the noise is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctdenoise.core.arrays import HuArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.report.pictures import Display, Region

PREVIEW_FILE = "preview.png"

_PANEL_INCHES = 3.3
_DPI = 150
_PAPER = "#12202e"
_INK = "#eef3f7"
_SHOWN_SIGMAS = 3.0
"""The difference is shown from minus to plus this many typical standard deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class PreviewRow:
    """One twin of the slice.

    Args:
        title: What it is: "25 % of the dose".
        low: The twin, HU [y, x].
        added_hu: Standard deviation of what was added, HU [y, x].
    """

    title: str
    low: HuArray
    added_hu: HuArray


def write_preview(
    path: Path, full: CTVolume, rows: Sequence[PreviewRow], *, display: Display, region: Region
) -> None:
    """Draw the scan, each twin, their difference and the map of the added noise, in a row each.

    Args:
        path: The PNG file.
        full: A single slice of the scan.
        rows: Its twins.
        display: Display window of the images.
        region: Part of the slice to show.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    aspect = region.aspect(full.geometry.pixel_spacing_mm)
    size = (4 * _PANEL_INCHES + 1.0, len(rows) * (_PANEL_INCHES / aspect + 0.45) + 0.2)
    style = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9}
    with mpl.rc_context({**style, "text.color": _INK, "axes.labelcolor": _INK}):
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained", facecolor=_PAPER)
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(rows), 4, squeeze=False)
        for axes, row in zip(grid, rows, strict=True):
            _draw_row(axes, full, row, display, region)
        figure.savefig(path, format="png")


def _draw_row(
    axes: Sequence[Any], full: CTVolume, row: PreviewRow, display: Display, region: Region
) -> None:
    scan, padding = full.hu[0], None if full.padding is None else full.padding[0]
    low_hu = display.level_hu - display.width_hu / 2
    window = {"cmap": "gray", "vmin": low_hu, "vmax": low_hu + display.width_hu}
    difference = row.low.astype(np.float64) - scan
    inside = row.added_hu if padding is None else row.added_hu[~padding]
    limit = max(1.0, _rounded(_SHOWN_SIGMAS * float(np.percentile(inside, 90))))
    strongest = max(1.0, _rounded(float(np.percentile(inside, 99.5))))
    noise = row.added_hu.astype(np.float64)
    if padding is not None:
        difference = np.where(padding, np.nan, difference)
        noise = np.where(padding, np.nan, noise)
    panels: tuple[tuple[str, Any, dict[str, Any], bool], ...] = (
        (f"scan, {display.text}", scan, window, False),
        (row.title, row.low, window, False),
        (
            f"difference, \N{PLUS-MINUS SIGN}{limit:g} HU",
            difference,
            {"cmap": "gray", "vmin": -limit, "vmax": limit},
            False,
        ),
        (
            "standard deviation of what is added, HU",
            noise,
            {"cmap": "viridis", "vmin": 0, "vmax": strongest},
            True,
        ),
    )
    spacing = full.geometry.pixel_spacing_mm
    for axis, (title, image, shown, has_scale) in zip(axes, panels, strict=True):
        picture = axis.imshow(
            image[region.index], aspect=spacing[0] / spacing[1], interpolation="nearest", **shown
        )
        axis.set_title(title, fontsize=9, loc="left", color=_INK)
        axis.set_axis_off()
        if has_scale:
            scale = axis.figure.colorbar(picture, ax=axis, shrink=0.9, pad=0.02, aspect=30)
            scale.ax.tick_params(colors=_INK, labelsize=8)
            scale.outline.set_visible(False)


def _rounded(value: float) -> float:
    """To two significant figures."""
    return float(f"{value:.2g}")
