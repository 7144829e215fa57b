"""The solids that the FORBILD phantoms are written with.

FORBILD's own words (www.imp.uni-erlangen.de/forbild; kept by RTKConsortium/Forbild on GitHub)
become shapes: lengths in cm, densities in g/cm3 of matter that attenuates as water does, and a
later object replaces an earlier one. A box is given by its whole sides, an ellipsoid and an
elliptic cylinder by half-axes, a cylinder by its whole length.

Head and thorax have x to the right, y to the front and z to the head, which is what their words
for right and left and the place of shoulders and aorta say; the abdomen, whose liver is at
negative x, has x to the left and z to the feet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.units import HU_PER_RELATIVE_ATTENUATION
from ctdenoise.phantoms.axes import Vector
from ctdenoise.phantoms.cones import Cone
from ctdenoise.phantoms.shapes import HalfSpace, Part, Quadric, Shape
from ctdenoise.phantoms.solids import (
    Numbers,
    axes_along,
    between_planes,
    ellipsoid,
    elliptic_cylinder,
    vector,
)

CM = 10.0

RIGHT_FRONT_HEAD: Vector = (-1.0, -1.0, 1.0)
LEFT_FRONT_FEET: Vector = (1.0, -1.0, -1.0)
"""Where the axes of a FORBILD file point, as signs of the patient frame's."""

# FORBILD, TableOfTissues, g/cm3.
WATER = 1.0
HEART = AORTA = 1.05
BONE_MARROW = 0.98
LUNG = 0.26
SPONGIOSA = 1.18
STERNUM = 1.25
RIBS = 1.41
HUMERUS = CLAVICLE = SHOULDER_BLADE = 1.46
CORTICAL = 1.92


def tissue(name: str, density: float, *parts: Part) -> Shape:
    """A shape of some density in g/cm3, labelled by its name."""
    hu = round(HU_PER_RELATIVE_ATTENUATION * (density - 1.0), 9)
    return Shape(name, hu, parts, label=name)


def in_patient(shapes: Iterable[Shape], axes: Vector) -> tuple[Shape, ...]:
    """Shapes in the frame of a FORBILD file, in the patient frame."""
    return tuple(
        replace(shape, parts=tuple(_turned(part, axes) for part in shape.parts)) for shape in shapes
    )


def _turned(part: Part, signs: Vector) -> Part:
    def turned(value: Vector) -> Vector:
        return (value[0] * signs[0], value[1] * signs[1], value[2] * signs[2])

    if isinstance(part, HalfSpace):
        return HalfSpace(turned(part.normal), part.offset_mm)
    if isinstance(part, Cone):
        return Cone(turned(part.apex_mm), turned(part.axis), part.slope)
    return Quadric(turned(part.centre_mm), tuple(turned(row) for row in part.rows))


def oval(centre: Numbers, half: Numbers, axes: DoubleArray | None = None) -> Quadric:
    """Ellipsoid, Ellipsoid_free."""
    return ellipsoid(np.multiply(centre, CM), np.multiply(half, CM), axes)


def ball(x: float, y: float, z: float, r: float) -> Quadric:
    """Sphere."""
    return oval((x, y, z), (r, r, r))


def rod(centre: Numbers, length: float, half: Numbers) -> tuple[Part, ...]:
    """Cylinder_z, Ellipt_Cyl_z."""
    middle = float(centre[2])
    return (
        elliptic_cylinder(np.multiply(centre, CM), np.multiply(half, CM)),
        *between_planes(CM * (middle - length / 2), CM * (middle + length / 2)),
    )


def slanted_rod(
    centre: Numbers, length: float, half: Numbers, axes: DoubleArray
) -> tuple[Part, ...]:
    """Ellipt_Cyl: half-axes along the first two columns of `axes`, length along the third."""
    middle, radii = np.multiply(centre, CM), np.multiply(half, CM)
    along, reach = axes[:, 2], CM * length / 2
    holding = math.hypot(reach, float(radii.max())) * (1 + 1e-9)
    return (
        elliptic_cylinder(middle, radii, axes),
        HalfSpace(vector(along), float(along @ middle) + reach),
        HalfSpace(vector(-along), reach - float(along @ middle)),
        ellipsoid(middle, (holding,) * 3),
    )


def pipe(centre: Numbers, axis: Numbers, length: float, r: float) -> tuple[Part, ...]:
    """Cylinder."""
    return slanted_rod(centre, length, (r, r), axes_along(axis))


def box(centre: Numbers, size: Numbers) -> tuple[Part, ...]:
    """Box."""
    planes = []
    for axis in range(3):
        normal = np.eye(3)[axis]
        middle, reach = CM * float(centre[axis]), CM * float(size[axis]) / 2
        planes += [
            HalfSpace(vector(normal), middle + reach),
            HalfSpace(vector(-normal), reach - middle),
        ]
    return tuple(planes)


def below(normal: Numbers, distance: float) -> HalfSpace:
    """r(normal) < distance: the normal is brought to length 1, the distance is in cm."""
    unit = np.asarray(normal, dtype=np.float64)
    return HalfSpace(vector(unit / np.linalg.norm(unit)), CM * distance)


def above(normal: Numbers, distance: float) -> HalfSpace:
    """r(normal) > distance."""
    return below(np.negative(normal), -distance)


def axes_of(
    *, x: Numbers | None = None, y: Numbers | None = None, z: Numbers | None = None
) -> DoubleArray:
    """Axes [3, 3], one a column, of which two are given and the third follows."""
    found = [None if value is None else _unit(value) for value in (x, y, z)]
    for index in range(3):
        before, after = found[(index + 1) % 3], found[(index + 2) % 3]
        if found[index] is None and before is not None and after is not None:
            found[index] = np.cross(before, after)
    return np.stack([axis for axis in found if axis is not None], axis=1)


def _unit(values: Numbers) -> DoubleArray:
    axis = np.asarray(values, dtype=np.float64)
    return np.asarray(axis / np.linalg.norm(axis))
