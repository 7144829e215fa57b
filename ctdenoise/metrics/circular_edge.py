"""The edge of a disc in a slice: its place to a hundredth of a pixel, and the pixels around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import InputError

LONGEST_REACH_MM = 5.0
"""Farther from the edge there is nothing of it; noise only."""

_SHARE_OF_RADIUS = 0.9  # inside, the reach must end before the centre, where rings have no pixels
_FAR_FROM_EDGE = 0.6  # of the reach; beyond lie the plateaus on either side
_LEAST_SEEN = 0.5  # of the pixels of each part, so that a plateau is not that of one side


@dataclass(frozen=True, slots=True)
class CircularEdge:
    """A circle in a slice.

    Args:
        centre: Row and column of its centre, pixels; a whole number is the centre of a pixel.
        radius_mm: Its radius.
        reach_mm: How far on either side of the edge pixels are looked at; None for nine tenths of
            the radius, at most 5 mm. Neighbours must be farther away than this.

    Raises:
        InputError: If a length is not positive or the reach is longer than the radius.
    """

    centre: tuple[float, float]
    radius_mm: float
    reach_mm: float | None = None

    def __post_init__(self) -> None:
        if not self.radius_mm > 0 or not 0 < self.reach <= self.radius_mm:
            raise InputError(
                f"A circular edge of radius {self.radius_mm} mm cannot be looked at over "
                f"{self.reach_mm} mm on either side.",
                fix="Give a positive radius and a reach that is not longer.",
            )

    @property
    def reach(self) -> float:
        """How far on either side of the edge pixels are looked at, mm."""
        if self.reach_mm is not None:
            return self.reach_mm
        return min(_SHARE_OF_RADIUS * self.radius_mm, LONGEST_REACH_MM)

    def distance_mm(
        self, shape: tuple[int, int], pixel_spacing_mm: tuple[float, float]
    ) -> DoubleArray:
        """Distance of the centre of each pixel from that of the circle, mm [y, x].

        Args:
            shape: Rows and columns.
            pixel_spacing_mm: Along (rows, columns).
        """
        rows = (np.arange(shape[0]) - self.centre[0]) * pixel_spacing_mm[0]
        columns = (np.arange(shape[1]) - self.centre[1]) * pixel_spacing_mm[1]
        return np.asarray(np.hypot(rows[:, None], columns))


@dataclass(frozen=True, slots=True, eq=False)
class EdgeRegion:
    """Pixels around a circular edge.

    All pixels up to the reach beyond the edge belong to it that are in the image and valid. At
    least half of the pixels of each of its parts must: inside the edge, at the edge and outside.

    Args:
        edge: The circle.
        pixels: Index of each pixel in the flattened slice.
        distance_mm: Of each pixel from the centre.
    """

    edge: CircularEdge
    pixels: npt.NDArray[np.intp]
    distance_mm: DoubleArray

    @property
    def inside(self) -> BoolArray:
        """Pixels of the plateau inside, a mask over the pixels."""
        return self.distance_mm < self.edge.radius_mm - _FAR_FROM_EDGE * self.edge.reach

    @property
    def outside(self) -> BoolArray:
        """Pixels of the plateau outside, a mask over the pixels."""
        return self.distance_mm > self.edge.radius_mm + _FAR_FROM_EDGE * self.edge.reach

    @property
    def from_edge_mm(self) -> DoubleArray:
        """Distance of each pixel from the edge, outwards positive, mm."""
        return self.distance_mm - self.edge.radius_mm

    def values(self, stack: DoubleArray) -> DoubleArray:
        """The pixels of each slice, [slice, pixel].

        Args:
            stack: Indexed [slice, y, x].
        """
        return stack.reshape(len(stack), -1)[:, self.pixels].astype(np.float64)


def edge_region(
    edge: CircularEdge,
    shape: tuple[int, int],
    *,
    pixel_spacing_mm: tuple[float, float],
    valid: BoolArray | None = None,
) -> EdgeRegion:
    """The pixels around a circular edge.

    Args:
        edge: The circle.
        shape: Rows and columns of a slice.
        pixel_spacing_mm: Along (rows, columns).
        valid: False where pixels must not count: padding, neighbouring inserts; [y, x].

    Raises:
        InputError: If less than half of the inside, the edge or the outside can be seen.
    """
    distance = edge.distance_mm(shape, pixel_spacing_mm)
    used = distance <= edge.radius_mm + edge.reach
    if valid is not None:
        used &= valid
    pixels = np.flatnonzero(used)
    region = EdgeRegion(edge, pixels, distance.ravel()[pixels])
    near, far = (edge.radius_mm + side * _FAR_FROM_EDGE * edge.reach for side in (-1, 1))
    bounds = (0.0, near, far, edge.radius_mm + edge.reach)
    pixel = pixel_spacing_mm[0] * pixel_spacing_mm[1]
    for low, high in pairwise(bounds):
        seen = np.count_nonzero((region.distance_mm >= low) & (region.distance_mm < high))
        if seen * pixel < _LEAST_SEEN * np.pi * (high**2 - low**2):
            raise InputError(
                f"Less than half of the pixels {low:.1f} to {high:.1f} mm from the centre of a "
                "circular edge can be used.",
                fix="Give the right centre and radius, a shorter reach, or larger images.",
            )
    return region


def found_edge(
    image: DoubleArray,
    guess: CircularEdge,
    *,
    pixel_spacing_mm: tuple[float, float],
    valid: BoolArray | None = None,
) -> CircularEdge:
    """The circle that fits a slice best, by least squares of a disc with a Gaussian edge.

    The model is b + c / 2 erfc((d - R) / (sqrt(2) s)) at the distance d from the centre; centre,
    R, s, b and c are free.

    Args:
        image: Indexed [y, x].
        guess: The circle to within a third of its reach.
        pixel_spacing_mm: Along (rows, columns).
        valid: False where pixels must not count, [y, x].

    Raises:
        InputError: If too few pixels can be used, or no circle is found near the guess.
    """
    region = edge_region(guess, image.shape, pixel_spacing_mm=pixel_spacing_mm, valid=valid)
    values = region.values(image[None])[0]
    background = float(np.median(values[region.outside]))
    contrast = float(np.median(values[region.inside])) - background
    if contrast == 0:
        raise InputError("A circular edge without contrast cannot be found.")
    rows, columns = np.divmod(region.pixels, image.shape[1])
    y = (rows - guess.centre[0]) * pixel_spacing_mm[0]
    x = (columns - guess.centre[1]) * pixel_spacing_mm[1]
    wanted = (values - background) / contrast

    def residual(free: DoubleArray) -> DoubleArray:
        away = np.hypot(y - free[0], x - free[1]) - free[2]
        step = special.erfc(away / (np.sqrt(2) * free[3]))
        return np.asarray(free[4] + free[5] / 2 * step - wanted)

    room, pixel = guess.reach / 2, min(pixel_spacing_mm)
    start = np.array([0.0, 0.0, guess.radius_mm, min(pixel, room), 0.0, 1.0])
    span = np.array([room, room, room, np.inf, np.inf, np.inf])
    low = start - span
    low[3] = pixel / 50
    high = start + span
    high[3] = 2 * room
    fit = optimize.least_squares(residual, start, bounds=(low, high))
    if np.abs(fit.x[:3] - start[:3]).max() > 0.99 * room:
        raise InputError(
            "No circular edge was found near the place that was given.",
            fix="Give its centre and radius to within a third of its reach.",
        )
    centre = (
        guess.centre[0] + float(fit.x[0]) / pixel_spacing_mm[0],
        guess.centre[1] + float(fit.x[1]) / pixel_spacing_mm[1],
    )
    return replace(guess, centre=centre, radius_mm=float(fit.x[2]), reach_mm=guess.reach)
