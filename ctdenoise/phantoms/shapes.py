"""Solids whose intersection with a straight line is known exactly.

A shape is an intersection of convex quadrics, superquadrics, cones and half-spaces. Shapes are
painted in order and a later shape replaces what lies below it, as in a drawing: nested anatomy is
written with the Hounsfield units that it has, not with differences. A shape that adds instead
leaves what is there and adds its value, as in the published tables of superposed ellipses.

Lengths are mm in the patient frame (LPS): x to the left, y to the back, z to the head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray, IndexArray
from ctdenoise.core.units import AIR_HU, HU_PER_RELATIVE_ATTENUATION
from ctdenoise.errors import UsageError
from ctdenoise.phantoms.axes import ENDLESS_MM, Vector, cross, missing_rows
from ctdenoise.phantoms.cones import Cone
from ctdenoise.phantoms.superquadric import Superquadric
from ctdenoise.phantoms.sweep import Chords, line_distances, painted_lengths

_PARALLEL = 1e-14
"""Below this a ray counts as parallel to a plane or to the axis of a cylinder."""

_CHORDS_AT_ONCE = 2_000_000
"""Pairs of shape and ray that are looked at together, some 40 bytes each."""

_BESIDE_MM = 1e-3
"""A ray that misses the sphere around a shape by less than this is tried all the same."""


@dataclass(frozen=True, slots=True)
class Quadric:
    """The points x with |M (x - c)| <= 1.

    Three rows make an ellipsoid, two an endless elliptic cylinder, one a slab.

    Args:
        centre_mm: c.
        rows: The rows of M, per mm.

    Raises:
        UsageError: If there are not one to three finite rows.
    """

    centre_mm: Vector
    rows: tuple[Vector, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.rows) <= 3 or not all(
            math.isfinite(value) for row in (self.centre_mm, *self.rows) for value in row
        ):
            raise UsageError("A quadric has one to three rows of finite numbers.")

    def chord(
        self, origins: DoubleArray, directions: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Where rays enter and leave; see `Shape.chord`.

        The point of the ray nearest to the centre (in the metric of M) is found first, so that no
        digits are lost for a small shape far from the origin of the ray.
        """
        matrix = np.array(self.rows)
        start = (origins - np.array(self.centre_mm)) @ matrix.T
        slope = directions @ matrix.T
        square = np.einsum("...i,...i", slope, slope)
        along = square <= _PARALLEL**2
        safe = np.where(along, 1.0, square)
        nearest = np.where(along, 0.0, -np.einsum("...i,...i", start, slope) / safe)
        offset = start + nearest[..., None] * slope
        room = 1.0 - np.einsum("...i,...i", offset, offset)
        half = np.sqrt(np.maximum(room, 0.0) / safe)
        if along.any():
            half = np.where(along & (room >= 0), np.inf, half)
        return nearest - half, nearest + half

    def bounds_mm(self) -> tuple[DoubleArray, DoubleArray]:
        """Corners of the axis-parallel box around it; infinite where it is endless."""
        # The support along an axis is the length of the matching row of M^-1, whose columns are
        # cross products of the rows of M over its determinant. Directions in which the solid is
        # endless are given a reach that is too long to be a solid's.
        first, second, third = (*self.rows, *missing_rows(self.rows))
        columns = (cross(second, third), cross(third, first), cross(first, second))
        volume = sum(a * b for a, b in zip(first, columns[0], strict=True))
        reach = [math.hypot(*row) / abs(volume) for row in zip(*columns, strict=True)]
        extent = np.array([math.inf if value > ENDLESS_MM else value for value in reach])
        return np.array(self.centre_mm) - extent, np.array(self.centre_mm) + extent

    def is_even_between(self, low_mm: float, high_mm: float) -> bool:
        """Whether every axial slice through it between two heights is the same."""
        del low_mm, high_mm
        return all(row[2] == 0.0 for row in self.rows)

    def contains(self, points: DoubleArray) -> BoolArray:
        """Whether points [..., 3] (mm) lie inside or on the surface."""
        reduced = (points - np.array(self.centre_mm)) @ np.array(self.rows).T
        return np.asarray(np.sum(reduced * reduced, axis=-1) <= 1.0)

    def ball_mm(self) -> tuple[DoubleArray, float]:
        """Centre and radius of a ball that holds it; the radius of an endless one is infinite."""
        if len(self.rows) < 3:
            return np.zeros(3), math.inf
        smallest = float(np.linalg.norm(np.array(self.rows), -2))
        return np.array(self.centre_mm), 1.0 / smallest

    def thinnest_mm(self) -> float:
        """Its smallest diameter."""
        return 2.0 / float(np.linalg.norm(np.array(self.rows), 2))


