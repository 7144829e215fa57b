"""Directions across others."""

from __future__ import annotations

import math

Vector = tuple[float, float, float]

ENDLESS_MM = 1e6
"""A solid that reaches farther than this is endless."""


def missing_rows(rows: tuple[Vector, ...]) -> list[Vector]:
    """Rows that make a matrix square, for directions in which the solid is endless."""
    if len(rows) == 3:
        return []
    tiny = 1e-3 / ENDLESS_MM
    if len(rows) == 2:
        across = cross(rows[0], rows[1])
        scale = tiny / math.hypot(*across)
        return [(across[0] * scale, across[1] * scale, across[2] * scale)]
    axis = min(range(3), key=lambda index: abs(rows[0][index]))
    other = cross(rows[0], (float(axis == 0), float(axis == 1), float(axis == 2)))
    scale = tiny / math.hypot(*other)
    second = (other[0] * scale, other[1] * scale, other[2] * scale)
    return [second, *missing_rows((rows[0], second))]


def cross(a: Vector, b: Vector) -> Vector:
    """The cross product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
