"""Where lesions are put into a scan: in flat parts of a tissue, out of each other's reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.metrics.hu_accuracy import SMOOTHING_MM

FLAT_SHARE = 0.5
"""The flatter half of a tissue is flat."""

RELIEF_MM = 10.0
"""Side of the square whose spread says how flat a place is."""

CALM_TIMES = 2.0
"""A tissue is calm where its spread is at most so many times the usual one: no edge is within 5 mm.
"""

_LEAST_RELIEF_HU2 = 1e-3  # of phantoms without noise, whose spread is rounding


@dataclass(frozen=True, slots=True)
class Site:
    """A place for a lesion.

    Args:
        group: Number of the group of lesions that it is for.
        row: Of its centre, pixels.
        column: Of its centre, pixels.
        diameter_mm: Size of the lesion.
        angle_degrees: Direction of its longer axis.
    """

    group: int
    row: float
    column: float
    diameter_mm: float
    angle_degrees: float


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A tissue of a slice that takes lesions.

    Args:
        group: Number of the group of lesions that it takes.
        inside: Where the tissue is, [y, x].
        flat: Where it is flat, [y, x].
        diameters_mm: Sizes of the lesions.
        elongation: Longer over shorter diameter of the lesions.
    """

    group: int
    inside: BoolArray
    flat: BoolArray
    diameters_mm: tuple[float, ...]
    elongation: float = 1.0


def flat_part(
    image: HuArray, inside: BoolArray, pixel_spacing_mm: tuple[float, float]
) -> BoolArray:
    """The flatter half of a tissue, by the spread of the smoothed image over 10 mm.

    Args:
        image: Hounsfield units, [y, x]; padding set to air.
        inside: Where the tissue is.
        pixel_spacing_mm: Distance between rows, then between columns.
    """
    if not inside.any():
        return inside.copy()
    relief = _relief(image, pixel_spacing_mm)
    flat: BoolArray = inside & (relief <= np.quantile(relief[inside], FLAT_SHARE))
    return flat


def calm_part(
    image: HuArray, inside: BoolArray, pixel_spacing_mm: tuple[float, float]
) -> BoolArray:
    """Where a tissue has no edge within five millimetres, neither its own border nor another's.

    Args:
        image: Hounsfield units, [y, x]; padding set to air.
        inside: Where the tissue is.
        pixel_spacing_mm: Distance between rows, then between columns.
    """
    if not inside.any():
        return inside.copy()
    relief = _relief(image, pixel_spacing_mm)
    usual = max(float(np.median(relief[inside])), _LEAST_RELIEF_HU2)
    calm: BoolArray = inside & (relief <= CALM_TIMES**2 * usual)
    return calm


def _relief(image: HuArray, pixel_spacing_mm: tuple[float, float]) -> DoubleArray:
    """Variance of the smoothed image over the square around each pixel, HU^2."""
    size, wide = (
        [max(1, round(side / one)) for one in pixel_spacing_mm]
        for side in (SMOOTHING_MM, RELIEF_MM)
    )
    smooth = ndimage.uniform_filter(image.astype(np.float64), size, mode="nearest")
    mean = ndimage.uniform_filter(smooth, wide, mode="nearest")
    square = ndimage.uniform_filter(smooth**2, wide, mode="nearest")
    return np.asarray(square - mean**2)


def sites_of(
    grounds: Sequence[Ground],
    pixel_spacing_mm: tuple[float, float],
    *,
    apart_mm: float,
    most: int,
    taken: dict[tuple[int, float], int],
    rng: np.random.Generator,
) -> tuple[Site, ...]:
    """Places for lesions in a slice, as many as fit; sizes that have few so far come first.

    A lesion lies in its tissue as a whole, its centre in the flat part, and its border is at least
    `apart_mm` away from that of any other.

    Args:
        grounds: The tissues.
        pixel_spacing_mm: Distance between rows, then between columns.
        apart_mm: Distance between the borders of lesions.
        most: Lesions in the slice, at most.
        taken: How many places each group and size has so far; counted on.
        rng: Source of randomness.
    """
    if not grounds:
        return ()
    shape = grounds[0].inside.shape
    free_mm = np.full(shape, np.inf)
    rows, columns = (np.arange(n) * d for n, d in zip(shape, pixel_spacing_mm, strict=True))
    depths = [
        np.asarray(ndimage.distance_transform_edt(ground.inside, sampling=pixel_spacing_mm))
        for ground in grounds
    ]
    open_ = [
        (place, diameter)
        for place, ground in enumerate(grounds)
        for diameter in ground.diameters_mm
    ]
    found: list[Site] = []
    while open_ and len(found) < most:
        open_.sort(key=lambda one: (taken.get((grounds[one[0]].group, one[1]), 0), -one[1]))
        place, diameter = open_[0]
        ground, radius = grounds[place], diameter / 2 * float(np.sqrt(grounds[place].elongation))
        at = _drawn(ground.flat & (depths[place] > radius) & (free_mm > radius + apart_mm), rng)
        if at is None:
            open_.pop(0)
            continue
        part = rng.uniform(-0.5, 0.5, 2)
        site = Site(
            ground.group, at[0] + part[0], at[1] + part[1], diameter, float(rng.uniform(0, 180))
        )
        found.append(site)
        key = (ground.group, diameter)
        taken[key] = taken.get(key, 0) + 1
        away = np.hypot(
            rows[:, None] - site.row * pixel_spacing_mm[0],
            columns - site.column * pixel_spacing_mm[1],
        )
        np.minimum(free_mm, away - radius, out=free_mm)
    return tuple(found)


def _drawn(allowed: BoolArray, rng: np.random.Generator) -> tuple[int, int] | None:
    """One of the pixels of a mask; None of none."""
    places = np.flatnonzero(allowed)
    if not places.size:
        return None
    row, column = np.unravel_index(int(rng.choice(places)), allowed.shape)
    return int(row), int(column)
