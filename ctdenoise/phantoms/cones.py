"""One half of a circular cone, a convex solid that shapes are cut from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import UsageError

_PARALLEL = 1e-14


@dataclass(frozen=True, slots=True)
class Cone:
    """The points whose distance from the axis is at most `slope` times that from the apex along it.

    Args:
        apex_mm: The tip.
        axis: Unit vector from the tip into the cone.
        slope: Radius over height; positive.

    Raises:
        UsageError: If the axis is no unit vector or the slope is not positive.
    """

    apex_mm: tuple[float, float, float]
    axis: tuple[float, float, float]
    slope: float

    def __post_init__(self) -> None:
        if not abs(math.hypot(*self.axis) - 1.0) < 1e-9 or not self.slope > 0:
            raise UsageError("A cone has a unit vector as axis and a positive slope.")

    def chord(
        self, origins: DoubleArray, directions: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Where rays enter and leave; see `Shape.chord`.

        With h the height above the apex and r the distance from the axis, f(t) = r^2 - (slope h)^2
        is a quadratic a t^2 + 2 b t + c along a ray; the ray is inside where f <= 0 and h >= 0.
        """
        axis = np.array(self.axis)
        offset = origins - np.array(self.apex_mm)
        height, rise = offset @ axis, directions @ axis
        height, rise = np.broadcast_arrays(height, rise)
        scale = 1.0 + self.slope**2
        a = np.sum(directions * directions, axis=-1) - scale * rise**2
        b = np.sum(offset * directions, axis=-1) - scale * height * rise
        c = np.sum(offset * offset, axis=-1) - scale * height**2
        a = np.where(np.abs(a) < _PARALLEL, _PARALLEL, a)
        room = b * b - a * c
        root = np.sqrt(np.maximum(room, 0.0))
        # The two crossings without cancellation.
        far = -(b + np.copysign(root, b))
        near = np.where(far == 0.0, 0.0, c / np.where(far == 0.0, 1.0, far))
        first, last = np.minimum(far / a, near), np.maximum(far / a, near)
        across = a > 0
        # Across: inside between the crossings. Along (a < 0): inside beyond one of them, the one
        # towards which the height grows; the other belongs to the other half of the cone.
        start = np.where(across, first, np.where(rise > 0, last, -np.inf))
        end = np.where(across, last, np.where(rise > 0, np.inf, first))
        middle = height + rise * (first + last) / 2
        missed = across & ((room <= 0) | (middle <= 0))
        return np.where(missed, np.inf, start), np.where(missed, -np.inf, end)

    def bounds_mm(self) -> tuple[DoubleArray, DoubleArray]:
        """Corners of the axis-parallel box around it: a cone has no end."""
        return np.full(3, -np.inf), np.full(3, np.inf)

    def is_even_between(self, low_mm: float, high_mm: float) -> bool:
        """Whether every axial slice through it between two heights is the same: never."""
        del low_mm, high_mm
        return False

    def contains(self, points: DoubleArray) -> BoolArray:
        """Whether points [..., 3] (mm) lie inside or on the surface."""
        offset = points - np.array(self.apex_mm)
        height = offset @ np.array(self.axis)
        square = np.sum(offset * offset, axis=-1)
        inside = (height >= 0) & (square <= (1.0 + self.slope**2) * height**2)
        return np.asarray(inside)
