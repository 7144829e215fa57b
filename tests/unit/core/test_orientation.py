"""Orientation of a grid in words and letters."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.orientation import in_words, letters, plane


def grid(row: tuple[float, float, float], column: tuple[float, float, float]) -> Geometry:
    normal = np.cross(row, column)
    return Geometry(4, 4, (1.0, 1.0), row, column, np.arange(3)[:, None] * normal)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0, 0, 1), "H"),
        ((0, 0, -1), "F"),
        ((0, 0.95, -0.317), "PF"),
        ((0.99, 0.1, 0), "L"),
    ],
)
def test_directions_have_the_letters_of_dicom(direction, expected):
    assert letters(direction) == expected


def test_an_axial_grid_is_described_as_one_reads_it():
    assert in_words(grid((1, 0, 0), (0, 1, 0))) == (
        "axial; rows run to the left, columns to the back, slices to the head"
    )


def test_coronal_and_sagittal_slices_are_told_from_axial_ones():
    assert plane(grid((1, 0, 0), (0, 0, -1))) == "coronal"
    assert plane(grid((0, 1, 0), (0, 0, -1))) == "sagittal"


def test_a_leaning_stack_says_by_how_much():
    angle = np.radians(20)
    leaning = grid((1, 0, 0), (0, float(np.cos(angle)), float(-np.sin(angle))))
    assert "axial, 20.0 degrees off" in in_words(leaning)
