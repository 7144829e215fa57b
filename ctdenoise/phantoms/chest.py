"""Lungs with airways, heart, great vessels and oesophagus of the torso."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.phantoms.anatomy import BOTTOM_MM, TOP_MM, Anatomy
from ctdenoise.phantoms.shapes import HalfSpace, Part, Shape
from ctdenoise.phantoms.skeleton import spine_y_mm
from ctdenoise.phantoms.solids import between_planes, ellipsoid, elliptic_cylinder, rotation, tube
from ctdenoise.phantoms.trunk import LUNG_FLOOR_MM


def lung_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Both lungs, without what is in them; the diaphragm is drawn over them later."""
    for side in (-1, 1):
        name = "left lung" if side > 0 else "right lung"
        yield anatomy.shape(name, "lung", *lung_parts(anatomy, side))


def lung_parts(anatomy: Anatomy, side: int, *, less_mm: float = 1.5) -> tuple[Part, ...]:
    """A lung before the diaphragm and the mediastinum are drawn over it.

    Args:
        anatomy: The patient.
        side: 1 for the left one, -1 for the right one.
        less_mm: Distance from the surface to the inside.
    """
    a, b = anatomy.cavity_mm
    taper = ellipsoid(
        (side * 0.50 * a, 0.04 * b, anatomy.diaphragm_mm - 60), (0.62 * a, 1.12 * b, 285 - less_mm)
    )
    middle = HalfSpace((-float(side), 0.0, 0.0), -(6.0 + less_mm))
    floor = HalfSpace((0.0, 0.0, -1.0), -(anatomy.diaphragm_mm + LUNG_FLOOR_MM + less_mm))
    return (anatomy.cavity(less_mm=less_mm), taper, middle, floor)


def nodule_shapes(anatomy: Anatomy, count: int, rng: np.random.Generator) -> Iterator[Shape]:
    """Solid and part-solid nodules in the lungs, 2 to 7 mm in radius.

    Args:
        anatomy: The patient.
        count: How many.
        rng: Decides where they are and what they are like.
    """
    for index in range(count):
        side = int(rng.choice((-1, 1)))
        inside = Shape("lung", 0.0, lung_parts(anatomy, side, less_mm=9.0))
        # A place in the lung: draw boxes full of places until one is inside.
        places = np.stack(
            [
                side * rng.uniform(20, anatomy.cavity_mm[0], 400),
                rng.uniform(-anatomy.cavity_mm[1], anatomy.cavity_mm[1], 400),
                rng.uniform(-60, 120, 400),
            ],
            axis=-1,
        )
        place = places[np.flatnonzero(inside.contains(places))[0]]
        radius = float(rng.uniform(2, 7))
        radii = radius * rng.uniform(0.85, 1.15, 3)
        hu = float(rng.choice((rng.uniform(10, 60), rng.uniform(-650, -450))))
        yield anatomy.shape(f"lung nodule {index + 1}", "nodule", ellipsoid(place, radii), hu=hu)


def _unit(direction: DoubleArray) -> DoubleArray:
    return np.asarray(direction / np.linalg.norm(direction), dtype=np.float64)


