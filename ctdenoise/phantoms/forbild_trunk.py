"""The FORBILD thorax and abdomen.

ThoraxPhantom.pha with Ribs.pha, Shoulders.pha and Vertebra.pha, and AbdomenPhantom.pha (of S.
Schaller and T. Flohr), as they were before unions were marked in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.forbild import (
    AORTA,
    BONE_MARROW,
    CLAVICLE,
    CORTICAL,
    HEART,
    HUMERUS,
    LEFT_FRONT_FEET,
    LUNG,
    RIBS,
    RIGHT_FRONT_HEAD,
    SHOULDER_BLADE,
    SPONGIOSA,
    STERNUM,
    WATER,
    above,
    axes_of,
    ball,
    below,
    box,
    in_patient,
    oval,
    pipe,
    rod,
    slanted_rod,
    tissue,
)
from ctdenoise.phantoms.shapes import Part, Shape

LESION_ROWS = (
    # y, radius and distance between lesions, cm, of the liver's rows of five.
    (1.2, 0.6, 2.4),
    (-0.6, 0.5, 2.0),
    (-2.1, 0.4, 1.6),
    (-3.3, 0.3, 1.2),
    (-4.2, 0.25, 1.0),
    (-4.95, 0.2, 0.8),
    (-5.55, 0.15, 0.6),
    (-6.0, 0.1, 0.4),
)


def forbild_thorax_drawing() -> Drawing:
    """The thorax: 271 objects."""
    shapes = [*_chest(), *_spine((15, 12, 9, 6, 3, 0, -3, -6), y=-5.0, height=2.0)]
    shapes += [*_ribs(), *_shoulders()]
    turned = in_patient(shapes, RIGHT_FRONT_HEAD)
    return Drawing(turned, labels_of(turned), field_of_view_mm=520.0, body_part="CHEST")


def forbild_abdomen_drawing() -> Drawing:
    """The abdomen."""
    shapes = [
        tissue("body", WATER, *rod((0, 0, 0), 100.0, (20, 12))),
        tissue("liver", 1.06, oval((-10, 0, 0), (8, 7, 10), _turn_60())),
        *_spine((-10, -5, 0, 5, 10), y=-7.0, height=4.0),
        *_lesions(),
        tissue("stomach", 1.06, *rod((0, 6, 0), 20.0, (3, 2))),
        tissue("air", 0.0, *rod((0, 6, 0), 20.0, (3, 2)), above((0, 1, 0), 6.5)),
        *_abdominal_ribs(),
        *_line_patterns(),
    ]
    turned = in_patient(shapes, LEFT_FRONT_FEET)
    return Drawing(turned, labels_of(turned), field_of_view_mm=440.0, body_part="ABDOMEN")


def _chest() -> Iterator[Shape]:
    for x in (-20.0, 20.0):
        yield tissue("arms", WATER, *rod((x, 0, 17.5), 15.0, (5, 5)))
    yield tissue("body", WATER, *rod((0, 0, 0), 50.0, (20, 10)))
    for x in (-10.5, 10.5):
        yield tissue("lungs", LUNG, oval((x, 0, 0), (7.5, 5.5, 15)))
    yield tissue("sternum", STERNUM, *box((0, 9, 2.5), (2.5, 0.8, 25)))
    yield tissue("bone marrow", BONE_MARROW, *box((0, 9, 2.5), (2, 0.5, 25)))
    yield tissue("heart", HEART, ball(0, 4, 0, 3.5))
    lower, upper = (3, 7, math.sqrt(58)), (1, 2, -math.sqrt(5))
    down = rod((-2.5, -2.5, 0), 30.0, (1, 1))
    yield tissue("aorta", AORTA, *down, below(lower, 2.982109))
    up = rod((0.5, 4.5, 6), 6.0, (1, 1))
    yield tissue("aorta", AORTA, *up, above(upper, -2.2393277))
    arch = pipe((-1, 1, 7.5), (3, 7, 0), 22.0, 1.0)
    yield tissue("aorta", AORTA, *arch, above(lower, 2.982109), below(upper, -2.2393277))


def _spine(heights: tuple[float, ...], *, y: float, height: float) -> Iterator[Shape]:
    for z in heights:
        yield from _vertebra(y, z, height)


def _vertebra(y: float, z: float, height: float) -> Iterator[Shape]:
    """Wirbelkoerper at x = 0."""
    half = math.sqrt(1.3725)
    slope = 4 - half
    bone = "vertebrae"
    yield tissue(bone, CORTICAL, *rod((0, y, z), height, (1.75, 1.75)))
    yield tissue(bone, CORTICAL, *box((0, y - 1.4, z), (2 * half, 0.2, height)))
    yield tissue("spongiosa", SPONGIOSA, *rod((0, y, z), height, (1.5, 1.5)))
    upper = (0.95 * 4 + (y - 2.45) * slope) / math.hypot(0.95, slope)
    lower = (2 * 4 + 32 * (y - 2.45)) / math.sqrt(1028)
    for side in (-1, 1):
        yield tissue(
            bone,
            CORTICAL,
            *box((2 * side, y - 1.975, z), (4, 0.95, height)),
            below((0.95 * side, slope, 0), upper),
            above((2 * side, 32, 0), lower),
        )
    yield tissue(
        bone,
        CORTICAL,
        *box((0, y - 2.35, z), (1.6, 0.3, height)),
        above((-2, 4, 0), (-0.8 + 4 * (y - 2.45)) / math.sqrt(20)),
        below((-2, -4, 0), (0.8 - 4 * (y - 2.45)) / math.sqrt(20)),
    )
    yield tissue(bone, CORTICAL, *box((0, y - 3.25, z), (0.8, 1.6, height)))
    end = rod((0, y - 4.05, z), height, (0.4, 0.4))
    yield tissue(bone, CORTICAL, *end, below((0, 1, 0), y - 4.05))


def _ribs() -> Iterator[Shape]:
    """Ribs: nine pieces of pipe along half a slanted ellipse, each tangent to it in its middle.

    Ribs.pha has these numbers rounded to six decimals.
    """
    for height in (0.0, 3.0, -3.0, -6.0, 6.0):
        for name, density, r in (("ribs", RIBS, 0.5), ("bone marrow", BONE_MARROW, 0.4)):
            for side in (1, -1):
                for piece in range(9):
                    yield tissue(name, density, *_rib_piece(side, piece, height, r))


def _rib_piece(side: int, piece: int, height: float, r: float) -> tuple[Part, ...]:
    """One piece, between the planes that halve the angles to its neighbours."""
    ellipse = np.array((18.5 * side, 9.0, -5.5))

    def along(degrees: float) -> DoubleArray:
        angle = math.radians(degrees)
        slope = np.array((math.cos(angle), -math.sin(angle), -math.sin(angle))) * ellipse
        return np.asarray(slope / np.linalg.norm(slope))

    def at(degrees: float, stretch: float = 1.0) -> DoubleArray:
        angle = math.radians(degrees)
        place = np.array((math.sin(angle), math.cos(angle), math.cos(angle))) * ellipse
        return np.asarray(stretch * place + (0.0, 0.0, height))

    middle = 18.0 * (piece + 1)
    planes = []
    for end, cut in ((middle + 9, below), (middle - 9, above)):
        normal = along(end - 9) + along(end + 9)
        normal /= np.linalg.norm(normal)
        planes.append(cut(normal, float(normal @ at(end, 1 / math.cos(math.radians(9))))))
    return (*pipe(at(middle), along(middle), 10.0, r), *planes)


def _shoulders() -> Iterator[Shape]:
    for name, density, length, r in (
        ("clavicles", CLAVICLE, 17.0, 0.5),
        ("bone marrow", BONE_MARROW, 16.5, 0.4),
    ):
        for side in (-1, 1):
            axis = (20, -9 * side, 2 * side)
            yield tissue(name, density, *pipe((10 * side, 5.5, 16), axis, length, r))
    for name, density, half in (
        ("shoulder blades", SHOULDER_BLADE, (4.5, 0.5, 6.0)),
        ("bone marrow", BONE_MARROW, (4.0, 0.4, 5.5)),
    ):
        for side in (-1, 1):
            axes = axes_of(x=(2, side, 0), y=(-side, 2, 0))
            blade = oval((12 * side, -5, 15), half, axes)
            yield tissue(name, density, blade, below((0, 0, 1), 15.0))
    for x in (22.0, 16.5):
        for name, density, r in (("humeri", HUMERUS, 2.5), ("bone marrow", BONE_MARROW, 2.0)):
            for side in (-1, 1):
                yield tissue(name, density, ball(side * x, 0, 15, r))


def _turn_60() -> DoubleArray:
    angle = math.radians(60)
    return axes_of(x=(math.cos(angle), math.sin(angle), 0), z=(0, 0, 1))


def _lesions() -> Iterator[Shape]:
    for z in (0.0, 3.0):
        for y, r, step in LESION_ROWS:
            for index in range(5):
                name = f"lesions {20 * r:g} mm"
                yield tissue(name, 1.05, ball(-14 + step * index, y, z, r))


def _abdominal_ribs() -> Iterator[Shape]:
    angle = math.radians(60)
    axes = axes_of(x=(1, 0, 0), z=(0, math.sin(angle), math.cos(angle)))
    for x in (-18, 18):
        yield tissue("ribs", 2.0, *slanted_rod((x, 0, 0), 8.0, (0.4, 0.4), axes))


def _line_patterns() -> Iterator[Shape]:
    for pairs_per_cm, x in ((10, 12.0), (12, 14.0)):
        wide = 0.5 / pairs_per_cm
        for index in range(-3, 4):
            place = (x + index / pairs_per_cm, 1.0, 0.0)
            yield tissue(f"{pairs_per_cm} lp/cm", 2.0, *box(place, (wide, 1, 2)))
        for index in range(-3, 4):
            place = (x, -1.0 + index / pairs_per_cm, 0.0)
            yield tissue(f"{pairs_per_cm} lp/cm", 2.0, *box(place, (1, wide, 2)))
