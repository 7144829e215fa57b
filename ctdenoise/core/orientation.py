"""Which way a grid lies in the patient, in the words and letters of radiology."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctdenoise.core.geometry import Geometry

_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))
_WORDS = {"L": "left", "R": "right", "P": "back", "A": "front", "H": "head", "F": "feet"}
_PLANES = ("sagittal", "coronal", "axial")
_STRAIGHT_DEGREES = 0.5
_SECOND_LETTER = 0.3
"""A direction that leans more than this cosine towards a second axis names it as well."""


def letters(direction: Sequence[float]) -> str:
    """Where a direction of the patient frame (LPS) points: "L", "R", "P", "A", "H", "F", or "LP".

    Args:
        direction: A unit vector; the largest component names the first letter (PS3.3 C.7.6.1.1.1).
    """
    vector = np.asarray(direction, dtype=np.float64)
    order = np.argsort(-np.abs(vector), kind="stable")
    named = [axis for axis in order[:2] if axis == order[0] or abs(vector[axis]) > _SECOND_LETTER]
    return "".join(_LETTERS[int(axis)][int(vector[axis] > 0)] for axis in named)


def word(direction: Sequence[float]) -> str:
    """The side of the patient that a direction mainly points to: "left", "head", ..."""
    return _WORDS[letters(direction)[0]]


def plane(geometry: Geometry) -> str:
    """The plane of the slices by their normal: "axial", "coronal" or "sagittal"."""
    return _PLANES[normal_axis(geometry)]


def normal_axis(geometry: Geometry) -> int:
    """Axis of the patient frame that the normal is nearest to: 0 for x, 1 for y, 2 for z."""
    return int(np.argmax(np.abs(geometry.normal)))


def leaning_degrees(geometry: Geometry) -> float:
    """Angle between the normal of the slices and the axis of the patient that it is nearest to."""
    cosine = float(np.abs(geometry.normal).max())
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def in_words(geometry: Geometry) -> str:
    """The orientation as a sentence without its end.

    Args:
        geometry: Any grid.
    """
    leaning = leaning_degrees(geometry)
    oblique = f", {leaning:.1f} degrees off" if leaning > _STRAIGHT_DEGREES else ""
    return (
        f"{plane(geometry)}{oblique}; rows run to the {word(geometry.row_direction)}, columns to "
        f"the {word(geometry.column_direction)}, slices to the {word(list(geometry.normal))}"
    )