def airway_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Windpipe and main bronchi, each with its wall."""
    fork = np.array(anatomy.at(0, 8, 88))
    top = np.array([fork[0], fork[1] - 6, TOP_MM])
    courses = [
        ("windpipe", top, fork, 8.5),
        ("right bronchus", fork, np.array(anatomy.at(-36, 14, 58)), 6.5),
        ("left bronchus", fork, np.array(anatomy.at(42, 16, 52)), 5.5),
        (
            "right lower bronchus",
            np.array(anatomy.at(-36, 14, 60)),
            np.array(anatomy.at(-46, 28, 14)),
            4.0,
        ),
        (
            "left lower bronchus",
            np.array(anatomy.at(42, 16, 54)),
            np.array(anatomy.at(52, 30, 10)),
            3.8,
        ),
    ]
    for name, first, last, radius in courses:
        yield anatomy.shape(f"{name} wall", "oesophagus", *tube(first, last, radius + 1.3), hu=20.0)
    for name, first, last, radius in courses:
        along = _unit(last - first)
        yield anatomy.shape(name, "airway", *tube(first - along, last + along, radius))


def mediastinum_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """The fat between the lungs, the oesophagus and the great vessels of the chest."""
    high = between_planes(anatomy.diaphragm_mm + 10, TOP_MM)
    fat = ellipsoid(anatomy.at(2, -8, 70), anatomy.radii(38, 62, 150))
    yield anatomy.shape("fat between the lungs", "visceral fat", fat, *high)
    spine = elliptic_cylinder((anatomy.spine_shift_mm, spine_y_mm(anatomy)), (25, 22))
    yield anatomy.shape(
        "fat before the spine", "visceral fat", spine, *between_planes(BOTTOM_MM, TOP_MM)
    )


def heart_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Heart in its fat, with walls and chambers."""
    scale = anatomy.heart_scale
    turn = rotation(about_x=-25, about_y=20, about_z=32)
    middle = anatomy.at(24, -30, 34)
    x, y, z = middle
    sizes = anatomy.radii(60, 44, 46, scale)
    sac = ellipsoid(middle, (sizes[0] + 5, sizes[1] + 5, sizes[2] + 4), turn)
    yield anatomy.shape("fat around the heart", "visceral fat", sac, anatomy.cavity(less_mm=2))
    wall = ellipsoid(middle, sizes, turn)
    limit = anatomy.cavity(less_mm=4)
    yield anatomy.shape("heart wall", "heart wall", wall, limit)
    left = ellipsoid((x + 20 * scale, y + 4, z - 4), anatomy.radii(30, 17, 24, scale), turn)
    right = ellipsoid(
        (x - 6 * scale, y - 20 * scale, z - 2), anatomy.radii(34, 13, 26, scale), turn
    )
    left_atrium = ellipsoid(
        (x - 12 * scale, y + 27 * scale, z + 16), anatomy.radii(28, 15, 20, scale)
    )
    right_atrium = ellipsoid((x - 42 * scale, y + 2, z + 8), anatomy.radii(17, 25, 28, scale))
    for name, part in (
        ("right atrium", right_atrium),
        ("left atrium", left_atrium),
        ("right ventricle", right),
        ("left ventricle", left),
    ):
        yield anatomy.shape(name, "blood", part, limit)


def great_vessel_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Aorta, vena cava, pulmonary trunk and arteries, oesophagus."""
    y_spine = spine_y_mm(anatomy)
    down = np.array(anatomy.at(27, 0, 0))
    aorta_y = y_spine - 4
    crossing = anatomy.diaphragm_mm - 30
    course_down = [
        np.array([down[0], aorta_y, anatomy.diaphragm_mm + 104]),
        np.array([down[0], aorta_y, crossing + 60]),
        np.array([9.0, y_spine - 28, crossing - 20]),
        np.array([6.0, y_spine - 30, BOTTOM_MM]),
    ]
    yield from rounded_tubes(anatomy, "descending aorta", "vessel", course_down, 11.5)
    course = [
        (4, -16, 56),
        (-8, -28, 88),
        (-12, -24, 112),
        (-4, -8, 128),
        (12, 16, 131),
        (24, 38, 122),
    ]
    ascending = [np.array(anatomy.at(*point)) for point in course]
    ascending.append(np.array([down[0], aorta_y, anatomy.diaphragm_mm + 100]))
    yield from rounded_tubes(anatomy, "aortic arch", "vessel", ascending, 13.0)
    trunk = [np.array(anatomy.at(*point)) for point in ((24, -36, 52), (22, -26, 74), (16, -8, 84))]
    right = [np.array(anatomy.at(*point)) for point in ((16, -8, 82), (-12, 2, 76), (-40, 8, 66))]
    left = [np.array(anatomy.at(*point)) for point in ((16, -8, 84), (32, 8, 84), (46, 20, 72))]
    yield from rounded_tubes(anatomy, "pulmonary trunk", "vessel", trunk, 12.5)
    yield from rounded_tubes(anatomy, "right pulmonary artery", "vessel", right, 8.5)
    yield from rounded_tubes(anatomy, "left pulmonary artery", "vessel", left, 8.5)
    yield anatomy.shape(
        "superior vena cava",
        "vessel",
        *tube(anatomy.at(-32, -16, 52), anatomy.at(-30, -18, 220), 9),
    )
    gullet = (anatomy.at(8, 30, 240), anatomy.at(14, 24, -12))
    yield anatomy.shape("oesophagus", "oesophagus", *tube(*gullet, 6.5))
    yield anatomy.shape("air in the oesophagus", "airway", *tube(*gullet, 1.4), label="soft tissue")


def rounded_tubes(
    anatomy: Anatomy, name: str, tissue: str, points: Sequence[DoubleArray], radius_mm: float
) -> Iterator[Shape]:
    """A bent tube: straight pieces with a ball at every bend.

    Args:
        anatomy: The patient.
        name: What it is.
        tissue: What it is made of.
        points: Its course.
        radius_mm: Its radius.
    """
    for first, last in pairwise(points):
        yield anatomy.shape(name, tissue, *tube(first, last, radius_mm))
    for bend in points[1:-1]:
        yield anatomy.shape(name, tissue, ellipsoid(bend, (radius_mm,) * 3))
