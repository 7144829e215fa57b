"""Uniform objects: CT number, noise, uniformity, texture of the noise, and what does not belong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ctdenoise.config.qa import QaSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.metrics.discs import Disc, DiscFigures, PhantomPlace, measured_disc
from ctdenoise.metrics.hu_scale import uniformity
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.nps import patches_at, power_of
from ctdenoise.metrics.table import Metric
from ctdenoise.report.qa_picture import ShownSlice
from ctdenoise.tasks.qa_found import (
    QaFound,
    images,
    noise_figures,
    placed,
    qa_metric,
    slices_text,
    stated_slices,
)

CLOCK = (("12 o'clock", -90.0), ("3 o'clock", 0.0), ("6 o'clock", 90.0), ("9 o'clock", 180.0))
"""Where the discs at the edge are."""

FOREIGN_HU = 30.0
"""A small area that is farther off is no artefact of a uniform object but something else (ours)."""

_FOREIGN_SIGMAS = 6.0
"""Patches with a pixel farther off than this many standard deviations hold more than noise."""

_WINDOW_HU = 120.0


def inspected_water(volume: CTVolume, settings: QaSettings) -> QaFound:
    """A cylinder of water.

    Args:
        volume: Slices that all show the water.
        settings: Where to look.

    Raises:
        InputError: If the phantom is not found, or is too small for the discs.
    """
    spacing = volume.geometry.pixel_spacing_mm
    slices = stated_slices(volume, settings.place, "uniformity") or list(range(len(volume.hu)))
    stack = images(volume, slices)
    place = placed(stack.mean(axis=0), settings.place, spacing)
    return inspected_uniform(
        stack,
        place,
        ring_mm=place.radius_mm - settings.edge_mm,
        disc_mm=settings.disc_mm,
        patch=settings.noise_patch,
        spacing=spacing,
        title="Water",
    )


def inspected_uniform(
    stack: DoubleArray,
    place: PhantomPlace,
    *,
    ring_mm: float,
    disc_mm: float,
    patch: int,
    spacing: tuple[float, float],
    title: str,
) -> QaFound:
    """A uniform part of a phantom.

    Args:
        stack: Slices, HU [slice, y, x].
        place: Where the phantom is.
        ring_mm: Distance of the discs at the edge from the axis.
        disc_mm: Radius of the discs.
        patch: Side of the patches of the noise power spectrum, pixels.
        spacing: Of the pixels along (rows, columns), mm.
        title: What it is.

    Raises:
        InputError: If the phantom is too small for the discs.
    """
    if ring_mm < disc_mm:
        raise InputError(
            f"{title}: a phantom of {2 * place.radius_mm:.0f} mm is too small for discs of "
            f"{2 * disc_mm:g} mm at its edge.",
            fix="Choose smaller ones (edge_mm, disc_mm), or state the radius of the phantom.",
        )
    discs = [Disc("centre", place.centre, disc_mm)]
    discs += [
        place.disc(
            name,
            distance_mm=ring_mm,
            angle_degrees=angle - place.roll_degrees,
            radius_mm=disc_mm,
            pixel_spacing_mm=spacing,
        )
        for name, angle in CLOCK
    ]
    found = [measured_disc(stack, disc, pixel_spacing_mm=spacing) for disc in discs]
    spot, where = _worst_spot(stack, place, ring_mm + disc_mm, disc_mm, spacing)
    count = len(stack)
    metrics = [
        *_disc_metrics(found, count, disc_mm),
        qa_metric(
            "worst_spot",
            "Largest deviation of a small area",
            spot,
            "HU",
            mask=f"squares of {2 * disc_mm:g} mm inside {ring_mm + disc_mm:.0f} mm from the axis",
            reduction=f"largest |mean - median of all|, mean of {slices_text(count)}",
            better="lower",
            description="How far a small area is from the rest: what is not uniform, anywhere.",
            note=where,
        ),
    ]
    measured = Measured(tuple(metrics)) + _noise(stack, place, ring_mm + disc_mm, patch, spacing)
    shown = ShownSlice(
        title, stack.mean(axis=0), tuple(found), found[0].mean_hu, _WINDOW_HU, spacing
    )
    remarks: tuple[str, ...] = ()
    if spot > FOREIGN_HU:
        said = f"Something that does not belong to a uniform object is in the slice ({where}): was "
        remarks = (f"{said}the phantom in its place, and is this the right slice?",)
    return QaFound(measured, (shown,), remarks)


def _disc_metrics(found: Sequence[DiscFigures], count: int, disc_mm: float) -> list[Metric]:
    centre, edges = found[0].mean_hu, found[1:]
    even = uniformity(centre, [one.mean_hu for one in edges])
    worst = max(edges, key=lambda one: abs(one.mean_hu - centre)).disc.name
    discs = f"discs of {disc_mm:g} mm radius at the centre and at 12, 3, 6 and 9 o'clock"
    mean = f"mean of the pixels of {slices_text(count)}"
    metrics = [
        qa_metric(
            f"mean_hu[{one.disc.name}]",
            f"CT number, {one.disc.name}",
            one.mean_hu,
            "HU",
            mask=f"disc of {disc_mm:g} mm radius",
            reduction=mean,
            description="Mean CT number of the disc.",
        )
        for one in found
    ]
    return [
        *metrics,
        qa_metric(
            "noise",
            "Noise",
            found[0].noise_hu,
            "HU",
            mask=f"disc of {disc_mm:g} mm radius at the centre",
            reduction=f"standard deviation, root mean square of {slices_text(count)}",
            better="lower",
            description="Standard deviation of the pixels at the centre.",
        ),
        qa_metric(
            "nonuniformity",
            "Largest difference of an edge from the centre",
            even.largest_difference_hu,
            "HU",
            mask=discs,
            reduction=mean,
            better="lower",
            description="Largest |edge - centre| of the mean CT numbers.",
            note=f"at {worst}",
        ),
        qa_metric(
            "uniformity_index",
            "Uniformity index",
            even.index_percent,
            "%",
            mask=discs,
            reduction=mean,
            better="near zero",
            description="100 (edge - centre) / (centre + 1000) of the edge that is farthest off: "
            "below zero for capping, above for cupping.",
        ),
        qa_metric(
            "integral_nonuniformity",
            "Integral non-uniformity",
            even.integral,
            "",
            mask=discs,
            reduction=mean,
            better="lower",
            description="(max - min) / (max + min + 2000) of the mean CT numbers.",
        ),
    ]


def _worst_spot(
    stack: DoubleArray,
    place: PhantomPlace,
    reach_mm: float,
    disc_mm: float,
    spacing: tuple[float, float],
) -> tuple[float, str]:
    """How far the most deviating small area is from the rest, HU, and where it is."""
    image = stack.mean(axis=0)
    size = [max(1, round(2 * disc_mm / one)) for one in spacing]
    smooth = ndimage.uniform_filter(image, size=size, mode="nearest")
    within = Disc("", place.centre, reach_mm - np.sqrt(2) * disc_mm).mask(smooth.shape, spacing)
    off = np.where(within, smooth - np.median(image[within]), 0.0)
    row, column = np.unravel_index(int(np.argmax(np.abs(off))), off.shape)
    y = float((row - place.centre[0]) * spacing[0])
    x = float((column - place.centre[1]) * spacing[1])
    hour = round(np.degrees(np.arctan2(x, -y)) / 30) % 12 or 12
    value = float(off[row, column])
    where = f"{value:+.1f} HU, {np.hypot(x, y):.0f} mm from the axis at {hour} o'clock"
    return abs(value), where.replace("-", "\N{MINUS SIGN}")


def _noise(
    stack: DoubleArray,
    place: PhantomPlace,
    reach_mm: float,
    side: int,
    spacing: tuple[float, float],
) -> Measured:
    """The noise power spectrum of patches that overlap by half; none of a bead or bubble."""
    inside = Disc("", place.centre, reach_mm).mask((stack.shape[1], stack.shape[2]), spacing)
    middle = float(np.median(stack[:, inside]))
    sigma = 1.4826 * float(np.median(np.abs(stack[:, inside] - middle)))
    inside &= (np.abs(stack - middle) <= _FOREIGN_SIGMAS * sigma).all(axis=0)
    step = side // 2
    rows, columns = stack.shape[1] - side, stack.shape[2] - side
    corners = [
        (y, x)
        for y in range(0, rows + 1, step)
        for x in range(0, columns + 1, step)
        if inside[y : y + side, x : x + side].all()
    ]
    if not corners:
        return Measured()
    sums = [
        power_of(patches_at(one, corners, side), pixel_spacing_mm=spacing, order=2) for one in stack
    ]
    total = sums[0]
    for one in sums[1:]:
        total = total + one
    return noise_figures(
        total, mask=f"patches of {side} x {side} pixels inside {reach_mm:.0f} mm from the axis"
    )
