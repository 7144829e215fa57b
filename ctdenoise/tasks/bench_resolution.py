"""Resolution on scanned phantoms: transfer functions by contrast and dose, and along z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.measured import Axis, Curve, HeatMap, Measured
from ctdenoise.metrics.straight_edge import straight_edge_transfer
from ctdenoise.metrics.table import Interval, Metric
from ctdenoise.metrics.transfer import Transfer, f50_ratio, resampled
from ctdenoise.metrics.ttf import Ttf, ttf
from ctdenoise.tasks.bench_scans import BenchScans, DoseScans, Rod

_FREQUENCY = Axis("Spatial frequency", "1/mm")
_TRANSFER = Axis("Share that is left")
_SLAB_BLOCKS = 12
"""Groups of rows that a slab is resampled by; rows of a group share noise."""
_LOST = 0.5
"""With less of its contrast than this, an edge that cannot be measured is gone: its f50 is 0."""


@dataclass(frozen=True, slots=True, eq=False)
class RodTransfer:
    """The transfer function of a rod in denoised scans.

    Args:
        rod: The rod.
        scans: The scans of a dose.
        after: Of the response of the denoiser to the rod.
        before: Of the rod as the scanner shows it without noise.
    """

    rod: Rod
    scans: DoseScans
    after: Ttf
    before: Ttf


def rod_transfers(
    bench: BenchScans, scans: Sequence[DoseScans], *, rng: np.random.Generator
) -> tuple[RodTransfer, ...]:
    """The transfer function of each rod at each dose, by paired responses.

    Args:
        bench: The phantoms.
        scans: Of each dose.
        rng: Draws slices for intervals.
    """
    draws = resampled(bench.settings.slices, bench.settings.draws, rng)
    found = []
    for rod in bench.rods:
        before = _ttf(bench.response, rod, bench, None)
        for one in scans:
            after = _ttf((one.rods - one.water).after, rod, bench, draws)
            found.append(RodTransfer(rod, one, after, before))
    return tuple(found)


def _ttf(stack: DoubleArray, rod: Rod, bench: BenchScans, draws: DoubleArray | None) -> Ttf:
    return ttf(
        stack,
        rod.edge,
        pixel_spacing_mm=bench.pixel_spacing_mm,
        located="given",
        resamplings=draws,
    )


def rod_figures(bench: BenchScans, transfers: Sequence[RodTransfer], *, suffix: str) -> Measured:
    """Ratios of f50 by contrast and dose, their table, and the curves of the main dose.

    Args:
        bench: The phantoms.
        transfers: Of every rod and dose.
        suffix: Ends what stands in the brackets of keys: ", sharp", or nothing.
    """
    metrics = [_ratio_metric(one, bench, suffix) for one in transfers]
    main = [
        one for one in transfers if one.scans.dose_fraction == bench.settings.main_dose_fraction
    ]
    key = f"ttf[{main[0].scans.name}{suffix}]"
    bright = sorted((one for one in main if one.rod.hu > 0), key=lambda one: -one.rod.hu)
    curves = [_curve(key, "input", main[0].before.transfer)]
    curves += [
        _curve(key, one.rod.name, one.after.transfer, "rods brighter than water")
        for one in bright
        if one.after.trust != "refused"
    ]
    return Measured(
        (_input_metric(bench, main[0].before, suffix), *metrics),
        tuple(curves),
        (_ratio_table(bench, transfers, metrics, suffix),),
    )


def _ratio_metric(one: RodTransfer, bench: BenchScans, suffix: str) -> Metric:
    value, ends = _ratio(one)
    note = one.after.note or ("" if value is not None else "f50 lies beyond Nyquist")
    if value is None and one.after.contrast_hu / one.before.contrast_hu < _LOST:
        value, note = 0.0, _gone(one.after.contrast_hu, one.before.contrast_hu)
    slices = bench.settings.slices
    return Metric(
        f"ttf50_ratio[{one.rod.name}, {one.scans.name}{suffix}]",
        f"Resolution kept at {one.rod.name}, {one.scans.name} dose",
        value,
        "",
        window="none",
        mask=f"rod of {2 * one.rod.edge.radius_mm:g} mm in water, {one.rod.edge.reach:g} mm on "
        "either side of its edge",
        reduction=f"paired response D(x + s) - D(x), mean of {slices} slices; f50 of its TTF over "
        "that of s",
        better="higher",
        description="Frequency at which half of the contrast of an edge is left, after denoising "
        "over before; below 1 is blur.",
        note=note,
        interval=_interval(ends, f"bootstrap over {slices} slices", bench),
        at=(("contrast_hu", one.rod.hu), ("dose_percent", 100 * one.scans.dose_fraction)),
    )


def _gone(after_hu: float, before_hu: float) -> str:
    left_hu = round(after_hu, 1) + 0.0  # no minus before a zero
    return f"the edge is gone: {left_hu:.1f} HU are left of {before_hu:.1f} HU"


def _ratio(one: RodTransfer) -> tuple[float | None, tuple[float, float] | None]:
    """After over before; what the scanner shows without noise has no error of its own."""
    under = one.before.f50_per_mm
    value, _ = f50_ratio(one.after.transfer, one.before.transfer)
    ends = one.after.transfer.f50_interval_per_mm
    if value is None or under is None or ends is None:
        return value, None
    return value, (ends[0] / under, ends[1] / under)


def _interval(ends: tuple[float, float] | None, method: str, bench: BenchScans) -> Interval | None:
    return None if ends is None else Interval(*ends, f"{method}, {bench.settings.draws} draws")


def _input_metric(bench: BenchScans, before: Ttf, suffix: str) -> Metric:
    return Metric(
        f"ttf50[input{suffix}]",
        "Resolution of the input",
        before.f50_per_mm,
        "1/mm",
        window="none",
        mask=f"rod of {2 * before.edge.radius_mm:g} mm in water",
        reduction="f50 of the TTF of the scan without noise",
        better="neither",
        description="Frequency at which half of the contrast of an edge is left before denoising; "
        f"kernel {bench.kernel.name}.",
    )


def _ratio_table(
    bench: BenchScans,
    transfers: Sequence[RodTransfer],
    metrics: Sequence[Metric],
    suffix: str,
) -> HeatMap:
    contrasts = sorted({one.rod.hu for one in transfers})
    doses = list(dict.fromkeys(one.scans.name for one in transfers))
    values, low, high = (np.full((len(contrasts), len(doses)), np.nan) for _ in range(3))
    for one, metric in zip(transfers, metrics, strict=True):
        place = contrasts.index(one.rod.hu), doses.index(one.scans.name)
        if metric.value is not None:
            values[place] = metric.value
        if metric.interval is not None:
            low[place], high[place] = metric.interval.low, metric.interval.high
    inside = f"[{suffix.removeprefix(', ')}]" if suffix else ""
    return HeatMap(
        f"ttf50_ratio{inside}",
        f"Resolution kept by contrast and dose, kernel {bench.kernel.name}",
        Axis("Contrast", "HU"),
        tuple(f"{contrast:g} HU" for contrast in contrasts),
        Axis("Dose"),
        tuple(doses),
        values,
        better="higher",
        ideal=1.0,
        low=low,
        high=high,
        note="f50 of the task transfer function, after over before",
    )


def slab_figures(
    bench: BenchScans, scans: DoseScans, *, rng: np.random.Generator, suffix: str
) -> Measured:
    """Resolution along z: the face of a tilted slab, by its contrast.

    Args:
        bench: The phantoms.
        scans: Of the main dose.
        rng: Draws groups of rows for intervals.
        suffix: Ends what stands in the brackets of keys.
    """
    draws = resampled(_SLAB_BLOCKS, bench.settings.draws, rng)
    key = f"z_ttf[{scans.name}{suffix}]"
    found = Measured()
    for contrast, slab in scans.slabs.items():
        response = slab - scans.water
        before = _slab_transfer(response.before, bench, None)
        after = _slab_transfer(response.after, bench, draws)
        if not found.curves:
            found += Measured(curves=(_curve(key, "input", before),))
        name = f"{contrast:g} HU"
        curve = _curve(key, name, after, "across the face of a slab that is tilted against slices")
        kept = float((response.after * response.before).sum() / np.square(response.before).sum())
        metric = _slab_metric(contrast, (after, before), kept, bench, scans.name + suffix)
        found += Measured((metric,), (curve,))
    return found


def _slab_transfer(response: DoubleArray, bench: BenchScans, draws: DoubleArray | None) -> Transfer:
    columns = bench.slab_columns
    square = response[:, columns.start : columns.stop, columns.start : columns.stop]
    rows = np.array_split(np.arange(len(columns)), _SLAB_BLOCKS)
    blocks = np.stack([square[:, some].mean(axis=1) for some in rows])  # [block, z, x]
    spacing = (bench.slice_mm, bench.pixel_spacing_mm[1])
    return straight_edge_transfer(blocks, bench.slab_edge, spacing_mm=spacing, resamplings=draws)


def _slab_metric(
    contrast: float,
    transfers: tuple[Transfer, Transfer],
    kept: float,
    bench: BenchScans,
    where: str,
) -> Metric:
    after, before = transfers
    value, _ = f50_ratio(after, before)
    note = "" if value is not None else "f50 lies beyond one over the slice spacing"
    if value is None and kept < _LOST:
        value, note = 0.0, _gone(kept * contrast, contrast)
    ends, under = after.f50_interval_per_mm, before.f50_per_mm
    if ends is not None and under is not None:
        ends = (ends[0] / under, ends[1] / under)
    return Metric(
        f"z_ttf50_ratio[{contrast:g} HU, {where}]",
        f"Resolution along the patient kept at {contrast:g} HU",
        value,
        "",
        window="none",
        mask=f"face of a slab tilted by {bench.settings.slice_edge.slope:g} mm for each mm, slices "
        f"of {bench.slice_mm:g} mm",
        reduction="paired response D(x + s) - D(x); f50 of its transfer function along z over "
        "that of s",
        better="higher",
        description="Frequency along z at which half of the contrast of an edge is left, after "
        "denoising over before; below 1, slices are blurred into each other.",
        note=note,
        interval=_interval(ends, f"bootstrap over {_SLAB_BLOCKS} groups of rows", bench),
        at=(
            ("contrast_hu", contrast),
            ("dose_percent", 100 * bench.settings.main_dose_fraction),
        ),
    )


def _curve(key: str, name: str, transfer: Transfer, note: str = "") -> Curve:
    return Curve(
        key,
        name,
        transfer.frequency_per_mm,
        transfer.values,
        _FREQUENCY,
        _TRANSFER,
        transfer.low,
        transfer.high,
        note,
    )
