"""Liver, spleen, kidneys, stomach, bowel, pancreas and vessels of the upper abdomen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ctdenoise.phantoms.anatomy import BOTTOM_MM, Anatomy
from ctdenoise.phantoms.shapes import HalfSpace, Part, Shape
from ctdenoise.phantoms.skeleton import spine_y_mm
from ctdenoise.phantoms.solids import ellipsoid, elliptic_cylinder, rotation, tube
from ctdenoise.phantoms.trunk import LUNG_FLOOR_MM, domes

_LOOPS = 110
"""Loops of bowel; later ones lie on earlier ones."""


def liver_parts(anatomy: Anatomy) -> tuple[tuple[Part, ...], ...]:
    """Convex solids whose union is the liver."""
    scale = anatomy.liver_scale
    limit = anatomy.cavity(less_mm=4)
    right_dome, left_dome = domes(anatomy, less_mm=3.2)
    top = HalfSpace((0.0, 0.0, -1.0), -(anatomy.diaphragm_mm + LUNG_FLOOR_MM))
    right = ellipsoid(anatomy.at(-66, 0, -92), anatomy.radii(74, 74, 96, scale))
    left = ellipsoid(
        anatomy.at(2, -44, -62), anatomy.radii(72, 34, 48, scale), rotation(about_y=8, about_z=-8)
    )
    below = ellipsoid(anatomy.at(-78, 2, -112), anatomy.radii(56, 62, 86, scale))
    return (
        (right, right_dome, top, limit),
        (left, right_dome, limit),
        (left, left_dome, limit),
        (below, limit, HalfSpace((0.0, 0.0, 1.0), anatomy.diaphragm_mm + LUNG_FLOOR_MM - 3)),
    )


def liver_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """The liver, its veins, portal branches and the gall bladder."""
    for parts in liver_parts(anatomy):
        yield anatomy.shape("liver", "liver", *parts)
    meeting = anatomy.at(-24, 18, -14)
    for end, radius in (
        ((-104, 2, -48), 4.2),
        ((-66, -44, -34), 4.0),
        ((10, -40, -32), 3.6),
        ((-92, 38, -70), 3.4),
    ):
        yield anatomy.shape(
            "hepatic vein", "liver vessel", *tube(meeting, anatomy.at(*end), radius)
        )
    gate = anatomy.at(-34, -4, -72)
    for end, radius in (((-76, 6, -66), 5.2), ((-8, -34, -62), 4.4)):
        yield anatomy.shape("portal vein", "liver vessel", *tube(gate, anatomy.at(*end), radius))
    fork = anatomy.at(-76, 6, -66)
    for end, radius in (((-106, -22, -84), 3.4), ((-104, 32, -58), 3.2), ((-80, -40, -96), 3.0)):
        yield anatomy.shape("portal vein", "liver vessel", *tube(fork, anatomy.at(*end), radius))
    bladder = ellipsoid(anatomy.at(-46, -42, -112), (13, 16, 26), rotation(about_x=20))
    yield anatomy.shape("gall bladder", "bile", bladder)


def kidney_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Both kidneys in their fat, with sinus, and the adrenal region left to the fat."""
    limit = anatomy.cavity(less_mm=6)
    for side, z in ((1, -118), (-1, -130)):
        name = "left kidney" if side > 0 else "right kidney"
        middle = anatomy.at(side * 61, 36, z)
        turn = rotation(about_x=-10, about_y=side * -12, about_z=side * 32)
        yield anatomy.shape(
            f"fat around the {name}", "visceral fat", ellipsoid(middle, (40, 36, 68), turn), limit
        )
        yield anatomy.shape(name, "kidney", ellipsoid(middle, (31, 26, 56), turn), limit)
        hilum = (middle[0] - side * 14, middle[1] - 7, middle[2])
        yield anatomy.shape(f"{name} sinus", "renal sinus", ellipsoid(hilum, (15, 9, 27), turn))
        vein_end = (side * 14.0, spine_y_mm(anatomy) - 28, middle[2] + 6)
        yield anatomy.shape(f"{name} vein", "vessel", *tube(hilum, vein_end, 4.2))


def spleen_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """The spleen, hollow towards the stomach."""
    left_dome = domes(anatomy, less_mm=4)[1]
    outer = ellipsoid(anatomy.at(92, 32, -72), anatomy.radii(46, 50, 62), rotation(about_z=-24))
    above = HalfSpace((0.0, 0.0, -1.0), -(anatomy.diaphragm_mm + LUNG_FLOOR_MM))
    limit = anatomy.cavity(less_mm=5)
    yield anatomy.shape("spleen", "spleen", outer, left_dome, limit, above)
    low = HalfSpace((0.0, 0.0, 1.0), anatomy.diaphragm_mm + LUNG_FLOOR_MM)
    yield anatomy.shape("spleen", "spleen", outer, limit, low)
    hollow = ellipsoid(anatomy.at(60, 8, -62), anatomy.radii(36, 34, 60))
    yield anatomy.shape("fat at the spleen", "visceral fat", hollow, left_dome, limit)


