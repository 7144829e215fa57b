"""The FORBILD head in two dimensions, as superposed ellipses with clips.

Z. Yu, F. Noo, F. Dennerlein, A. Wunderlich, G. Lauritsch, J. Hornegger, "Simulation tools for
two-dimensional experiments in x-ray computed tomography using the FORBILD head phantom", Phys.
Med. Biol. 57 (2012) N237 (PMC3426508); numbers as in ashkarin/forbild-gen, `analytical_phantom.m`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ctdenoise.config.mathematical_phantoms import ForbildHead2dSettings
from ctdenoise.core.units import HU_PER_RELATIVE_ATTENUATION
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.forbild import CM, RIGHT_FRONT_HEAD, in_patient
from ctdenoise.phantoms.shapes import HalfSpace, Shape
from ctdenoise.phantoms.solids import elliptic_cylinder, polar, rotation

_Y16 = -14.294530834372887

Clip = tuple[float, float]
"""Distance of a cut from the middle of its ellipse in cm, and where its normal points, degrees."""


class Ellipse(NamedTuple):
    """A row of the table.

    Args:
        name: Its label.
        x: Its middle, cm.
        y: Its middle, cm.
        a: Half-axis, cm.
        b: Half-axis, cm.
        angle: Direction of a, degrees.
        density: What it adds, relative to water.
        cuts: What is cut off.
    """

    name: str
    x: float
    y: float
    a: float
    b: float
    angle: float
    density: float
    cuts: tuple[Clip, ...] = ()


ELLIPSES = (
    Ellipse("eyes", -4.7, 4.3, 1.79989, 1.79989, 0.0, 0.010),
    Ellipse("eyes", 4.7, 4.3, 1.79989, 1.79989, 0.0, 0.010),
    Ellipse("object 3", -1.08, -9.0, 0.4, 0.4, 0.0, 0.0025),
    Ellipse("object 4", 1.08, -9.0, 0.4, 0.4, 0.0, -0.0025),
    Ellipse("skull", 0.0, 0.0, 9.6, 12.0, 0.0, 1.800),
    Ellipse("frontal sinus", 0.0, 8.4, 1.8, 3.0, 0.0, -1.050),
    Ellipse("bone", 1.9, 5.4, 0.41633, 1.17425, -31.07698, 0.750),
    Ellipse("bone", -1.9, 5.4, 0.41633, 1.17425, 31.07698, 0.750),
    Ellipse("bone", -4.3, 6.8, 1.8, 0.24, -30.0, 0.750),
    Ellipse("bone", 4.3, 6.8, 1.8, 0.24, 30.0, 0.750),
    Ellipse("object 12", 0.0, -3.6, 1.8, 3.6, 0.0, -0.005),
    Ellipse("object 13", 6.39395, -6.39395, 1.2, 0.42, 58.1, 0.005),
    Ellipse(
        "bone",
        *(0.0, 3.6, 2.0, 2.0, 0.0, 0.750),
        ((1.2, 0.0), (1.2, 180.0), (0.27884, 90.0), (0.27884, 270.0)),
    ),
    Ellipse(
        "bone",
        *(0.0, 9.6, 1.8, 3.0, 0.0, 1.800),
        ((0.60687, 90.0), (0.60687, 270.0), (0.2, 0.0), (0.2, 180.0)),
    ),
    Ellipse(
        "bone",
        *(0.0, 0.0, 9.0, 11.4, 0.0, 0.750),
        ((-2.605, 15.0), (-2.605, 165.0), (-10.71177, 90.0)),
    ),
    Ellipse(
        "bone",
        *(0.0, _Y16, 0.443194085308632, 3.892760834372886, 0.0, 0.750),
        ((_Y16 + 10.71177, 270.0),),
    ),
)

BRAIN = Ellipse("brain", 0.0, 0.0, 9.0, 11.4, 0.0, -0.750)
BRAIN_CLIP: Clip = (8.88740, 0.0)
"""The brain ends here where the right ear begins."""

RIGHT_EAR = Ellipse("right ear", 9.1, 0.0, 4.2, 1.8, 0.0, 0.750, ((-0.21260, 0.0),))

AIR_CELLS = ((8.8, 0, 9), (8.6, 1, 8), (8.8, 2, 8), (8.6, 3, 6))
"""x of the first cell, line above and below the middle, and how many there are."""

PATTERN = (0.0357, 0.0312, 0.0278, 0.0250)
"""Diameters of the discs of the left ear, cm."""


def forbild_head_2d_drawing(settings: ForbildHead2dSettings) -> Drawing:
    """The head, in which every ellipse adds its density."""
    skull = [row for row in ELLIPSES if row.name == "skull"]
    inside = [row for row in ELLIPSES if row.name != "skull"]
    brain = BRAIN._replace(cuts=(BRAIN_CLIP,)) if settings.right_ear else BRAIN
    # Sums know no order, but labels go by what is painted last.
    rows = [*skull, brain, *inside]
    if settings.left_ear:
        rows += _left_ear()
    if settings.right_ear:
        rows += [RIGHT_EAR, *_air_cells()]
    turned = in_patient([_shape(row) for row in rows], RIGHT_FRONT_HEAD)
    return Drawing(turned, labels_of(turned), field_of_view_mm=260.0, body_part="HEAD")


def _shape(row: Ellipse) -> Shape:
    ellipse = elliptic_cylinder(
        (CM * row.x, CM * row.y), (CM * row.a, CM * row.b), rotation(about_z=row.angle)
    )
    planes = []
    for distance, degrees in row.cuts:
        x, y = polar(1.0, degrees)
        planes.append(HalfSpace((x, y, 0.0), CM * (distance + x * row.x + y * row.y)))
    hu = round(HU_PER_RELATIVE_ATTENUATION * row.density, 9)
    return Shape(row.name, hu, (ellipse, *planes), label=row.name, adds=True)


def _air_cells() -> list[Ellipse]:
    row = 0.2 * math.sqrt(3.0)
    return [
        Ellipse("air cells", first - 0.4 * index, side * line * row, 0.15, 0.15, 0.0, -1.8)
        for first, line, count in AIR_CELLS
        for side in ((1, -1) if line else (1,))
        for index in range(count)
    ]


def _left_ear() -> list[Ellipse]:
    return [
        Ellipse(
            "resolution pattern",
            *(-7.0 + 0.08 * column, -1.0 + 2 * step * size + 0.48 * block),
            *(size / 2, size / 2, 0.0, 0.75),
        )
        for block in range(4)
        for column, size in enumerate(PATTERN)
        for step in range(5)
    ]
