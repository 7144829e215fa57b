"""Discs in slices of a phantom: where they are, and their mean and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import InputError

FEWEST_PIXELS = 9
"""With fewer a disc has no noise to speak of."""


@dataclass(frozen=True, slots=True)
class Disc:
    """A disc in a slice.

    Args:
        name: What it shows: "centre", "Acrylic".
        centre: Row and column of its centre, pixels; a whole number is the centre of a pixel.
        radius_mm: Its radius.
    """

    name: str
    centre: tuple[float, float]
    radius_mm: float

    def mask(self, shape: tuple[int, int], pixel_spacing_mm: tuple[float, float]) -> BoolArray:
        """Pixels whose centre lies in the disc, [y, x].

        Args:
            shape: Rows and columns of the slice.
            pixel_spacing_mm: Along (rows, columns).
        """
        rows = (np.arange(shape[0]) - self.centre[0]) * pixel_spacing_mm[0]
        columns = (np.arange(shape[1]) - self.centre[1]) * pixel_spacing_mm[1]
        return np.asarray(np.hypot(rows[:, None], columns) <= self.radius_mm)


@dataclass(frozen=True, slots=True)
class PhantomPlace:
    """Where a round phantom is in a slice.

    Args:
        centre: Row and column of its axis, pixels.
        radius_mm: Its radius.
        roll_degrees: How far it is turned, from the right of the image towards its bottom.
    """

    centre: tuple[float, float]
    radius_mm: float
    roll_degrees: float = 0.0

    def disc(
        self,
        name: str,
        *,
        distance_mm: float,
        angle_degrees: float,
        radius_mm: float,
        pixel_spacing_mm: tuple[float, float],
    ) -> Disc:
        """A disc at a place of the phantom.

        Args:
            name: What it shows.
            distance_mm: Of its centre from the axis.
            angle_degrees: Of its centre, from the right of the image towards its bottom.
            radius_mm: Its radius.
            pixel_spacing_mm: Along (rows, columns).
        """
        angle = np.radians(angle_degrees + self.roll_degrees)
        row = self.centre[0] + distance_mm * np.sin(angle) / pixel_spacing_mm[0]
        column = self.centre[1] + distance_mm * np.cos(angle) / pixel_spacing_mm[1]
        return Disc(name, (float(row), float(column)), radius_mm)


@dataclass(frozen=True, slots=True)
class DiscFigures:
    """What is measured in a disc.

    Args:
        disc: Where.
        mean_hu: Mean of its pixels over all slices, HU.
        noise_hu: Standard deviation of its pixels in a slice, root mean square of the slices, HU.
        pixels: In one slice.
    """

    disc: Disc
    mean_hu: float
    noise_hu: float
    pixels: int


def measured_disc(
    stack: DoubleArray, disc: Disc, *, pixel_spacing_mm: tuple[float, float]
) -> DiscFigures:
    """Mean and noise in a disc.

    Args:
        stack: Slices of the same object, HU [slice, y, x].
        disc: Where.
        pixel_spacing_mm: Along (rows, columns).

    Raises:
        InputError: If the disc is not in the image as a whole, or is smaller than nine pixels.
    """
    shape = (stack.shape[1], stack.shape[2])
    _require_inside(disc, shape, pixel_spacing_mm)
    mask = disc.mask(shape, pixel_spacing_mm)
    pixels = int(mask.sum())
    if pixels < FEWEST_PIXELS:
        raise InputError(f"The disc {disc.name} has {pixels} pixels; it is too small to measure.")
    values = stack[:, mask].astype(np.float64)
    variance = float(values.var(axis=1, ddof=1).mean())
    return DiscFigures(disc, float(values.mean()), float(np.sqrt(variance)), pixels)


def _require_inside(
    disc: Disc, shape: tuple[int, int], pixel_spacing_mm: tuple[float, float]
) -> None:
    for place, size, spacing in zip(disc.centre, shape, pixel_spacing_mm, strict=True):
        reach = disc.radius_mm / spacing
        if not place - reach >= -0.5 or not place + reach <= size - 0.5:
            raise InputError(
                f"The disc {disc.name} lies partly outside the image.",
                fix="Reconstruct a larger field of view, or state where the phantom is.",
            )
