"""The phantom of low contrast: rods on a ring, places without one between them, and their regions.

Rods and places lie in the middle of a pixel, so that regions around them need no interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.config.lcd import LcdInsertSettings, LcdSettings
from ctdenoise.core.arrays import DoubleArray, HuArray
from ctdenoise.metrics.channels import Channels, named_channels
from ctdenoise.metrics.dose_equivalence import Responses
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import elliptic_cylinder

FIRST_ANGLE_DEGREES = 45.0
"""Where the first rod lies: with the four rods of MITA every one is where it is in CCT189."""

Pixel = tuple[int, int]
"""Row and column."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where regions lie in a slice.

    Args:
        present: Pixels in the middle of the copies of each rod, [insert][copy].
        absent: Pixels in the middle of places without a rod.
        half: Pixels from the middle of a region to its edge: a region has 2 half + 1.
        spacing_mm: Of the pixels.
    """

    present: tuple[tuple[Pixel, ...], ...]
    absent: tuple[Pixel, ...]
    half: int
    spacing_mm: float

    @property
    def side(self) -> int:
        """Pixels along a side of a region."""
        return 2 * self.half + 1


def layout_of(settings: LcdSettings) -> Layout:
    """The ring: a rod, a place without one, the next rod, and so on.

    Args:
        settings: Rods, copies and the size of the ring.
    """
    scan, inserts = settings.scan, len(settings.inserts)
    spacing_mm = scan.field_of_view_mm / scan.size
    rods = inserts * settings.copies
    angles = np.radians(FIRST_ANGLE_DEGREES + np.arange(2 * rods) * 180 / rods)
    middle = (scan.size - 1) / 2
    columns = np.rint(middle + settings.ring_radius_mm * np.cos(angles) / spacing_mm).astype(int)
    rows = np.rint(middle + settings.ring_radius_mm * np.sin(angles) / spacing_mm).astype(int)
    pixels = [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
    return Layout(
        present=tuple(tuple(pixels[2 * index :: 2 * inserts]) for index in range(inserts)),
        absent=tuple(pixels[1::2]),
        half=round(settings.region_mm / spacing_mm / 2),
        spacing_mm=spacing_mm,
    )


def lcd_shapes(settings: LcdSettings) -> tuple[Shape, ...]:
    """The cylinder and its rods, endless along z.

    Args:
        settings: Their sizes, places and Hounsfield units.
    """
    layout = layout_of(settings)
    middle = (settings.scan.size - 1) / 2
    radius_mm = settings.diameter_mm / 2
    shapes = [Shape("water", 0.0, (elliptic_cylinder((0.0, 0.0), (radius_mm, radius_mm)),))]
    for insert, pixels in zip(settings.inserts, layout.present, strict=True):
        for row, column in pixels:
            centre = ((column - middle) * layout.spacing_mm, (row - middle) * layout.spacing_mm)
            radii = (insert.diameter_mm / 2, insert.diameter_mm / 2)
            shapes.append(Shape(insert.name, insert.hu, (elliptic_cylinder(centre, radii),)))
    return tuple(shapes)


def channels_of(insert: LcdInsertSettings, settings: LcdSettings) -> Channels:
    """The channels that look for a rod.

    Args:
        insert: The rod.
        settings: Which channels, and the size of the regions.
    """
    layout = layout_of(settings)
    return named_channels(
        settings.observer,
        (layout.side, layout.side),
        radius_pixels=insert.diameter_mm / 2 / layout.spacing_mm,
        mean_removed=settings.removes_mean,
    )


def responses_to(hu: HuArray, settings: LcdSettings) -> tuple[Responses, ...]:
    """What the observer's channels answer to every region, one for each rod.

    Args:
        hu: Slices, HU, [slice, y, x].
        settings: The rods and the observer.
    """
    layout = layout_of(settings)
    absent = [_region(hu, pixel, layout.half) for pixel in layout.absent]
    found = []
    for insert, pixels in zip(settings.inserts, layout.present, strict=True):
        channels = channels_of(insert, settings)
        present = [_region(hu, pixel, layout.half) for pixel in pixels]
        found.append(
            Responses(
                *(
                    np.stack([channels.responses(region) for region in regions], axis=1)
                    for regions in (present, absent)
                )
            )
        )
    return tuple(found)


def _region(hu: HuArray, pixel: Pixel, half: int) -> DoubleArray:
    row, column = pixel
    part = hu[:, row - half : row + half + 1, column - half : column + half + 1]
    return part.astype(np.float64)
