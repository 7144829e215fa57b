"""The FORBILD head in three dimensions (HeadPhantom.pha of FORBILD)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ctdenoise.config.mathematical_phantoms import ForbildHeadSettings
from ctdenoise.phantoms.cones import Cone
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.forbild import (
    CM,
    RIGHT_FRONT_HEAD,
    axes_of,
    ball,
    below,
    in_patient,
    oval,
    slanted_rod,
    tissue,
)
from ctdenoise.phantoms.shapes import Part, Shape
from ctdenoise.phantoms.solids import rotation

BONE = 1.8

AIR_CELLS = ((9, 8, 8, 6), (8, 8, 7, 6), (8, 7, 7, 5), (6, 6, 5, 4))
"""How many cells there are in the row [level |k|, line |j|] of the right ear."""

PATTERN_XY = (0.0357, 0.0312, 0.0278, 0.0250)
PATTERN_Z = (0.4, 0.2, 0.1, 0.05)
"""Diameters of the ellipsoids of the left ear, in cm."""

PATTERN_STEP = 0.04


def forbild_head_drawing(settings: ForbildHeadSettings) -> Drawing:
    """The head with the ears that settings ask for."""
    shapes = list(_head())
    if settings.right_ear:
        shapes += _right_ear()
    if settings.left_ear:
        shapes += _left_ear()
    turned = in_patient(shapes, RIGHT_FRONT_HEAD)
    return Drawing(turned, labels_of(turned), field_of_view_mm=260.0, body_part="HEAD")


def _head() -> Iterator[Shape]:
    cos15, sin15 = math.cos(math.radians(15)), math.sin(math.radians(15))
    cos30, sin30 = math.cos(math.radians(30)), math.sin(math.radians(30))
    yield tissue("skull", BONE, oval((0, 0, 0), (9.6, 12, 12.5)))
    yield tissue("brain", 1.05, oval((0, 0, 0), (9.0, 11.4, 11.9)))
    yield tissue("object 12", 1.045, oval((0, -3.6, 0), (1.8, 3.6, 3.6)))
    yield tissue("frontal sinus", 0.0, oval((0, 8.4, 0), (1.8, 3.0, 3.0)))
    yield tissue("eyes", 1.06, ball(-4.7, 4.3, 0.872, 2.0))
    yield tissue("eyes", 1.06, ball(4.7, 4.3, 0.872, 2.0))
    yield tissue("object 3", 1.0525, ball(-1.08, -9, 0, 0.4))
    yield tissue("object 4", 1.0475, ball(1.08, -9, 0, 0.4))
    upright = axes_of(y=(0, sin30, cos30), z=(0, -cos30, sin30))
    yield tissue("bone", BONE, *slanted_rod((0, 3.6, 0), 0.5 * cos15, (1.2, 4.0), upright))
    across = axes_of(y=(0, -sin30, cos30), z=(1, 0, 0))
    yield tissue("bone", BONE, *slanted_rod((0, 9.6, 0), 0.4, (0.525561, 2.0), across))
    cos60, sin60 = sin30, cos30
    left = axes_of(x=(-cos15 * cos60, sin60, sin15 * cos60), z=(sin15, 0, cos15))
    half = (1.206483 * cos15, 0.420276 * cos15, 3.0)
    yield tissue("bone", BONE, oval((-1.9, 5.4, 0), half, left))
    right = axes_of(x=(cos15 * cos60, sin60, sin15 * cos60), z=(-sin15, 0, cos15))
    yield tissue("bone", BONE, oval((1.9, 5.4, 0), (1.2 * cos15, 0.42 * cos15, 3.0), right))
    for x, angle in ((-4.3, 150.0), (4.3, 30.0)):
        turn = rotation(about_z=angle)
        yield tissue("bone", BONE, *slanted_rod((x, 6.8, -1.0), 4.0, (1.8, 0.24), turn))
    turn = rotation(about_z=58.1)
    yield tissue("object 13", 1.055, oval((6.393945, -6.393945, 0), (1.2, 0.42, 1.2), turn))
    for z in (-0.2, 0.2):
        yield tissue("bone", BONE, *_narrowing((0, -11.15, z), 0.5, 0.2, 1.5))


def _narrowing(
    centre: tuple[float, float, float], r1: float, r2: float, length: float
) -> tuple[Part, ...]:
    """Cone_y: from radius r1 at the lower end of y to the smaller r2 at the upper one."""
    x, y, z = centre
    slope = (r1 - r2) / length
    apex = (CM * x, CM * (y - length / 2 + r1 / slope), CM * z)
    return (
        Cone(apex, (0.0, -1.0, 0.0), slope),
        below((0, 1, 0), y + length / 2),
        below((0, -1, 0), length / 2 - y),
        oval(centre, (math.hypot(length / 2, r1) * (1 + 1e-9),) * 3),
    )


def _right_ear() -> Iterator[Shape]:
    yield tissue("right ear", BONE, oval((9.1, 0, 0), (4.2, 1.8, 1.8)), below((1, 0, 0), 9.1))
    row = 0.2 * math.sqrt(3.0)
    for level in range(-3, 4):
        for line in range(-3, 4):
            first = 8.8 if (level + line) % 2 == 0 else 8.6
            for index in range(AIR_CELLS[abs(level)][abs(line)]):
                x = first - 0.4 * index
                yield tissue("air cells", 0.0, ball(x, line * row, level * row, 0.15))


def _left_ear() -> Iterator[Shape]:
    for column, wide in enumerate(PATTERN_XY):
        for line, high in enumerate(PATTERN_Z):
            corner = np.array((-7 + 2 * PATTERN_STEP * column, -1 + 12 * PATTERN_STEP * line, 0))
            half = (wide / 2, wide / 2, high / 2)
            steps = [(0.0, 2 * wide * step, 0.0) for step in range(5)]
            steps += [(0.0, 0.0, 2 * high * step) for step in range(1, 5)]
            for step in steps:
                yield tissue("resolution pattern", BONE, oval(corner + step, half))
