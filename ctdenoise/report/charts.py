"""Charts for pages, drawn twice: for a light page and for a dark one."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctdenoise.report.pictures import data_uri


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a page; series differ in line and marker, too, not in colour alone."""

    name: str
    ink: str
    faint: str
    colours: tuple[str, ...]


# Okabe and Ito's palette, which people with any colour vision can tell apart; lighter on dark.
LIGHT = Theme("light", "#1c2733", "#c9d1d9", ("#0072b2", "#d55e00", "#00795a", "#a8457f"))
DARK = Theme("dark", "#e3e9ef", "#3c4854", ("#6cc0f5", "#ff9c5a", "#4fd6ad", "#f2a4cf"))
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


USUAL_SIZE = (4.2, 2.7)
"""Width and height of a chart, inches at 240 dots."""


def write_chart(
    folder: Path,
    name: str,
    text: tuple[str, str],
    draw: Callable[[Any, Theme], None],
    *,
    size: tuple[float, float] = USUAL_SIZE,
    dots: int = 240,
) -> Chart:
    """Draw a chart for both themes and write the light one as a PNG file.

    Args:
        folder: Where the file goes.
        name: Its name without suffix.
        text: Title and caption.
        draw: Draws on matplotlib axes with the colours of a theme.
        size: Width and height, inches.
        dots: In an inch.
    """
    title, caption = text
    uris = {}
    for theme in (LIGHT, DARK):
        png = _rendered(draw, theme, size, dots)
        if theme is LIGHT:
            (folder / f"{name}.png").write_bytes(png)
        uris[theme.name] = data_uri(png)
    return Chart(title, caption, uris["light"], uris["dark"])


def _rendered(
    draw: Callable[[Any, Theme], None], theme: Theme, size: tuple[float, float], dots: int
) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_style(theme)):
        figure = Figure(figsize=size, dpi=dots, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(axes, theme)
        buffer = io.BytesIO()
        opaque = theme is LIGHT  # the file beside the page is looked at on its own
        figure.savefig(buffer, format="png", transparent=not opaque)
    return buffer.getvalue()


def _style(theme: Theme) -> dict[str, Any]:
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


def series_style(theme: Theme, index: int) -> tuple[str, str, str]:
    """Colour, line and marker of a series."""
    position = index % len(theme.colours)
    line = (index + index // len(theme.colours)) % len(_LINES)
    return theme.colours[position], _LINES[line], _MARKERS[position]


def from_zero(axes: Any) -> None:
    """Let the ordinate begin at zero, with room above the highest point."""
    axes.update_datalim([(axes.dataLim.x0, 0.0)])
    axes.autoscale_view()
    axes.set_ylim(bottom=0)


def legend(axes: Any, count: int, *, columns: int = 4) -> None:
    """A legend above the axes.

    Args:
        axes: With labelled lines.
        count: How many there are.
        columns: So many side by side at most.
    """
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=min(count, columns),
        borderaxespad=0.2,
        handlelength=2.6,
    )


def coloured(
    values: npt.NDArray[np.floating[Any]], low: float, high: float
) -> npt.NDArray[np.uint8]:
    """Values as colours of the map "magma", [y, x, 3]: black for low and pale yellow for high.

    Args:
        values: Indexed [y, x].
        low: First value of the colours.
        high: Last value of the colours.
    """
    import matplotlib as mpl

    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    colours: npt.NDArray[np.uint8] = mpl.colormaps["magma"](scaled, bytes=True)[..., :3]
    return np.ascontiguousarray(colours)
