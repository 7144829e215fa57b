from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.errors import GeometryError


def at(heights, *, shear=0.0):
    positions = np.zeros((len(heights), 3))
    positions[:, 2] = heights
    positions[:, 1] = shear * np.asarray(heights, dtype=float)
    return Geometry(4, 6, (1.5, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), positions)


def test_affine_maps_indices_to_patient_positions():
    geometry = Geometry.axial(
        (3, 4, 6), pixel_spacing_mm=(1.5, 0.5), slice_spacing_mm=2.0, first_position_mm=(10, 20, 30)
    )
    point = geometry.affine() @ [5, 3, 2, 1]
    np.testing.assert_allclose(point[:3], [10 + 5 * 0.5, 20 + 3 * 1.5, 30 + 2 * 2.0])


@pytest.mark.parametrize(
    ("heights", "runs"),
    [
        ([0], [(0, 1)]),
        ([0, 3], [(0, 2)]),
        ([0, 1, 2, 3], [(0, 4)]),
        ([0, 1, 2, 5, 6, 7], [(0, 3), (3, 6)]),
        ([0, 5, 10, 12, 14], [(0, 3), (3, 5)]),
        ([0, 3, 4, 5], [(0, 1), (1, 4)]),
        ([0, 1, 3], [(0, 2), (2, 3)]),
    ],
)
def test_a_gap_ends_a_run(heights, runs):
    assert [(run.start, run.stop) for run in at(heights).runs()] == runs


def test_runs_partition_any_stack_into_uniform_stretches():
    rng = np.random.default_rng(5)
    for _ in range(50):
        heights = np.cumsum(rng.choice([1.0, 1.0, 1.0, 2.5, 4.0], size=12))
        geometry = at(heights)
        runs = geometry.runs()
        assert [i for run in runs for i in range(run.start, run.stop)] == list(range(12))
        for run in runs:
            inside = np.diff(heights[run])
            assert inside.size == 0 or np.ptp(inside) < 0.011


def test_a_tilted_stack_knows_its_tilt_and_has_no_affine():
    tilted = at([0, 2, 4], shear=np.tan(np.radians(18.5)))
    assert tilted.tilt_degrees == pytest.approx(18.5)
    with pytest.raises(GeometryError, match="sheared"):
        tilted.affine()
    assert at([0, 2, 4]).tilt_degrees == 0.0


def test_an_uneven_stack_has_no_affine():
    with pytest.raises(GeometryError, match="unevenly"):
        at([0, 1, 2, 4]).affine()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 0}, "no pixels"),
        ({"pixel_spacing_mm": (0.0, 1.0)}, "not positive"),
        ({"row_direction": (1.0, 1.0, 0.0)}, "orthogonal"),
        ({"positions_mm": np.array([[0, 0, 1.0], [0, 0, 0.0]])}, "ascending"),
        ({"positions_mm": np.array([[0, 0, np.nan]])}, "finite"),
        ({"positions_mm": np.zeros((0, 3))}, "no slice"),
    ],
)
def test_an_impossible_grid_is_refused(change, words):
    valid = {
        "rows": 4,
        "columns": 4,
        "pixel_spacing_mm": (1.0, 1.0),
        "row_direction": (1.0, 0.0, 0.0),
        "column_direction": (0.0, 1.0, 0.0),
        "positions_mm": np.zeros((1, 3)),
    }
    with pytest.raises(GeometryError, match=words):
        Geometry(**{**valid, **change})


def test_grids_match_within_a_hundredth_of_a_millimetre():
    assert at([0, 1, 2]).matches(at([0, 1, 2.005]))
    assert not at([0, 1, 2]).matches(at([0, 1, 2.05]))
    assert not at([0, 1, 2]).matches(at([0, 1]))


def test_slice_positions_cannot_be_changed_from_outside():
    positions = np.zeros((1, 3))
    geometry = Geometry(2, 2, (1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), positions)
    positions[0, 0] = 9.0
    assert geometry.positions_mm[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        geometry.positions_mm[0, 0] = 1.0
