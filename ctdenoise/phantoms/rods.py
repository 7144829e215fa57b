"""A cylinder of water with rods of known Hounsfield units along z."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.phantom import InsertSettings, RodsSettings
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import elliptic_cylinder


def rods_labels(settings: RodsSettings) -> tuple[str, ...]:
    """Names of the labels, from number 1: the water, then every rod by its material."""
    return ("water", *(insert.material for insert in settings.inserts))


def rods_shapes(settings: RodsSettings) -> tuple[Shape, ...]:
    """The cylinder and its rods, endless along z.

    Args:
        settings: Their sizes, places and Hounsfield units.
    """
    radius_mm = settings.diameter_mm / 2
    body = elliptic_cylinder((0.0, 0.0), (radius_mm, radius_mm))
    return (
        Shape("water", settings.hu, (body,), label="water"),
        *(_rod(insert) for insert in settings.inserts),
    )


def _rod(insert: InsertSettings) -> Shape:
    angle = np.radians(insert.angle_degrees)
    centre = (insert.radius_mm * np.cos(angle), insert.radius_mm * np.sin(angle))
    radii = (insert.diameter_mm / 2, insert.diameter_mm / 2)
    part = elliptic_cylinder(centre, radii)
    return Shape(f"rod {insert.material}", insert.hu, (part,), label=insert.material)
