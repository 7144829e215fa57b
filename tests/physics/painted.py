"""What painted shapes attenuate at points, the slow and plain way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctdenoise.phantoms.shapes import Shape

Array = npt.NDArray[np.float64]


def attenuation_at(shapes: Sequence[Shape], points: Array) -> Array:
    """Attenuation relative to water at points [point, 3], mm."""
    painted = np.zeros(len(points))
    first, last = points.min(axis=0), points.max(axis=0)
    for shape in shapes:
        low, high = shape.bounds_mm()
        if (first > high).any() or (last < low).any():
            continue
        near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
        inside = near[shape.contains(points[near])]
        kept = painted[inside] if shape.adds else 0.0
        painted[inside] = kept + shape.relative_attenuation
    return painted


def sampled_integral(
    shapes: Sequence[Shape], origin: Array, direction: Array, *, reach_mm: float, step_mm: float
) -> float:
    """Midpoint rule along one line, mm of water."""
    along = np.arange(-reach_mm, reach_mm, step_mm) + step_mm / 2
    values = attenuation_at(shapes, origin + along[:, None] * direction)
    return float(values.sum() * step_mm)
