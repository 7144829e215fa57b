"""Which slices stand beside a slice, at ends and gaps."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.neighbours import neighbour_indices


def at(*positions_mm, advance=(0.0, 0.0, 1.0)):
    """Axial slices at some places; `advance` leans for a tilted gantry."""
    places = np.array(positions_mm)[:, None] * np.array(advance)
    return Geometry(8, 8, (1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), places)


def test_in_the_middle_neighbours_are_the_slices_before_and_after():
    found = neighbour_indices(at(0, 2, 4, 6, 8), 2)
    assert found[2].tolist() == [0, 1, 2, 3, 4]


def test_at_the_ends_the_last_slice_is_repeated():
    found = neighbour_indices(at(0, 2, 4, 6, 8), 2)
    assert found[0].tolist() == [0, 0, 0, 1, 2]
    assert found[3].tolist() == [1, 2, 3, 4, 4]
    assert found[4].tolist() == [2, 3, 4, 4, 4]


def test_nothing_is_taken_from_beyond_a_gap():
    found = neighbour_indices(at(0, 2, 4, 20, 22, 24), 1)
    assert found.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 5], [4, 5, 5]]


def test_a_lone_slice_between_two_gaps_is_its_own_neighbour():
    assert neighbour_indices(at(0, 2, 4, 20, 40, 42, 44), 1)[3].tolist() == [3, 3, 3]


def test_a_single_slice_is_its_own_neighbour():
    assert neighbour_indices(at(0), 2).tolist() == [[0] * 5]


def test_a_finer_spacing_is_another_run():
    geometry = at(0, 5, 10, 11, 12, 13)
    assert geometry.runs() == (slice(0, 3), slice(3, 6))
    found = neighbour_indices(geometry, 1)
    assert found.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 5], [4, 5, 5]]


def test_a_tilted_gantry_is_one_run():
    tilted = at(0, 2, 4, 6, advance=(0.0, 0.3, 1.0))
    assert np.array_equal(neighbour_indices(tilted, 1), neighbour_indices(at(0, 2, 4, 6), 1))


@pytest.mark.parametrize("reach", [0, 1, 3])
def test_the_middle_column_is_the_slice_itself(reach):
    found = neighbour_indices(at(0, 2, 4, 20, 22), reach)
    assert found.shape == (5, 2 * reach + 1)
    assert found[:, reach].tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(found, axis=1) >= 0).all()
