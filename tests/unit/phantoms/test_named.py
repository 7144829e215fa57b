"""What holds for every phantom that has a name."""

from __future__ import annotations

import itertools
import json
from typing import get_args

import numpy as np
import pytest

from ctdenoise.config.named_phantoms import MathematicalPhantom, PointObject, TestObject
from ctdenoise.phantoms.drawing import Drawing
from ctdenoise.phantoms.named import named_drawing
from ctdenoise.phantoms.shapes import line_integrals
from ctdenoise.phantoms.truth import shape_from_json, truth_json

SETTINGS = [
    kind for family in (MathematicalPhantom, TestObject, PointObject) for kind in get_args(family)
]


@pytest.fixture(params=SETTINGS, ids=lambda kind: str(kind.__name__))
def drawing(request) -> Drawing:
    return named_drawing(request.param())


def test_the_truth_rebuilds_the_shapes_and_says_how_they_meet(drawing):
    numbers = {name: number for number, name in enumerate(drawing.labels, start=1)}
    truth = truth_json(drawing.shapes, name="any", label_numbers=numbers, anatomy={})
    read = json.loads(json.dumps(truth))
    assert tuple(shape_from_json(record) for record in read["shapes"]) == drawing.shapes
    assert ("adds" in read["rule"]) == any(shape.adds for shape in drawing.shapes)


def test_labels_fit_into_eight_bits_and_every_shape_has_one(drawing):
    assert len(set(drawing.labels)) == len(drawing.labels) <= 255
    assert {shape.label for shape in drawing.shapes} == set(drawing.labels)


def test_the_field_of_view_shows_the_whole_phantom(drawing):
    for shape in drawing.shapes:
        low, high = shape.bounds_mm()
        inside = np.maximum(np.abs(low), np.abs(high))[:2] <= drawing.field_of_view_mm / 2
        # The box of a slanted solid, and of a clipped one, is larger than it is.
        clipped = len(shape.parts) > 1
        assert inside.all() or clipped


def test_rays_skip_only_shapes_that_they_miss(drawing):
    rng = np.random.default_rng(1)
    reach = drawing.field_of_view_mm / 2
    directions = rng.normal(size=(60, 3))
    directions[:30, 2] = 0.0
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = rng.uniform(-0.4 * reach, 0.4 * reach, (60, 3))
    origins[:, 2] = drawing.middle_mm + rng.uniform(-10, 10, 60)
    for rays in (slice(0, 30), slice(30, 60)):
        found = line_integrals(drawing.shapes, origins[rays], directions[rays])
        expected = plainly(drawing, origins[rays], directions[rays])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def plainly(drawing: Drawing, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The same integrals from all chords of all shapes, stretch by stretch."""
    chords = [shape.chord(origins, directions) for shape in drawing.shapes]
    total = np.zeros(len(origins))
    for ray in range(len(origins)):
        ends = sorted({float(end[ray]) for pair in chords for end in pair})
        for first, last in itertools.pairwise(ends):
            middle, value = (first + last) / 2, 0.0
            for shape, (start, end) in zip(drawing.shapes, chords, strict=True):
                if start[ray] < middle < end[ray]:
                    value = shape.relative_attenuation + (value if shape.adds else 0.0)
            total[ray] += value * (last - first)
    return total