def stomach_shapes(anatomy: Anatomy, rng: np.random.Generator) -> Iterator[Shape]:
    """The stomach with fluid and a bubble of gas above it (the patient lies on the back)."""
    left_dome = domes(anatomy, less_mm=4)[1]
    limit = anatomy.cavity(less_mm=5)
    turn = rotation(about_y=-14, about_z=18)
    middle = anatomy.at(56, -20, -70)
    outer, inner = anatomy.radii(44, 40, 52), anatomy.radii(39, 35, 47)
    level = middle[1] - float(rng.uniform(2, 22))
    yield anatomy.shape("stomach wall", "wall", ellipsoid(middle, outer, turn), left_dome, limit)
    inside = (
        ellipsoid(middle, inner, turn),
        domes(anatomy, less_mm=8)[1],
        anatomy.cavity(less_mm=9),
    )
    yield anatomy.shape("stomach contents", "contents", *inside)
    yield anatomy.shape("gas in the stomach", "gas", *inside, HalfSpace((0.0, 1.0, 0.0), level))


def pancreas_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """The pancreas as a chain of lobes, and the vein behind it."""
    points = [
        (-30, 4, -104),
        (-14, -8, -98),
        (6, -14, -94),
        (26, -8, -90),
        (46, 4, -86),
        (62, 16, -80),
    ]
    for first, last in pairwise(points):
        a, b = np.array(anatomy.at(*first)), np.array(anatomy.at(*last))
        turn = rotation(about_z=float(np.degrees(np.arctan2(b[1] - a[1], b[0] - a[0]))))
        yield anatomy.shape("pancreas", "pancreas", ellipsoid((a + b) / 2, (16, 9.5, 13), turn))
    for first, last in pairwise(points[1:]):
        a, b = np.array(anatomy.at(*first)), np.array(anatomy.at(*last))
        behind = np.array([0.0, 8.5, 0.0])
        yield anatomy.shape("splenic vein", "vessel", *tube(a + behind, b + behind, 4.2))


def belly_vessel_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """The lower vena cava and the artery to the bowel."""
    y = spine_y_mm(anatomy)
    low, high = anatomy.at(-23, 0, 0)[0], anatomy.diaphragm_mm + 6
    cava = elliptic_cylinder((low, y - 26), (11.5, 9))
    ends = (HalfSpace((0.0, 0.0, 1.0), high), HalfSpace((0.0, 0.0, -1.0), -BOTTOM_MM))
    yield anatomy.shape("lower vena cava", "vessel", cava, *ends)
    root = (8.0, y - 38, anatomy.diaphragm_mm - 96)
    yield anatomy.shape(
        "mesenteric artery", "vessel", *tube(root, (10.0, y - 54, root[2] - 110), 3.6)
    )


def muscle_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Crura of the diaphragm and the psoas muscles beside the spine."""
    y = spine_y_mm(anatomy)
    for side in (-1, 1):
        crus = (
            (side * 16.0, y - 17, anatomy.diaphragm_mm - 22),
            (side * 13.0, y - 18, anatomy.diaphragm_mm - 130),
        )
        yield anatomy.shape("crus", "muscle", *tube(*crus, 6.0))
        psoas = ((side * 27.0, y + 6, anatomy.diaphragm_mm - 105), (side * 46.0, y - 2, BOTTOM_MM))
        yield anatomy.shape("psoas", "muscle", *tube(*psoas, 15.0))


def bowel_shapes(anatomy: Anatomy, rng: np.random.Generator) -> Iterator[Shape]:
    """Loops of bowel below the liver and stomach, some with gas.

    Args:
        anatomy: The patient.
        rng: Decides where they lie and what is in them.
    """
    limit = anatomy.cavity(less_mm=6)
    inside = anatomy.cavity(less_mm=9)
    for index in range(_LOOPS):
        x = float(rng.uniform(-70, 112))
        y = float(rng.uniform(-64, 4))
        z = float(rng.uniform(-300, -112 if x > 0 else -150))
        middle = anatomy.at(x, y, z)
        radius = float(rng.uniform(11, 19))
        radii = np.array([radius * rng.uniform(1.1, 1.9), radius, radius])
        turn = rotation(about_y=float(rng.uniform(-40, 40)), about_z=float(rng.uniform(-50, 50)))
        name = f"bowel loop {index + 1}"
        yield anatomy.shape(f"{name} wall", "wall", ellipsoid(middle, radii, turn), limit)
        lumen = ellipsoid(middle, radii - 2.6, turn)
        yield anatomy.shape(name, "contents", lumen, inside, hu=float(rng.uniform(5, 45)))
        if rng.random() < 0.4:
            level = HalfSpace((0.0, 1.0, 0.0), middle[1] + float(rng.uniform(-8, 6)))
            yield anatomy.shape(f"gas in {name}", "gas", lumen, inside, level)
