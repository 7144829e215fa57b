"""Where lines along x enter and leave solids, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.phantoms.packed import HALF_SPACE, QUADRIC

_NEWTON_STEPS = 60
"""More than Newton's method needs."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function that one thread runs; cached on disk."""
    return cast("Function", numba.njit(nogil=True, error_model="numpy", cache=True)(function))


@compiled
def line_chord(parts: DoubleArray, y: float, z: float) -> tuple[float, float]:
    """Where the line along x at (y, z) is inside all parts: its ends along x, mm.

    Args:
        parts: Lines of `PackedShapes.parts`.
        y: Of the line, mm.
        z: Of the line, mm.
    """
    start, stop = -np.inf, np.inf
    for index in range(len(parts)):
        part = parts[index]
        if part[0] == QUADRIC:
            low, high = _quadric_chord(part, y, z)
        elif part[0] == HALF_SPACE:
            room = part[4] - part[2] * y - part[3] * z
            low, high = -np.inf, np.inf
            if part[1] > 1e-14:
                high = room / part[1]
            elif part[1] < -1e-14:
                low = room / part[1]
            elif room < 0:
                low, high = np.inf, -np.inf
        else:
            low, high = _superquadric_chord(part, y, z)
        start, stop = max(start, low), min(stop, high)
        if not stop > start:
            break
    return start, stop


@compiled
def _quadric_chord(part: DoubleArray, y: float, z: float) -> tuple[float, float]:
    square, product = 0.0, 0.0
    for row in range(3):
        slope = part[4 + 3 * row]
        offset = part[5 + 3 * row] * (y - part[2]) + part[6 + 3 * row] * (z - part[3])
        square += slope * slope
        product += slope * offset
    nearest = -product / square if square > 1e-28 else 0.0
    room = 1.0
    for row in range(3):
        offset = part[5 + 3 * row] * (y - part[2]) + part[6 + 3 * row] * (z - part[3])
        offset += nearest * part[4 + 3 * row]
        room -= offset * offset
    if room < 0:
        return np.inf, -np.inf
    if square <= 1e-28:
        return -np.inf, np.inf
    half = np.sqrt(room / square)
    return part[1] + nearest - half, part[1] + nearest + half


@compiled
def _superquadric_chord(part: DoubleArray, y: float, z: float) -> tuple[float, float]:
    """As `Superquadric.chord`, along x; in coordinates that begin at the centre."""
    power = part[13]
    y, z = y - part[2], z - part[3]
    at_zero = (
        part[5] * y + part[6] * z,
        part[8] * y + part[9] * z,
        part[11] * y + part[12] * z,
    )
    slopes = (part[4], part[7], part[10])
    low, high = -np.inf, np.inf
    for row in range(3):
        if abs(slopes[row]) > 1e-14:
            first = (-1.0 - at_zero[row]) / slopes[row]
            second = (1.0 - at_zero[row]) / slopes[row]
            low, high = max(low, min(first, second)), min(high, max(first, second))
        elif abs(at_zero[row]) > 1.0:
            return np.inf, -np.inf
    if not high > low:
        return np.inf, -np.inf
    start = _newton(at_zero, slopes, power, low, 1.0)
    if np.isnan(start):
        return np.inf, -np.inf
    stop = _newton(at_zero, slopes, power, high, -1.0)
    if np.isnan(stop):
        return np.inf, -np.inf
    return part[1] + start, part[1] + stop


@compiled
def _newton(
    at_zero: tuple[float, float, float],
    slopes: tuple[float, float, float],
    power: float,
    at: float,
    sign: float,
) -> float:
    """Where the sum of powers falls to 1 from outside; NaN where it does not."""
    whole = int(power)
    for _ in range(_NEWTON_STEPS):
        value, rise = -1.0, 0.0
        for row in range(3):
            here = at_zero[row] + at * slopes[row]
            size = abs(here)
            if whole == power:  # products are much faster than a power
                grown = size
                for _ in range(whole - 2):
                    grown *= size
            else:
                grown = size ** (power - 1.0)
            value += grown * size
            rise += power * grown * np.sign(here) * slopes[row]
        if value <= 1e-9:
            break
        if not sign * rise < 0:
            return np.nan
        at -= value / rise
    return at
