"""The solids that phantoms are drawn with, as parts of shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Union

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import UsageError
from ctdenoise.phantoms.axes import Vector
from ctdenoise.phantoms.shapes import HalfSpace, Part, Quadric

Numbers = Union[Sequence[float], DoubleArray]
"""Coordinates or half-axes, mm."""


def vector(values: Numbers) -> Vector:
    """Three numbers as a tuple of floats."""
    x, y, z = (float(value) for value in values)
    return (x, y, z)


def rotation(*, about_x: float = 0.0, about_y: float = 0.0, about_z: float = 0.0) -> DoubleArray:
    """Rotation matrix [3, 3]: first about x, then y, then z; degrees, right-handed."""
    a, b, c = np.radians([about_x, about_y, about_z])
    first = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    second = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    third = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(third @ second @ first, dtype=np.float64)


def ellipsoid(centre_mm: Numbers, radii_mm: Numbers, turn: DoubleArray | None = None) -> Quadric:
    """An ellipsoid.

    Args:
        centre_mm: Its centre.
        radii_mm: Half-axes along its own x, y and z; positive.
        turn: Rotation of its axes, [3, 3]; None for none.

    Raises:
        UsageError: If a half-axis is not positive.
    """
    return Quadric(vector(centre_mm), _rows(radii_mm, turn))


def elliptic_cylinder(
    centre_mm: Numbers, radii_mm: Numbers, turn: DoubleArray | None = None
) -> Quadric:
    """A cylinder without ends along its own z.

    Args:
        centre_mm: A point of its axis (x, y, or x, y, z).
        radii_mm: Half-axes along its own x and y; positive.
        turn: Rotation of its axes, [3, 3]; None for none.

    Raises:
        UsageError: If a half-axis is not positive.
    """
    centre = (*centre_mm, 0.0)[:3]
    return Quadric(vector(centre), _rows(radii_mm, turn))


def between_planes(low_mm: float, high_mm: float) -> tuple[HalfSpace, HalfSpace]:
    """What lies between two heights z."""
    return (HalfSpace((0.0, 0.0, 1.0), high_mm), HalfSpace((0.0, 0.0, -1.0), -low_mm))


def tube(start_mm: Numbers, end_mm: Numbers, radius_mm: float) -> tuple[Part, ...]:
    """A round cylinder between two points, cut flat at both.

    Raises:
        UsageError: If the points are the same or the radius is not positive.
    """
    start, end = np.asarray(start_mm, dtype=np.float64), np.asarray(end_mm, dtype=np.float64)
    length = math.dist(start, end)
    if not length > 0:
        raise UsageError("A tube has two different ends.")
    axis = (end - start) / length
    turn = axes_along(axis)
    # The sphere holds the whole tube: it cuts nothing off and gives the shape a finite box.
    middle = (start + end) / 2
    holding = math.hypot(length / 2, radius_mm) * (1 + 1e-9)
    return (
        elliptic_cylinder(vector(middle), (radius_mm, radius_mm), turn),
        HalfSpace(vector(axis), float(axis @ end)),
        HalfSpace(vector(-axis), float(-axis @ start)),
        ellipsoid(vector(middle), (holding, holding, holding)),
    )


def polar(radius_mm: float, angle_degrees: float) -> tuple[float, float]:
    """A point of the axial plane: angle 0 is the patient's left, 90 the back."""
    angle = math.radians(angle_degrees)
    return (radius_mm * math.cos(angle), radius_mm * math.sin(angle))


def sphere(centre_mm: Numbers, diameter_mm: float) -> Quadric:
    """A sphere."""
    return ellipsoid(centre_mm, (diameter_mm / 2,) * 3)


def upright_rod(
    centre_mm: Numbers, diameter_mm: float, low_mm: float, high_mm: float
) -> tuple[Part, ...]:
    """A round cylinder along z between two heights.

    Args:
        centre_mm: Its axis in the axial plane (x, y).
        diameter_mm: Its diameter.
        low_mm: Where it begins.
        high_mm: Where it ends.
    """
    radii = (diameter_mm / 2, diameter_mm / 2)
    return (elliptic_cylinder(centre_mm, radii), *between_planes(low_mm, high_mm))


def upright_bar(
    centre_mm: Numbers,
    size_mm: Numbers,
    height_mm: tuple[float, float],
    *,
    angle_degrees: float = 0.0,
) -> tuple[Part, ...]:
    """A block with upright sides.

    Args:
        centre_mm: Its middle in the axial plane (x, y).
        size_mm: Its length and width.
        height_mm: Where it begins and ends along z.
        angle_degrees: Direction of its length; 0 is along x, 90 along y.
    """
    along = polar(1.0, angle_degrees)
    across = (-along[1], along[0])
    sides = []
    for (x, y), size in zip((along, across), size_mm, strict=True):
        middle = x * float(centre_mm[0]) + y * float(centre_mm[1])
        sides += [
            HalfSpace((x, y, 0.0), middle + float(size) / 2),
            HalfSpace((-x, -y, 0.0), float(size) / 2 - middle),
        ]
    # The cylinder holds the whole block: it cuts nothing off and gives the shape a finite box.
    holding = math.hypot(*(float(size) for size in size_mm)) / 2 * (1 + 1e-9)
    return (elliptic_cylinder(centre_mm, (holding, holding)), *sides, *between_planes(*height_mm))


def axes_along(direction: Numbers) -> DoubleArray:
    """A rotation [3, 3] that takes z to a direction."""
    x, y, z = (float(value) for value in direction)
    length = math.hypot(x, y, z)
    x, y, z = x / length, y / length, z / length
    # Frisvad's basis with the sign of Duff et al. 2017: no division near the poles.
    sign = math.copysign(1.0, z)
    a = -1.0 / (sign + z)
    b = x * y * a
    return np.array(
        [[1.0 + sign * x * x * a, b, x], [sign * b, sign + y * y * a, y], [-sign * x, -y, z]]
    )


def _rows(radii_mm: Numbers, turn: DoubleArray | None) -> tuple[Vector, ...]:
    if not all(np.isfinite(radius) and radius > 0 for radius in radii_mm):
        raise UsageError(f"Half-axes of {tuple(radii_mm)} mm are not all positive.")
    axes = np.eye(3) if turn is None else turn
    return tuple(vector(axes[:, index] / radius) for index, radius in enumerate(radii_mm))
