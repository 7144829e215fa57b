"""Which charts of a judgement are shown at once, in which order, and which are folded away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ctdenoise.metrics.measured import Curve, HeatMap, Measured

MOST_FURTHER = 12
"""So many charts are folded away; what is beyond stands in the file of figures alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A chart to be drawn.

    Args:
        key: Of its curves or its table.
        curves: Its lines; empty for a table.
        table: What is shown in colours; None for curves.
    """

    key: str
    curves: tuple[Curve, ...] = ()
    table: HeatMap | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Every chart that is drawn.

    Args:
        of_scan: Beside the pictures of the noise of the scan.
        main: What can still be seen, the most telling first.
        further: Folded away, not printed.
        left_out: How many are not drawn at all.
    """

    of_scan: tuple[Planned, ...]
    main: tuple[Planned, ...]
    further: tuple[Planned, ...]
    left_out: int


def family_of(key: str) -> str:
    """What a key is about, without where: "nps[scan]" is "nps"."""
    return key.partition("[")[0]


def is_against_dose(chart: Planned) -> bool:
    """Whether a chart has doses along its axis."""
    return bool(chart.curves) and chart.curves[0].x_axis.name.lower().startswith("dose")


def _curves_of(*families: str) -> Callable[[Planned], bool]:
    return lambda chart: bool(chart.curves) and family_of(chart.key) in families


def _tables_of(*families: str) -> Callable[[Planned], bool]:
    return lambda chart: chart.table is not None and family_of(chart.key) in families


def _dprime_by_dose(chart: Planned) -> bool:
    return family_of(chart.key) == "dprime" and is_against_dose(chart)


def _dprime_inserted(chart: Planned) -> bool:
    return _curves_of("dprime")(chart) and not is_against_dose(chart)


_MAIN: tuple[tuple[Callable[[Planned], bool], int], ...] = (
    (_curves_of("ttf"), 0),
    (_tables_of("contrast_recovery"), 0),
    (_dprime_by_dose, -1),
    (_curves_of("z_ttf"), 0),
    (_dprime_inserted, -1),
    (_dprime_by_dose, 0),
    (_curves_of("nps"), 0),
    (_curves_of("ntf"), 0),
    (_tables_of("dose_equivalent"), 0),
)
"""What is shown at once: of the charts of a kind the first (0) or the last (-1)."""


def laid_out(measured: Measured) -> Layout:
    """Choose the charts of a page.

    Args:
        measured: What was found.
    """
    charts = planned_charts(measured)
    of_scan = tuple(chart for chart in charts if chart.key == "nps[scan]" and chart.curves)
    left = [chart for chart in charts if chart not in of_scan]
    main = chosen(left)
    rest = [chart for chart in left if chart not in main]
    return Layout(of_scan, main, tuple(rest[:MOST_FURTHER]), max(0, len(rest) - MOST_FURTHER))


def planned_charts(measured: Measured) -> list[Planned]:
    """Every chart that could be drawn.

    Args:
        measured: What was found.
    """
    keys = dict.fromkeys(curve.key for curve in measured.curves)
    curves = [Planned(key, measured.chart(key)) for key in keys]
    # A table without a place in its key is about everything: it comes first.
    tables = sorted(measured.heat_maps, key=lambda table: "[" in table.key)
    return [*curves, *(Planned(table.key, table=table) for table in tables)]


def chosen(charts: Sequence[Planned]) -> tuple[Planned, ...]:
    """The most telling charts, in the order in which they are shown.

    Args:
        charts: Those there are.
    """
    main: list[Planned] = []
    for belongs, which in _MAIN:
        found = [chart for chart in charts if belongs(chart)]
        if found and found[which] not in main:
            main.append(found[which])
    return tuple(main)
