"""A cylinder of water."""

from __future__ import annotations

from ctdenoise.config.phantom import WaterSettings
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import elliptic_cylinder

LABELS = ("water",)
"""Names of the labels, from number 1."""


def water_shapes(settings: WaterSettings) -> tuple[Shape, ...]:
    """The cylinder, endless along z, its axis through the isocentre.

    Args:
        settings: Its size and Hounsfield units.
    """
    depth_mm = settings.diameter_mm if settings.depth_mm is None else settings.depth_mm
    cylinder = elliptic_cylinder((0.0, 0.0), (settings.diameter_mm / 2, depth_mm / 2))
    return (Shape("water", settings.hu, (cylinder,), label="water"),)
