"""Hounsfield units on scanned phantoms: kept in every rod, linear, and even over the water."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.metrics.circular_edge import CircularEdge
from ctdenoise.metrics.hu_scale import Uniformity, linearity, uniformity
from ctdenoise.metrics.measured import Axis, HeatMap, Measured
from ctdenoise.metrics.table import Better, Interval, Metric
from ctdenoise.tasks.bench_scans import BenchScans, DoseScans, Pair

_CORE = 0.6
"""Of the radius of a rod: within it its Hounsfield units are measured."""

_EDGE_PLACE = 0.66
"""Of the radius of the water: where its edge is compared with its middle (ACR: 66 of 100 mm)."""

_REGION = 0.1
"""Of the radius of the water: the radius of these regions."""


def accuracy_figures(bench: BenchScans, scans: Sequence[DoseScans], *, suffix: str) -> Measured:
    """Drift of Hounsfield units by rod, linearity and uniformity at the main dose.

    The table has the drift at every dose.

    Args:
        bench: The phantoms.
        scans: Of each dose.
        suffix: Ends what stands in the brackets of keys.
    """
    rods = sorted(bench.rods, key=lambda rod: rod.hu)
    names = ("water", *(rod.name for rod in rods))
    table = np.full((len(names), len(scans)), np.nan)
    metrics = []
    for column, one in enumerate(scans):
        masks = [bench.even_water, *(_core(bench, rod.edge) for rod in rods)]
        pairs = [one.water, *(one.rods for _ in rods)]
        for row, (name, mask, pair) in enumerate(zip(names, masks, pairs, strict=True)):
            metric = _drift(name, mask, pair, one, suffix)
            table[row, column] = metric.value
            if one.dose_fraction == bench.settings.main_dose_fraction:
                metrics.append(metric)
    main = next(one for one in scans if one.dose_fraction == bench.settings.main_dose_fraction)
    inside = f"[{suffix.removeprefix(', ')}]" if suffix else ""
    heat_map = HeatMap(
        f"drift{inside}",
        f"Drift of Hounsfield units, kernel {bench.kernel.name}",
        Axis("Insert"),
        names,
        Axis("Dose"),
        tuple(one.name for one in scans),
        table,
        unit="HU",
        better="near zero",
        ideal=0.0,
        note="mean after minus mean before denoising",
    )
    found = Measured((*metrics, *_evenness(bench, main, suffix)), heat_maps=(heat_map,))
    return found + Measured(_straightness(bench, main, suffix))


def _core(bench: BenchScans, edge: CircularEdge) -> BoolArray:
    shape: tuple[int, int] = bench.water_hu.shape
    return edge.distance_mm(shape, bench.pixel_spacing_mm) < _CORE * edge.radius_mm


def _drift(name: str, mask: BoolArray, pair: Pair, scans: DoseScans, suffix: str) -> Metric:
    each = (pair.after - pair.before)[:, mask].mean(axis=1)
    what = "water" if name == "water" else f"insert {name}"
    contrast = 0.0 if name == "water" else float(name.removesuffix(" HU"))
    return Metric(
        f"drift[{what}, {scans.name}{suffix}]",
        f"Drift of {'water' if name == 'water' else f'an insert, {name}'} at {scans.name} dose",
        float(each.mean()),
        "HU",
        window="none",
        mask="water away from its surface" if name == "water" else f"inner {_CORE:.0%} of the rod",
        reduction=f"mean of {len(each)} slices, after minus before",
        better="near zero",
        description="Mean Hounsfield units after denoising minus before.",
        interval=_student(each),
        at=(("contrast_hu", contrast), ("dose_percent", 100 * scans.dose_fraction)),
    )


def _student(values: DoubleArray) -> Interval:
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    mean = float(values.mean())
    return Interval(mean - float(reach), mean + float(reach), f"Student, {len(values)} slices")


def _straightness(bench: BenchScans, scans: DoseScans, suffix: str) -> tuple[Metric, ...]:
    """Linearity against what the scanner shows without noise."""
    if len(bench.rods) < 3:
        return ()
    cores = [_core(bench, rod.edge) for rod in bench.rods]
    true = [float(bench.rods_hu[core].mean()) for core in cores]
    mean = scans.rods.after.mean(axis=0)
    line = linearity(true, [float(mean[core].mean()) for core in cores])
    where = f"{scans.name}{suffix}"
    reduction = (
        f"least-squares line through {len(true)} rods, mean of {len(scans.rods.after)} slices"
    )
    return (
        _figure(
            f"linearity_slope[{where}]",
            "Slope of Hounsfield units",
            (line.slope, "", "neither"),
            "Slope of Hounsfield units after denoising against those of the scan without noise; "
            "1 is right.",
            reduction,
        ),
        _figure(
            f"linearity_residual[{where}]",
            "Largest distance from the line of Hounsfield units",
            (line.largest_residual_hu, "HU", "lower"),
            "How far the rod that fits worst lies from the straight line through all.",
            reduction,
        ),
    )


def _evenness(bench: BenchScans, scans: DoseScans, suffix: str) -> tuple[Metric, ...]:
    after, before = (_uniformity(bench, one) for one in (scans.water.after, scans.water.before))
    return (
        _figure(
            f"uniformity[{scans.name}{suffix}]",
            "Nonuniformity of water",
            (after.largest_difference_hu, "HU", "lower"),
            "Largest difference between the middle and four places near the edge, after denoising.",
            f"regions of {_REGION:.0%} of the radius, mean of {len(scans.water.after)} slices",
            note=f"{before.largest_difference_hu:.2f} HU before",
        ),
    )


def _uniformity(bench: BenchScans, stack: DoubleArray) -> Uniformity:
    radius = bench.settings.diameter_mm / 2
    middle = (bench.water_hu.shape[0] - 1) / 2
    away = _EDGE_PLACE * radius / bench.pixel_spacing_mm[0]
    places = [(0.0, 0.0), (-away, 0.0), (0.0, away), (away, 0.0), (0.0, -away)]
    shape: tuple[int, int] = bench.water_hu.shape
    mean = stack.mean(axis=0)
    means = []
    for dy, dx in places:
        region = CircularEdge((middle + dy, middle + dx), _REGION * radius)
        near = region.distance_mm(shape, bench.pixel_spacing_mm) <= region.radius_mm
        means.append(float(mean[near].mean()))
    return uniformity(means[0], means[1:])


def _figure(
    key: str,
    title: str,
    value: tuple[float, str, Better],
    description: str,
    reduction: str,
    *,
    note: str = "",
) -> Metric:
    number, unit, better = value
    return Metric(
        key,
        title,
        number,
        unit,
        window="none",
        mask="scanned phantom",
        reduction=reduction,
        better=better,
        description=description,
        note=note,
    )
