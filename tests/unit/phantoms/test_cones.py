"""Cones."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import UsageError
from ctdenoise.phantoms.cones import Cone
from ctdenoise.phantoms.shapes import HalfSpace, Shape, line_integrals
from ctdenoise.phantoms.solids import ellipsoid, vector
from ctdenoise.phantoms.truth import shape_from_json, shape_to_json
from tests.physics.painted import sampled_integral


def hat(apex=(3.0, -2.0, 5.0), axis=(0.0, 0.6, -0.8), slope=0.5, height=40.0) -> Shape:
    """A cone cut across its axis."""
    end = np.add(apex, np.multiply(axis, height))
    across = HalfSpace(vector(axis), float(np.dot(axis, end)))
    return Shape("hat", 0.0, (Cone(apex, axis, slope), across, ellipsoid(apex, (100, 100, 100))))


def test_a_cone_contains_what_is_near_its_axis_on_one_side_of_its_tip():
    cone = Cone((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 2.0)
    points = np.array([[0, 0, 1], [1.9, 0, 1], [2.1, 0, 1], [0, 0, -1], [1, 0, -1], [0, 0, 0]])
    assert cone.contains(points.astype(float)).tolist() == [True, True, False, False, False, True]


def test_rays_through_a_cone_agree_with_sampling():
    rng = np.random.default_rng(0)
    shape = hat()
    origins = np.array([3.0, 10.0, -10.0]) + rng.uniform(-15, 15, (60, 3))
    directions = rng.normal(size=(60, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    exact = line_integrals([shape], origins, directions)
    assert (exact > 5).sum() > 20
    for value, origin, direction in zip(exact, origins, directions, strict=True):
        sampled = sampled_integral([shape], origin, direction, reach_mm=110.0, step_mm=0.02)
        assert abs(sampled - value) < 0.021  # two edges, half a step each


@pytest.mark.parametrize("direction", [(0.0, 0.6, -0.8), (0.0, -0.6, 0.8)])
def test_the_axis_of_a_cone_is_inside_from_its_tip_to_its_end(direction):
    length = line_integrals([hat()], np.array([3.0, -2.0, 5.0]), np.array(direction))
    assert length == pytest.approx(40.0, abs=1e-9)


def test_a_ray_along_the_side_of_a_cone_touches_it_only():
    side = np.array([2.0, 0.0, 1.0]) / np.sqrt(5)
    cone = Shape("cone", 0.0, (Cone((0, 0, 0), (0, 0, 1), 2.0), HalfSpace((0, 0, 1), 9.0)))
    outside = line_integrals([cone], np.array([0.1, 0.0, 0.0]), side)
    assert outside == pytest.approx(0.0, abs=1e-6)


def test_a_cone_survives_the_truth_file():
    assert shape_from_json(shape_to_json(hat())) == hat()


@pytest.mark.parametrize(("axis", "slope"), [((0.0, 0.0, 2.0), 1.0), ((0.0, 0.0, 1.0), 0.0)])
def test_no_cone_without_axis_or_slope(axis, slope):
    with pytest.raises(UsageError, match="cone"):
        Cone((0.0, 0.0, 0.0), axis, slope)
