"""Superellipsoids: between an ellipsoid and a box, and as exact along a line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import UsageError

Row = tuple[float, float, float]

NEWTON_STEPS = 60
"""More than Newton's method needs from the sides of the box around a superellipsoid."""

_PARALLEL = 1e-14


@dataclass(frozen=True, slots=True)
class Superquadric:
    """The points x with sum over i of |m_i . (x - c)|^p <= 1.

    Three rows make a superellipsoid, two an endless cylinder over a superellipse. It is convex, so
    a line meets it in one chord. Its ends are found by Newton's method from outside, where it
    cannot miss them: to rounding, about 1e-12 of the half-axes.

    Args:
        centre_mm: c.
        rows: The m_i, per mm.
        power: p, at least 2, which is an ellipsoid; large powers are boxes with round edges.

    Raises:
        UsageError: If there are not two or three finite rows, or the power is not in [2, 40].
    """

    centre_mm: Row
    rows: tuple[Row, ...]
    power: float

    def __post_init__(self) -> None:
        if len(self.rows) not in (2, 3) or not all(
            math.isfinite(value) for row in (self.centre_mm, *self.rows) for value in row
        ):
            raise UsageError("A superquadric has two or three rows of finite numbers.")
        if not 2 <= self.power <= 40:
            raise UsageError(f"The power of a superquadric is 2 to 40, not {self.power}.")

    def chord(
        self, origins: DoubleArray, directions: DoubleArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Where rays enter and leave; see `Shape.chord`."""
        matrix = np.array(self.rows)
        start = (origins - np.array(self.centre_mm)) @ matrix.T
        slope = np.broadcast_to(directions @ matrix.T, start.shape)
        low, high = _box_chord(start, slope)
        missed = ~(high >= low) | ~np.isfinite(low) | ~np.isfinite(high)
        low, high = np.where(missed, 0.0, low), np.where(missed, 0.0, high)
        ends = []
        for place, sign in ((low, 1.0), (high, -1.0)):
            at, outside = self._root(start, slope, place, sign)
            ends.append(at)
            missed = missed | outside
        return np.where(missed, np.inf, ends[0]), np.where(missed, -np.inf, ends[1])

    def _root(
        self, start: DoubleArray, slope: DoubleArray, at: DoubleArray, sign: float
    ) -> tuple[DoubleArray, BoolArray]:
        """Newton's method from outside towards the inside; and which rays have no root."""
        outside = np.zeros(at.shape, dtype=bool)
        for _ in range(NEWTON_STEPS):
            here = start + at[..., None] * slope
            size = np.abs(here)
            value = np.sum(size**self.power, axis=-1) - 1.0
            rise = self.power * np.sum(size ** (self.power - 1) * np.sign(here) * slope, axis=-1)
            # Going in, the sum falls; where it no longer does before the surface, there is none.
            outside |= (value > 1e-14) & ~(sign * rise < 0)
            step = np.where(outside | (value <= 0), 0.0, -value / np.where(rise == 0, 1.0, rise))
            at = at + step
            if not (np.abs(step) > 1e-15 * (1.0 + np.abs(at))).any():
                break
        return at, outside

    def contains(self, points: DoubleArray) -> BoolArray:
        """Whether points [..., 3] (mm) lie inside or on the surface."""
        reduced = np.abs((points - np.array(self.centre_mm)) @ np.array(self.rows).T)
        return np.asarray(np.sum(reduced**self.power, axis=-1) <= 1.0)

    def bounds_mm(self) -> tuple[DoubleArray, DoubleArray]:
        """Corners of an axis-parallel box around it; infinite along the axis of a cylinder."""
        matrix = np.array(self.rows)
        centre = np.array(self.centre_mm)
        if len(self.rows) == 2:
            if matrix[:, 2].any():
                raise UsageError("An endless superquadric runs along z.")
            inverse = np.linalg.inv(matrix[:, :2])
            reach = np.array([*self._support(inverse), np.inf])
        else:
            reach = self._support(np.linalg.inv(matrix))
        return centre - reach, centre + reach

    def _support(self, inverse: DoubleArray) -> DoubleArray:
        """Half the width along each axis: the dual norm of the rows of the inverse (Hoelder)."""
        dual = self.power / (self.power - 1)
        return np.asarray(np.sum(np.abs(inverse) ** dual, axis=1) ** (1 / dual))

    def is_even_between(self, low_mm: float, high_mm: float) -> bool:
        """Whether every axial slice through it between two heights is the same."""
        del low_mm, high_mm
        return all(row[2] == 0.0 for row in self.rows)


def _box_chord(start: DoubleArray, slope: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Where a line is inside the box around a superquadric, in its own coordinates."""
    along = np.abs(slope) <= _PARALLEL
    safe = np.where(along, 1.0, slope)
    first, second = (-1.0 - start) / safe, (1.0 - start) / safe
    inside = np.abs(start) <= 1.0
    first = np.where(along, np.where(inside, -np.inf, np.inf), first)
    second = np.where(along, np.where(inside, np.inf, -np.inf), second)
    low = np.where(along, first, np.minimum(first, second)).max(axis=-1)
    high = np.where(along, second, np.maximum(first, second)).min(axis=-1)
    return np.asarray(low), np.asarray(high)
