"""Body wall, table and diaphragm of the torso: what the organs lie in."""

from __future__ import annotations

from collections.abc import Iterator

from ctdenoise.phantoms.anatomy import BOTTOM_MM, TOP_MM, Anatomy
from ctdenoise.phantoms.shapes import HalfSpace, Quadric, Shape
from ctdenoise.phantoms.solids import between_planes, ellipsoid, elliptic_cylinder

LUNG_FLOOR_MM = -100.0
"""The lungs reach down to here behind the diaphragm, from the top of the right one."""

_SKIN_MM = 1.8


def table_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """A curved table: a shell of carbon fibre with foam inside."""
    top = anatomy.half_depth_mm * 1.02 + 2
    curve = elliptic_cylinder((0, top - 60), (260, 75))
    inner = elliptic_cylinder((0, top - 60), (258, 73))
    hollow = elliptic_cylinder((0, top - 60), (258, 62))
    hollow_inner = elliptic_cylinder((0, top - 60), (256, 60))
    below = HalfSpace((0.0, -1.0, 0.0), -(top - 22))
    ends = between_planes(BOTTOM_MM, TOP_MM)
    yield Shape("table shell", -420.0, (curve, below, *ends))
    yield Shape("table foam", -930.0, (inner, below, *ends))
    yield Shape("table shell", -420.0, (hollow, below, *ends))
    yield Shape("above the table", -1000.0, (hollow_inner, below, *ends))


def wall_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Skin, the fat below it, muscle with a layer of fat between, and the fat around organs."""
    layers = (
        ("skin", "skin", 0.0),
        ("fat under the skin", "fat", _SKIN_MM),
        ("outer muscle", "muscle", anatomy.fat_mm),
        ("fat between muscles", "fat", anatomy.fat_mm + 0.30 * anatomy.wall_mm),
        ("inner muscle", "muscle", anatomy.fat_mm + 0.30 * anatomy.wall_mm + 1.8),
    )
    for name, tissue, depth in layers:
        for part in _outline(anatomy, depth):
            yield anatomy.shape(name, tissue, part, *between_planes(BOTTOM_MM, TOP_MM))
    for side in (-1, 1):
        x, y = side * 33.0, anatomy.cavity_mm[1] + 1.0
        back = elliptic_cylinder((x, y), (31, 0.5 * anatomy.wall_mm + 9))
        around = elliptic_cylinder((x, y), (32.5, 0.5 * anatomy.wall_mm + 10.5))
        yield anatomy.shape(
            "fat beside the spine", "fat", around, *between_planes(BOTTOM_MM, TOP_MM)
        )
        yield anatomy.shape(
            "muscle beside the spine", "muscle", back, *between_planes(BOTTOM_MM, TOP_MM)
        )
    inside = anatomy.cavity()
    yield anatomy.shape(
        "fat around organs", "visceral fat", inside, *between_planes(BOTTOM_MM, TOP_MM)
    )


def _outline(anatomy: Anatomy, depth_mm: float) -> tuple[Quadric, ...]:
    """The body less `depth_mm` at the surface: an oval and the two halves of a flat back."""
    width, height = anatomy.half_width_mm, anatomy.half_depth_mm
    # Fat lies thicker at the flanks and in front than on the back.
    oval = elliptic_cylinder((0, 0), (width - depth_mm, height - depth_mm))
    halves = tuple(
        elliptic_cylinder(
            (side * 0.40 * width, 0.30 * height),
            (0.52 * width - depth_mm, 0.72 * height - depth_mm),
        )
        for side in (-1, 1)
    )
    return (oval, *halves)


def diaphragm_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """The two domes and what is below them, filled with fat for the organs to lie in."""
    floor = anatomy.diaphragm_mm + LUNG_FLOOR_MM
    for tissue, less in (("muscle", 0.0), ("visceral fat", 2.2)):
        for dome in domes(anatomy, less_mm=less):
            yield anatomy.shape("diaphragm", tissue, dome, anatomy.cavity(less_mm=less))
        belly = HalfSpace((0.0, 0.0, 1.0), floor - less)
        yield anatomy.shape(
            "abdomen",
            tissue,
            belly,
            anatomy.cavity(less_mm=less),
            HalfSpace((0.0, 0.0, -1.0), -BOTTOM_MM),
        )


def domes(anatomy: Anatomy, *, less_mm: float = 0.0) -> tuple[Quadric, Quadric]:
    """The right and the left dome of the diaphragm.

    Args:
        anatomy: The patient.
        less_mm: Distance from the surface to the inside.
    """

    def dome(x: float, y: float, top: float) -> Quadric:
        height = top - LUNG_FLOOR_MM
        rx, ry, _ = anatomy.radii(98, 92, 0)
        return ellipsoid(
            anatomy.at(x, y, LUNG_FLOOR_MM), (rx - less_mm, ry - less_mm, height - less_mm)
        )

    return dome(-54, -6, 0.0), dome(56, -4, -14.0)
