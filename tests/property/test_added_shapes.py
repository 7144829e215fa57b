"""Shapes that add and shapes that replace describe the same object in two ways."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ctdenoise.core.geometry import Geometry
from ctdenoise.phantoms.raster import Sampling, rasterise
from ctdenoise.phantoms.shapes import Quadric, Shape, line_integrals
from ctdenoise.phantoms.solids import ellipsoid, rotation
from ctdenoise.phantoms.truth import shape_from_json, shape_to_json

HU = st.floats(-1000, 3000)
RAYS = np.random.default_rng(11)
ORIGINS = RAYS.uniform(-30, 30, (40, 3))
DIRECTIONS = RAYS.normal(size=(40, 3))


@st.composite
def nested(draw) -> list[tuple[float, Quadric]]:
    """Values and ellipsoids, each inside the one before it."""
    centre = [draw(st.floats(-15, 15)) for _ in range(3)]
    half = np.array([draw(st.floats(8, 40)) for _ in range(3)])
    turn = rotation(about_x=draw(st.floats(-90, 90)), about_z=draw(st.floats(-180, 180)))
    found = []
    for _ in range(draw(st.integers(1, 5))):
        found.append((draw(HU), ellipsoid(centre, half, turn)))
        half = half * draw(st.floats(0.3, 0.9))
    return found


def replacing(layers: list[tuple[float, Quadric]]) -> list[Shape]:
    return [Shape("layer", hu, (part,)) for hu, part in layers]


def adding(layers: list[tuple[float, Quadric]]) -> list[Shape]:
    below = [-1000.0, *(hu for hu, _ in layers)]
    return [
        Shape("layer", hu - less, (part,), adds=True)
        for (hu, part), less in zip(layers, below, strict=False)
    ]


@given(nested())
@settings(max_examples=60, deadline=None)
def test_nested_shapes_add_up_to_what_replaces(layers):
    painted = line_integrals(replacing(layers), ORIGINS, DIRECTIONS)
    summed = line_integrals(adding(layers), ORIGINS, DIRECTIONS)
    np.testing.assert_allclose(summed, painted, rtol=0, atol=1e-8)


@given(nested(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_what_adds_knows_no_order(layers, random):
    shapes = adding(layers)
    shuffled = random.sample(shapes, len(shapes))
    np.testing.assert_allclose(
        line_integrals(shuffled, ORIGINS, DIRECTIONS),
        line_integrals(shapes, ORIGINS, DIRECTIONS),
        rtol=0,
        atol=1e-8,
    )


@given(nested(), nested())
@settings(max_examples=40, deadline=None)
def test_added_shapes_are_the_sum_of_each_alone(first, second):
    shapes = [*adding(first), *adding(second)]
    alone = sum(line_integrals([shape], ORIGINS, DIRECTIONS) for shape in shapes)
    np.testing.assert_allclose(
        line_integrals(shapes, ORIGINS, DIRECTIONS), alone, rtol=0, atol=1e-8
    )


@given(nested())
@settings(max_examples=15, deadline=None)
def test_voxels_of_added_shapes_are_the_sum_of_each_alone(layers):
    geometry = Geometry.axial(
        (3, 32, 32),
        pixel_spacing_mm=3.0,
        slice_spacing_mm=4.0,
        first_position_mm=(-46.5, -46.5, -4.0),
    )

    def drawn(shapes: list[Shape]) -> np.ndarray:
        hu, _ = rasterise(
            shapes,
            geometry,
            slice_thickness_mm=4.0,
            label_numbers={},
            sampling=Sampling.FINE,
        )
        return hu.astype(np.float64) + 1000.0

    shapes = adding(layers)
    together = drawn(shapes)
    alone = sum(drawn([shape]) for shape in shapes)
    np.testing.assert_allclose(together, alone, rtol=0, atol=0.01)


@given(nested())
@settings(max_examples=20, deadline=None)
def test_shapes_that_add_survive_the_truth_file(layers):
    shapes = [*adding(layers), *replacing(layers)]
    records = json.loads(json.dumps([shape_to_json(shape) for shape in shapes]))
    assert [shape_from_json(record) for record in records] == shapes
