"""Superellipsoids along lines."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import UsageError
from ctdenoise.phantoms.shapes import Quadric, Shape, line_integrals
from ctdenoise.phantoms.solids import ellipsoid, rotation
from ctdenoise.phantoms.superquadric import Superquadric
from ctdenoise.phantoms.truth import shape_from_json, shape_to_json

TURN = rotation(about_x=20, about_y=-35, about_z=70)


def turned(power: float, centre: tuple[float, float, float] = (3.0, -2.0, 5.0)) -> Superquadric:
    quadric = ellipsoid(centre, (10.0, 6.0, 4.0), TURN)
    return Superquadric(quadric.centre_mm, quadric.rows, power)


def rays(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return rng.uniform(-12, 12, (count, 3)) - 40 * directions, directions


def test_power_two_is_an_ellipsoid():
    quadric = Quadric(turned(2.0).centre_mm, turned(2.0).rows)
    solids = [Shape("a", 0.0, (part,)) for part in (turned(2.0), quadric)]
    found, expected = (line_integrals([solid], *rays(500)) for solid in solids)
    assert (expected > 0).mean() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("power", [2.5, 4.0, 7.0])
def test_a_chord_ends_where_the_surface_is(power):
    solid = turned(power)
    origins, directions = rays(2000, seed=1)
    start, end = solid.chord(origins, directions)
    hit = end > start
    assert 100 < hit.sum() < 2000
    for at in (start[hit], end[hit]):
        points = origins[hit] + at[:, None] * directions[hit]
        reduced = np.abs((points - solid.centre_mm) @ np.array(solid.rows).T)
        np.testing.assert_allclose(np.sum(reduced**power, axis=1), 1.0, rtol=1e-10)
    steps = origins[~hit, None] + np.linspace(0, 80, 400)[:, None] * directions[~hit, None]
    assert not solid.contains(steps).any()


def test_an_endless_one_along_z_is_the_same_in_every_slice():
    solid = Superquadric((1.0, 2.0, 0.0), ((0.1, 0.05, 0.0), (-0.02, 0.2, 0.0)), 4.0)
    assert solid.is_even_between(-5, 5)
    low, high = solid.bounds_mm()
    assert np.isinf([low[2], high[2]]).all()
    points = np.random.default_rng(2).uniform(low[:2], high[:2], (4000, 2))
    inside = solid.contains(np.column_stack([points, np.zeros(4000)]))
    assert 0.5 < inside.mean() < 1


@pytest.mark.parametrize("power", [2.0, 3.0, 8.0])
def test_the_box_around_it_touches_it(power):
    solid = turned(power)
    low, high = solid.bounds_mm()
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((200_000, 3))
    reduced = np.abs(directions @ np.array(solid.rows).T)
    surface = directions / np.sum(reduced**power, axis=1, keepdims=True) ** (1 / power)
    reach = np.abs(surface).max(axis=0)
    assert (reach <= (high - low) / 2 * (1 + 1e-9)).all()
    assert (reach > 0.98 * (high - low) / 2).all()


def test_truth_rebuilds_it():
    shape = Shape("leaf", 50.0, (turned(3.0),), label="fat")
    assert shape_from_json(shape_to_json(shape)) == shape


@pytest.mark.parametrize(("rows", "power"), [(1, 4.0), (3, 1.0), (3, 100.0)])
def test_what_is_no_convex_solid_is_refused(rows, power):
    with pytest.raises(UsageError):
        Superquadric((0.0, 0.0, 0.0), ((1.0, 0.0, 0.0),) * rows, power)