@dataclass(frozen=True, slots=True)
class HalfSpace:
    """The points x with n . x <= d.

    Args:
        normal: n, a unit vector that points out of the solid.
        offset_mm: d, distance of the plane from the origin along n.

    Raises:
        UsageError: If the normal is not a unit vector.
    """

    normal: Vector
    offset_mm: float

    def __post_init__(self) -> None:
        if not abs(math.hypot(*self.normal) - 1.0) < 1e-9:
            raise UsageError("The normal of a half-space is a unit vector.")

    def chord(
        self, origins: DoubleArray, directions: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Where rays enter and leave; see `Shape.chord`."""
        normal = np.array(self.normal)
        room = self.offset_mm - origins @ normal
        slope = np.broadcast_to(directions @ normal, room.shape)
        parallel = np.abs(slope) <= _PARALLEL
        crossing = room / np.where(parallel, 1.0, slope)
        start = np.where(slope < 0, crossing, -np.inf)
        end = np.where(slope > 0, crossing, np.inf)
        # A parallel ray is inside all along, or nowhere (an interval that ends before it starts).
        start = np.where(parallel, np.where(room >= 0, -np.inf, np.inf), start)
        end = np.where(parallel, np.where(room >= 0, np.inf, -np.inf), end)
        return start, end

    def bounds_mm(self) -> tuple[DoubleArray, DoubleArray]:
        """Corners of the axis-parallel box around it; infinite where it is endless."""
        low, high = np.full(3, -np.inf), np.full(3, np.inf)
        for axis, component in enumerate(self.normal):
            if component == 1.0:
                high[axis] = self.offset_mm
            elif component == -1.0:
                low[axis] = -self.offset_mm
        return low, high

    def is_even_between(self, low_mm: float, high_mm: float) -> bool:
        """Whether every axial slice through it between two heights is the same."""
        x, y, z = self.normal
        if x == y == 0.0:
            return max(z * low_mm, z * high_mm) <= self.offset_mm
        return z == 0.0

    def contains(self, points: DoubleArray) -> BoolArray:
        """Whether points [..., 3] (mm) lie inside or on the surface."""
        return np.asarray(points @ np.array(self.normal) <= self.offset_mm)


Part = Union[Quadric, Superquadric, Cone, HalfSpace]
"""A convex solid that shapes are cut from."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A convex solid of one material.

    Args:
        name: What it is, for the list of true values: "liver", "insert Teflon".
        hu: Its Hounsfield units; where it adds, what it adds to those that are there.
        parts: The solid is where all of these overlap.
        label: Name of the segmentation label that its voxels get; empty for background.
        texture_sd_hu: Standard deviation of the texture that the rasteriser adds; line integrals
            are those of the uniform shape.
        adds: Whether it adds to what lies below it instead of replacing it.

    Raises:
        UsageError: If there is no part or the value is below that of vacuum.
    """

    name: str
    hu: float
    parts: tuple[Part, ...]
    label: str = ""
    texture_sd_hu: float = 0.0
    adds: bool = False

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError(f"The shape {self.name!r} has no parts.")
        if not (math.isfinite(self.hu) if self.adds else self.hu >= AIR_HU):
            raise UsageError(f"The shape {self.name!r} has {self.hu} HU, less than vacuum.")

    @property
    def relative_attenuation(self) -> float:
        """Attenuation over that of water: 1 + HU / 1000; what it adds to it, where it adds."""
        return (0.0 if self.adds else 1.0) + self.hu / HU_PER_RELATIVE_ATTENUATION

    def is_even_between(self, low_mm: float, high_mm: float) -> bool:
        """Whether every axial slice through it between two heights is the same."""
        return all(part.is_even_between(low_mm, high_mm) for part in self.parts)

    def chord(
        self, origins: DoubleArray, directions: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Where rays enter and leave the shape.

        Args:
            origins: Points on the rays, mm, [..., 3].
            directions: Unit vectors, broadcast against `origins`.

        Returns:
            Distances from the origin of the ray along its direction, mm. Where the ray misses the
            shape both are equal.
        """
        start, end = self.parts[0].chord(origins, directions)
        for part in self.parts[1:]:
            first, last = part.chord(origins, directions)
            start, end = np.maximum(start, first), np.minimum(end, last)
        missed = ~(end > start)
        return np.where(missed, 0.0, start), np.where(missed, 0.0, end)

    def contains(self, points: DoubleArray) -> BoolArray:
        """Whether points [..., 3] (mm) lie inside or on the surface."""
        inside = np.ones(points.shape[:-1], dtype=bool)
        for part in self.parts:
            inside &= part.contains(points)
        return inside

    def is_upright(self) -> bool:
        """Whether it is the same at every height from its lower end to its upper one."""
        return all(
            part.is_even_between(0.0, 0.0)
            or (isinstance(part, HalfSpace) and abs(part.normal[2]) == 1.0)
            for part in self.parts
        )

    def has_slanted_end(self) -> bool:
        """Whether a plane that is nearer to axial than to upright, but not axial, cuts it."""
        return any(
            isinstance(part, HalfSpace) and 0.5 < abs(part.normal[2]) < 1.0 for part in self.parts
        )

    def thinnest_mm(self) -> float:
        """About its smallest width: of its quadrics, and between parallel planes."""
        planes = [part for part in self.parts if isinstance(part, HalfSpace)]
        widths = [part.thinnest_mm() for part in self.parts if isinstance(part, Quadric)]
        for index, plane in enumerate(planes):
            opposite = tuple(-value for value in plane.normal)
            widths += [
                plane.offset_mm + other.offset_mm
                for other in planes[index + 1 :]
                if other.normal == opposite and plane.normal[2] == 0.0
            ]
        return min(widths, default=math.inf)

    def bounds_mm(self) -> tuple[DoubleArray, DoubleArray]:
        """Corners of an axis-parallel box that holds it; infinite where it is endless."""
        corners = [part.bounds_mm() for part in self.parts]
        low = np.max([low for low, _ in corners], axis=0)
        high = np.min([high for _, high in corners], axis=0)
        return low, high


def line_integrals(
    shapes: Sequence[Shape], origins: DoubleArray, directions: DoubleArray
) -> DoubleArray:
    """Exact line integrals of attenuation relative to water, in mm of water.

    Multiply by the attenuation of water per mm for the line integral p of a scanner. Around the
    shapes is vacuum. Along each ray the ends of all chords are sorted and every stretch between
    two of them gets the attenuation that the shapes covering it leave, in painting order.

    Args:
        shapes: Painted in order; a later one replaces what lies below it.
        origins: A point on each ray, mm, [..., 3]. The whole straight line counts, behind the
            point as well as before it.
        directions: Direction of each ray, [..., 3], of any length but zero; broadcast against
            `origins`.

    Returns:
        float64 of the rays' shape.

    Raises:
        UsageError: If a direction is zero, or a ray runs inside an endless shape for ever.
    """
    origins, directions = np.broadcast_arrays(
        np.asarray(origins, dtype=np.float64), np.asarray(directions, dtype=np.float64)
    )
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    if not (length > 0).all():
        raise UsageError("The direction of a ray is zero.")
    flat_origins = origins.reshape(-1, 3)
    flat_directions = (directions / length).reshape(-1, 3)
    near, centres, radii = _balls(shapes, flat_origins, flat_directions)
    result = np.zeros(len(flat_origins))
    step = max(1, _CHORDS_AT_ONCE // max(1, len(near)))
    for first in range(0, len(result), step):
        rays = slice(first, first + step)
        beside = line_distances(centres, flat_origins[rays], flat_directions[rays])
        tried = ~(beside > radii[:, None] + _BESIDE_MM)
        result[rays] = painted_lengths(
            _chords(near, tried, flat_origins[rays], flat_directions[rays]), len(result[rays])
        )
    if not np.isfinite(result).all():
        raise UsageError(
            "A ray runs inside an endless shape for ever.",
            fix="Cut the shape with half-spaces, or use rays across its axis.",
        )
    return result.reshape(origins.shape[:-1])


def _balls(
    shapes: Sequence[Shape], origins: DoubleArray, directions: DoubleArray
) -> tuple[list[Shape], DoubleArray, DoubleArray]:
    """The shapes that rays may reach, and the centre and radius of a ball around each.

    Where all rays are axial, only what lies at their heights counts.
    """
    lowest, highest = -np.inf, np.inf
    if len(origins) > 0 and not directions[:, 2].any():
        lowest, highest = origins[:, 2].min() - _BESIDE_MM, origins[:, 2].max() + _BESIDE_MM
    near, centres, radii = [], [], []
    for shape in shapes:
        low, high = shape.bounds_mm()
        low[2], high[2] = max(low[2], lowest), min(high[2], highest)
        if (low > high).any():
            continue
        balls = [part.ball_mm() for part in shape.parts if isinstance(part, Quadric)]
        if np.isfinite([low, high]).all():
            balls.append(((low + high) / 2, float(np.linalg.norm(high - low)) / 2))
        centre, radius = min(balls, key=lambda ball: ball[1], default=(np.zeros(3), np.inf))
        near.append(shape)
        centres.append(centre)
        radii.append(radius)
    return near, np.array(centres).reshape(-1, 3), np.array(radii)


def _chords(
    shapes: Sequence[Shape], tried: BoolArray, origins: DoubleArray, directions: DoubleArray
) -> Chords:
    """Where rays cross shapes, tried [shape, ray]."""
    found: list[tuple[IndexArray, DoubleArray, DoubleArray, Shape]] = []
    for shape, rays in zip(shapes, tried, strict=True):
        index = np.flatnonzero(rays)
        start, end = np.full(len(index), -np.inf), np.full(len(index), np.inf)
        for part in shape.parts:
            # Rays that one part is missed by are no matter to the next.
            first, last = part.chord(origins[index], directions[index])
            start, end = np.maximum(start, first), np.minimum(end, last)
            hit = end > start
            if not hit.all():
                index, start, end = index[hit], start[hit], end[hit]
        if len(index) > 0:
            found.append((index, start, end, shape))
    counts = [len(index) for index, *_ in found]
    return Chords(
        ray=np.concatenate([index for index, *_ in found] or [np.zeros(0, dtype=np.intp)]),
        start=np.concatenate([start for _, start, *_ in found] or [np.zeros(0)]),
        end=np.concatenate([end for *_, end, _ in found] or [np.zeros(0)]),
        value=np.repeat([shape.relative_attenuation for *_, shape in found], counts),
        kept=np.repeat([float(shape.adds) for *_, shape in found], counts),
    )
