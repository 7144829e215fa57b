"""How well an observer finds inserted lesions in the scan's own noise, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.randomness import stream
from ctdenoise.metrics.inserted_detectability import (
    InsertedDetectability,
    SliceResponses,
    inserted_detectability,
)
from ctdenoise.metrics.measured import Axis, Curve, Measured
from ctdenoise.metrics.table import Interval, Metric
from ctdenoise.tasks.response_figures import Inserted

FAINT_HU = 40.0
"""Detection is asked of lesions up to this contrast: what is stronger is seen anyhow."""

SIZES_MM = (5.0, 10.0)
"""Least and largest size of the lesions that it is asked of."""

Absent = Mapping[int, tuple[DoubleArray, DoubleArray]]
"""Responses to places without a lesion, before and after, [place, channel], by slice."""


def detectability_figures(
    inserted: Sequence[Inserted], absent: Mapping[float, Absent], *, draws: int, seed: int
) -> Measured:
    """Detectability of faint lesions after a denoiser over that before, and both by contrast.

    Args:
        inserted: What became of each lesion in soft tissue.
        absent: Responses to places without a lesion, by diameter of the lesions.
        draws: How often slices are drawn again for an interval.
        seed: Of these draws.
    """
    metrics: list[Metric] = []
    curves: list[Curve] = []
    for diameter, places in sorted(absent.items()):
        some = [
            one
            for one in inserted
            if one.diameter_mm == diameter and abs(one.contrast_hu) <= FAINT_HU
        ]
        found = {}
        for contrast in sorted({one.contrast_hu for one in some}):
            figure = inserted_detectability(
                list(_by_slice([one for one in some if one.contrast_hu == contrast], places)),
                draws=draws,
                rng=stream(seed, "response", "detectability"),
            )
            if figure is not None:
                found[contrast] = figure
                metrics.append(_ratio(figure, contrast, diameter))
        if found:
            curves += _curves(found, diameter)
    return Measured(tuple(metrics), tuple(curves))


def _by_slice(lesions: Sequence[Inserted], places: Absent) -> Iterator[SliceResponses]:
    channels = len(lesions[0].channels_before)
    nothing = np.zeros((0, channels))
    for place in sorted({*places, *(one.place for one in lesions)}):
        here = [one for one in lesions if one.place == place]
        before, after = places.get(place, (nothing, nothing))
        yield SliceResponses(
            before,
            after,
            np.stack([one.channels_before for one in here]) if here else nothing,
            np.stack([one.channels_after for one in here]) if here else nothing,
            np.stack([one.channels_under for one in here]) if here else nothing,
        )


def _ratio(figure: InsertedDetectability, contrast: float, diameter: float) -> Metric:
    name = f"{contrast:g} HU, {diameter:g} mm"
    return Metric(
        key=f"dprime_ratio[inserted, {name}]",
        title=f"Detectability of inserted lesions, after over before, {name}",
        value=figure.ratio,
        unit="",
        window="none",
        mask=f"lesions put into flat soft tissue, and {figure.places} places without",
        reduction=f"mean signal of {figure.lesions} lesions; 5 Laguerre-Gauss channels, mean of "
        "each region removed",
        better="higher",
        description="d' of a channelised Hotelling observer for inserted lesions in the denoised "
        f"scan ({figure.after:.2f}) over that in the scan ({figure.before:.2f}), in its own noise "
        "and anatomy.",
        interval=figure.ratio_interval,
        at=(("contrast_hu", contrast), ("diameter_mm", diameter)),
    )


def _curves(found: Mapping[float, InsertedDetectability], diameter: float) -> Iterator[Curve]:
    for name in ("before", "after"):
        intervals: list[Interval | None] = [
            getattr(one, f"{name}_interval") for one in found.values()
        ]
        ends = [(np.nan, np.nan) if one is None else (one.low, one.high) for one in intervals]
        which = "input" if name == "before" else "output"
        first = intervals[0]
        yield Curve(
            key=f"dprime[inserted, {diameter:g} mm]",
            name=which,
            x=np.array(list(found)),
            y=np.array([getattr(one, name) for one in found.values()]),
            x_axis=Axis("Contrast of the lesion", "HU"),
            y_axis=Axis("Detectability d'"),
            low=np.array([low for low, _ in ends]),
            high=np.array([high for _, high in ends]),
            note="" if first is None else f"Interval of the {which}: {first.method}",
        )
