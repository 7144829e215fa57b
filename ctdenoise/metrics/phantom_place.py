"""Finding a round phantom in a slice: its axis, its radius, and how far it is turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.body import body_mask
from ctdenoise.errors import InputError
from ctdenoise.metrics.discs import PhantomPlace

_ROUND_MM = 1.5
"""Most of the outline of a round phantom is nearer than this to its circle."""

_FIT_ROUNDS = 4
_ROLL_STEP_DEGREES = 0.25
_SHOULDER_DEGREES = 10.0
"""How far beyond the largest turn the inserts are looked up, so that a peak there has two sides."""


def found_phantom(image: DoubleArray, *, pixel_spacing_mm: tuple[float, float]) -> PhantomPlace:
    """The circle that the outline of the phantom lies on.

    The outline is that of the body in the slice, without the table; what sticks out of the circle,
    such as a holder, is left out of the fit.

    Args:
        image: HU [y, x].
        pixel_spacing_mm: Along (rows, columns).

    Raises:
        InputError: If nothing round is there.
    """
    mask = body_mask(image.astype(np.float32))
    edge = mask & ~ndimage.binary_erosion(mask)
    rows, columns = np.nonzero(edge)
    if rows.size < 50:
        raise InputError(
            "No phantom was found in the slice.", fix="State its centre and radius: place.centre."
        )
    y: DoubleArray = np.asarray(rows * pixel_spacing_mm[0], dtype=np.float64)
    x: DoubleArray = np.asarray(columns * pixel_spacing_mm[1], dtype=np.float64)
    kept = np.ones(rows.size, dtype=bool)
    for _ in range(_FIT_ROUNDS):
        cy, cx, radius = _circle(y[kept], x[kept])
        off = np.abs(np.hypot(y - cy, x - cx) - radius)
        kept = off <= max(_ROUND_MM, float(np.median(off)) * 2)
    if float(np.median(off)) > _ROUND_MM:
        raise InputError(
            f"What is in the slice is not round: its outline is {float(np.median(off)):.1f} mm off "
            "a circle.",
            fix="State the centre and radius of the phantom: place.centre and place.radius_mm.",
        )
    half_pixel = float(np.mean(pixel_spacing_mm)) / 2  # the outline is made of inner pixels
    centre = (float(cy / pixel_spacing_mm[0]), float(cx / pixel_spacing_mm[1]))
    return PhantomPlace(centre, float(radius) + half_pixel)


def _circle(y: DoubleArray, x: DoubleArray) -> tuple[float, float, float]:
    """Centre (y, x) and radius of the circle of least squares (Kasa 1976)."""
    matrix = np.stack([y, x, np.ones_like(y)], axis=1)
    a, b, c = np.linalg.lstsq(matrix, y**2 + x**2, rcond=None)[0]
    return float(a / 2), float(b / 2), float(np.sqrt(c + (a**2 + b**2) / 4))


@dataclass(frozen=True, slots=True)
class Insert:
    """A rod of a phantom.

    Args:
        name: Its material.
        hu: What its CT number should be, HU.
        angle_degrees: Where it is, from the right of the image towards its bottom.
        diameter_mm: Its diameter.
    """

    name: str
    hu: float
    angle_degrees: float
    diameter_mm: float


@dataclass(frozen=True, slots=True)
class FoundInserts:
    """How well the inserts of a module fit a slice.

    Args:
        place: Where the phantom is, turned as it fits best.
        error_hu: Mean of |measured - true| over the inserts, each at most the error bound.
    """

    place: PhantomPlace
    error_hu: float


_BOUND_HU = 200.0
"""An insert that is farther off counts as this much: one wrong insert does not decide. No insert
has a larger say in the turn than one of this contrast."""


def found_inserts(
    image: DoubleArray,
    place: PhantomPlace,
    inserts: Sequence[Insert],
    *,
    ring_mm: float,
    pixel_spacing_mm: tuple[float, float],
    most_degrees: float = 15.0,
) -> FoundInserts:
    """How far the phantom is turned, by where its inserts are.

    For turns in steps of a quarter of a degree the contrasts of discs of the size of the inserts,
    weighted by what they should be, are added; the middle of the turns within a tenth of the best
    sum is taken.

    Args:
        image: HU [y, x].
        place: Where the phantom is.
        inserts: Its inserts.
        ring_mm: Distance of the inserts from the axis.
        pixel_spacing_mm: Along (rows, columns).
        most_degrees: How far it may be turned; 0 takes the turn of `place`.
    """
    steps = int((most_degrees + _SHOULDER_DEGREES) / _ROLL_STEP_DEGREES) if most_degrees else 0
    turns = np.asarray(place.roll_degrees + np.arange(-steps, steps + 1) * _ROLL_STEP_DEGREES)
    around = np.arange(0.0, 360.0, 1.0)
    background = float(np.median(_seen(image, place, ring_mm, around, 0.0, pixel_spacing_mm)))
    total = np.zeros(len(turns))
    for one in inserts:
        angles = np.asarray(turns + one.angle_degrees)
        seen = _seen(image, place, ring_mm, angles, one.diameter_mm / 2, pixel_spacing_mm)
        weight = np.clip(one.hu - background, -_BOUND_HU, _BOUND_HU)
        total += weight * np.clip(seen - background, -_BOUND_HU, _BOUND_HU)
    best = int(np.argmax(total))
    low, high = best, best
    enough = total[best] - 0.1 * abs(float(total[best]))
    while low > 0 and total[low - 1] >= enough:
        low -= 1
    while high < len(turns) - 1 and total[high + 1] >= enough:
        high += 1
    turned = replace(place, roll_degrees=float((turns[low] + turns[high]) / 2))
    errors = []
    for one in inserts:
        angle = np.array([turned.roll_degrees + one.angle_degrees])
        seen = _seen(image, place, ring_mm, angle, one.diameter_mm / 4, pixel_spacing_mm)
        errors.append(min(abs(float(seen[0]) - one.hu), _BOUND_HU))
    return FoundInserts(turned, float(np.mean(errors)))


def _seen(
    image: DoubleArray,
    place: PhantomPlace,
    ring_mm: float,
    degrees: DoubleArray,
    radius_mm: float,
    spacing: tuple[float, float],
) -> DoubleArray:
    """Means of discs at places of a ring around the axis."""
    angles = np.radians(degrees)
    y, x = _disc_points(radius_mm)
    rows = place.centre[0] + (ring_mm * np.sin(angles)[:, None] + y) / spacing[0]
    columns = place.centre[1] + (ring_mm * np.cos(angles)[:, None] + x) / spacing[1]
    values = ndimage.map_coordinates(image, [rows, columns], order=1, mode="nearest")
    return np.asarray(values.mean(axis=1), dtype=np.float64)


def _disc_points(radius_mm: float) -> tuple[DoubleArray, DoubleArray]:
    """Points spread evenly over a disc (Vogel's spiral), mm."""
    count = 80 if radius_mm > 0 else 1
    number = np.arange(count)
    distance = radius_mm * np.sqrt((number + 0.5) / count)
    angle = number * np.pi * (3 - np.sqrt(5))
    return np.asarray(distance * np.sin(angle)), np.asarray(distance * np.cos(angle))
