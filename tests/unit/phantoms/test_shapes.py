"""Chords of shapes and what is painted over what."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import UsageError
from ctdenoise.phantoms.rays import fan_rays, parallel_rays
from ctdenoise.phantoms.shapes import HalfSpace, Quadric, Shape, line_integrals
from ctdenoise.phantoms.solids import (
    axes_along,
    between_planes,
    ellipsoid,
    elliptic_cylinder,
    rotation,
    tube,
)

OFFSETS = np.linspace(-60, 60, 241)
ANGLES = np.linspace(0, np.pi, 7)


def test_a_ray_through_a_disc_of_water_is_as_long_as_its_chord():
    shape = Shape("disc", 0.0, (elliptic_cylinder((0, 0), (50, 50)),))
    integrals = line_integrals([shape], *parallel_rays(ANGLES, OFFSETS))
    exact = 2 * np.sqrt(np.maximum(50**2 - OFFSETS**2, 0))
    np.testing.assert_allclose(integrals, np.tile(exact, (len(ANGLES), 1)), atol=1e-9)


def test_a_disc_off_the_isocentre_has_the_chord_of_its_distance_from_a_fan_ray():
    centre = np.array([30.0, -20.0])
    shape = Shape("disc", 500.0, (elliptic_cylinder(centre, (12, 12)),))
    origins, directions = fan_rays(
        np.linspace(0, 2 * np.pi, 9), np.linspace(-0.2, 0.2, 101), source_to_isocentre_mm=595.0
    )
    across = directions[..., 0] * (centre[1] - origins[..., 1]) - directions[..., 1] * (
        centre[0] - origins[..., 0]
    )
    exact = 1.5 * 2 * np.sqrt(np.maximum(12**2 - across**2, 0))
    np.testing.assert_allclose(line_integrals([shape], origins, directions), exact, atol=1e-9)


def test_a_fan_ray_passes_the_isocentre_at_d_sine_of_the_fan_angle():
    fan = np.array([-0.3, 0.0, 0.2])
    origins, directions = fan_rays(np.array([0.7]), fan, source_to_isocentre_mm=600.0)
    distance = np.linalg.norm(np.cross(origins, directions), axis=-1)
    np.testing.assert_allclose(distance[0], 600 * np.sin(np.abs(fan)), atol=1e-9)


def test_a_turned_ellipsoid_has_the_chord_of_the_sphere_it_is_a_picture_of():
    rng = np.random.default_rng(4)
    radii = np.array([30.0, 12.0, 7.0])
    turn = rotation(about_x=20, about_y=-35, about_z=50)
    shape = Shape("ellipsoid", 0.0, (ellipsoid((5, -3, 8), radii, turn),))
    origins = rng.uniform(-20, 20, (200, 3))
    directions = rng.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    start = ((origins - [5, -3, 8]) @ turn) / radii
    slope = (directions @ turn) / radii
    length = np.linalg.norm(slope, axis=1)
    nearest = np.linalg.norm(np.cross(start, slope), axis=1) / length
    exact = 2 * np.sqrt(np.maximum(1 - nearest**2, 0)) / length
    np.testing.assert_allclose(line_integrals([shape], origins, directions), exact, atol=1e-9)


def test_a_later_shape_replaces_what_lies_below_it():
    outer = Shape("outer", 0.0, (elliptic_cylinder((0, 0), (50, 50)),))
    hole = Shape("hole", -1000.0, (elliptic_cylinder((0, 0), (20, 20)),))
    core = Shape("core", 1000.0, (elliptic_cylinder((0, 0), (5, 5)),))
    origins, directions = parallel_rays(np.array([0.3]), np.array([0.0]))
    assert line_integrals([outer, hole, core], origins, directions)[0, 0] == pytest.approx(80.0)
    assert line_integrals([core, hole, outer], origins, directions)[0, 0] == pytest.approx(100.0)


def test_shapes_that_cross_are_painted_in_order_along_the_ray():
    left = Shape("left", 0.0, (elliptic_cylinder((-10, 0), (20, 20)),))
    right = Shape("right", 1000.0, (elliptic_cylinder((10, 0), (20, 20)),))
    ray = np.array([-100.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0])
    # left alone from -30 to -10, then right (twice the attenuation) from -10 to 30
    assert float(line_integrals([left, right], *ray)) == pytest.approx(20 + 2 * 40)
    assert float(line_integrals([right, left], *ray)) == pytest.approx(40 + 2 * 20)


def test_half_spaces_cut_a_shape():
    ball = ellipsoid((0, 0, 0), (10, 10, 10))
    shape = Shape("half ball", 0.0, (ball, HalfSpace((1.0, 0.0, 0.0), 4.0)))
    along_x = line_integrals([shape], np.array([-50.0, 0, 0]), np.array([1.0, 0, 0]))
    along_y = line_integrals([shape], np.array([4.5, -50.0, 0]), np.array([0.0, 1.0, 0]))
    assert float(along_x) == pytest.approx(14.0)
    assert float(along_y) == 0.0


def test_a_box_of_slabs_is_crossed_along_its_diagonal():
    slabs = tuple(
        Quadric((0.0, 0.0, 0.0), (tuple(row / half for row in np.eye(3)[axis].tolist()),))
        for axis, half in enumerate((3.0, 4.0, 12.0))
    )
    box = Shape("box", 0.0, slabs)
    diagonal = np.array([3.0, 4.0, 12.0])
    assert float(line_integrals([box], -5 * diagonal, diagonal)) == pytest.approx(26.0)


def test_a_tube_is_as_long_along_its_axis_as_its_ends_are_apart():
    start, end = np.array([3.0, -5.0, 2.0]), np.array([20.0, 9.0, -6.0])
    shape = Shape("tube", 0.0, tube(start, end, 1.5))
    length = np.linalg.norm(end - start)
    assert float(line_integrals([shape], start - 9 * (end - start), end - start)) == pytest.approx(
        length, abs=1e-9
    )
    across = axes_along(end - start)[:, 0]
    middle = (start + end) / 2
    assert float(line_integrals([shape], middle - 40 * across, across)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    "parts",
    [
        (ellipsoid((4, 5, -6), (3, 8, 2), rotation(about_x=30, about_z=-50)),),
        tube((0, 0, 0), (9, 4, -7), 2.0),
        (elliptic_cylinder((1, 2), (6, 3), rotation(about_z=25)), *between_planes(-4, 9)),
    ],
)
def test_bounds_hold_the_shape_and_no_bounding_box_cuts_it(parts):
    shape = Shape("any", 0.0, parts)
    low, high = shape.bounds_mm()
    points = np.random.default_rng(1).uniform(-25, 25, (200_000, 3))
    inside = points[shape.contains(points)]
    assert len(inside) > 50
    assert (inside >= low - 1e-9).all()
    assert (inside <= high + 1e-9).all()


def test_bounds_of_a_turned_ellipsoid_touch_it():
    turn = rotation(about_x=30, about_y=10, about_z=-50)
    shape = Shape("any", 0.0, (ellipsoid((4, 5, -6), (3, 8, 2), turn),))
    low, high = shape.bounds_mm()
    extent = np.sqrt(((turn * np.array([3.0, 8.0, 2.0])) ** 2).sum(axis=1))
    np.testing.assert_allclose(high - low, 2 * extent, rtol=1e-12)


def test_axes_along_is_a_rotation_for_every_direction():
    for direction in np.vstack(
        [np.eye(3), -np.eye(3), np.random.default_rng(0).normal(size=(9, 3))]
    ):
        axes = axes_along(direction)
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1.0)
        np.testing.assert_allclose(axes[:, 2], direction / np.linalg.norm(direction), atol=1e-12)


def test_a_ray_along_an_endless_cylinder_is_refused():
    shape = Shape("rod", 0.0, (elliptic_cylinder((0, 0), (5, 5)),))
    with pytest.raises(UsageError, match="for ever"):
        line_integrals([shape], np.zeros(3), np.array([0.0, 0.0, 1.0]))


def test_a_ray_beside_an_endless_cylinder_along_its_axis_is_zero():
    shape = Shape("rod", 0.0, (elliptic_cylinder((0, 0), (5, 5)),))
    assert float(line_integrals([shape], np.array([9.0, 0, 0]), np.array([0.0, 0, 1.0]))) == 0.0


def test_a_direction_of_zero_length_is_refused():
    with pytest.raises(UsageError, match="zero"):
        line_integrals([], np.zeros(3), np.zeros(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ellipsoid((0, 0, 0), (1, 0, 1)),
        lambda: tube((1, 2, 3), (1, 2, 3), 4.0),
        lambda: HalfSpace((1.0, 1.0, 0.0), 0.0),
        lambda: Quadric((0.0, 0.0, float("nan")), ((1.0, 0.0, 0.0),)),
        lambda: Shape("nothing", 0.0, ()),
        lambda: Shape("less than vacuum", -1001.0, (ellipsoid((0, 0, 0), (1, 1, 1)),)),
    ],
)
def test_impossible_solids_are_refused(make):
    with pytest.raises(UsageError):
        make()
