"""Water cylinders with rods: CCT189, and the same and others in every size of patient.

CCT189 is after `CCT189_obj.m` of DIDSR/LCD_CT (public domain); sizes and rods of the size series
are those of DIDSR/pediatricIQphantoms and DIDSR/Ped-ETK. Where the eight rods begin around the
circle could not be confirmed: here the first is at the patient's left.
"""

from __future__ import annotations

from ctdenoise.config.resolution_phantoms import Cct189Settings, SizeSeriesSettings
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.materials import TUNGSTEN_HU
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import elliptic_cylinder, polar, sphere

CCT189_DIAMETER_MM = 200.0
CCT189_RADIUS_MM = 40.0
CCT189_RODS = (
    # HU, diameter in mm, angle; the file's y axis points up in the image, ours down.
    (14.0, 3.0, -45.0),
    (7.0, 5.0, -135.0),
    (5.0, 7.0, 135.0),
    (3.0, 10.0, 45.0),
)

SENSITOMETRY_HU = (15.0, -35.0, -100.0, -200.0, -1000.0, 990.0, 340.0, 120.0)
SENSITOMETRY_SIZE = 0.08
"""Diameter of a sensitometry rod over that of the cylinder."""

SENSITOMETRY_PLACE = 0.38
"""Distance of a sensitometry rod from the axis over the diameter of the cylinder."""


def cct189_drawing(settings: Cct189Settings) -> Drawing:
    """The module with the rods, or the one without."""
    shapes = [_water(CCT189_DIAMETER_MM)]
    if settings.module == "signal":
        shapes += _faint_rods(CCT189_DIAMETER_MM)
    return Drawing(tuple(shapes), labels_of(shapes), 1.25 * CCT189_DIAMETER_MM)


def size_series_drawing(settings: SizeSeriesSettings) -> Drawing:
    """One member of the series."""
    diameter_mm = settings.size_mm
    shapes = [_water(diameter_mm)]
    if settings.inserts == "sensitometry":
        for index, hu in enumerate(SENSITOMETRY_HU):
            place = polar(SENSITOMETRY_PLACE * diameter_mm, 45.0 * index)
            shapes.append(_rod(f"{hu:g} HU", hu, place, SENSITOMETRY_SIZE * diameter_mm))
    elif settings.inserts == "low_contrast":
        shapes += _faint_rods(diameter_mm)
    if settings.bead_mm is not None:
        bead = (sphere((0.0, 0.0, 0.0), settings.bead_mm),)
        shapes.append(Shape("bead", TUNGSTEN_HU, bead, label="bead"))
    return Drawing(
        tuple(shapes),
        labels_of(shapes),
        1.25 * diameter_mm,
        anatomy={"diameter_mm": diameter_mm, "age_years": settings.age_years},
    )


def _water(diameter_mm: float) -> Shape:
    body = elliptic_cylinder((0.0, 0.0), (diameter_mm / 2, diameter_mm / 2))
    return Shape("water", 0.0, (body,), label="water")


def _faint_rods(diameter_mm: float) -> list[Shape]:
    """The rods of CCT189; their distance from the axis scales with the cylinder, not their size."""
    radius_mm = CCT189_RADIUS_MM * diameter_mm / CCT189_DIAMETER_MM
    return [
        _rod(f"{hu:g} HU, {size:g} mm", hu, polar(radius_mm, angle), size)
        for hu, size, angle in CCT189_RODS
    ]


def _rod(name: str, hu: float, place_mm: tuple[float, float], diameter_mm: float) -> Shape:
    part = elliptic_cylinder(place_mm, (diameter_mm / 2, diameter_mm / 2))
    return Shape(f"rod {name}", hu, (part,), label=name)
