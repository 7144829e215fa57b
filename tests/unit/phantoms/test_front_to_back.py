"""Drawing from the front gives what drawing from the back gives."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.phantom_random import DeadLeavesSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.phantoms.dead_leaves import paint_dead_leaves
from ctdenoise.phantoms.front_to_back import paint
from ctdenoise.phantoms.line_chords import line_chord
from ctdenoise.phantoms.packed import packed
from ctdenoise.phantoms.raster import rasterise
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import ellipsoid, elliptic_cylinder

NUMBERS = {"fat": 1, "lung": 2, "soft tissue": 3, "enhanced": 4, "bone": 5}


def grid(size: int = 96, slices: int = 2, spacing_mm: float = 1.5) -> Geometry:
    corner = -(size - 1) / 2 * spacing_mm
    return Geometry.axial(
        (slices, size, size),
        pixel_spacing_mm=spacing_mm,
        slice_spacing_mm=3.0,
        first_position_mm=(corner, corner, -1.5),
    )


@pytest.fixture(scope="module")
def leaves() -> tuple[Shape, ...]:
    settings = DeadLeavesSettings(diameter_mm=120, radius_mm=(6, 40))
    return paint_dead_leaves(settings, grid(), slice_thickness_mm=3.0, seed=5).shapes


def test_many_solids_are_drawn_as_from_the_back(leaves):
    numbers = {name: number for number, name in enumerate(NUMBERS, start=1)}
    hu, labels = rasterise(leaves, grid(), slice_thickness_mm=3.0, label_numbers=numbers)
    found = paint(packed(leaves, numbers), grid(), slice_thickness_mm=3.0)
    assert len(leaves) > 100
    # Both sample shares along y and z, with other lines: edges differ by the error of a share,
    # and voxels inside of a leaf not at all.
    difference = np.abs(found.hu - hu)
    assert (difference < 1e-3).mean() > 0.5
    assert np.median(difference[difference >= 1e-3]) < 20.0
    assert (found.hu - hu).mean() == pytest.approx(0.0, abs=0.5)
    assert (found.labels == labels).mean() > 0.99


def test_the_area_of_a_disc_is_right():
    disc = Shape("disc", 0.0, (elliptic_cylinder((3.3, -4.7), (20.2, 13.9)),))
    found = paint(packed([disc], {}), grid(), slice_thickness_mm=3.0)
    area = (1 + found.hu[0].astype(float) / 1000).sum() * 1.5**2
    assert area == pytest.approx(np.pi * 20.2 * 13.9, rel=2e-3)
    assert found.hu.max() == 0.0


def test_what_is_hidden_is_known():
    big = Shape("big", 50.0, (ellipsoid((0, 0, 0), (40, 40, 40)),))
    small = Shape("small", 100.0, (ellipsoid((5, 0, 0), (8, 8, 8)),))
    over = paint(packed([big, small], {}), grid(), slice_thickness_mm=3.0)
    under = paint(packed([small, big], {}), grid(), slice_thickness_mm=3.0)
    assert over.seen.tolist() == [True, True]
    assert under.seen.tolist() == [False, True]
    assert over.hu.max() == 100.0
    assert under.hu.max() == 50.0


def test_the_compiled_chord_is_that_of_the_shape(leaves):
    names = {shape.name for shape in leaves}
    assert {"ellipsoid", "superellipsoid", "box", "polygon"} <= names
    rng = np.random.default_rng(0)
    for shape in leaves[1:200]:
        low, high = shape.bounds_mm()
        if not (low < high).all():
            continue  # only its box shows in the body
        y = float(rng.uniform(low[1], high[1]))
        z = float(rng.uniform(low[2], high[2])) if np.isfinite(low[2]) else 0.0
        start, end = shape.chord(np.array([0.0, y, z]), np.array([1.0, 0.0, 0.0]))
        found = line_chord(packed([shape], NUMBERS).parts, y, z)
        if end > start:
            np.testing.assert_allclose(found, (start, end), atol=1e-6)
        else:
            assert not found[1] > found[0] + 1e-9


def test_nothing_is_air():
    found = paint(packed([Shape("a", 0.0, (ellipsoid((900, 0, 0), (1, 1, 1)),))], {}), grid(),
                  slice_thickness_mm=3.0)  # fmt: skip
    assert (found.hu == -1000).all()
    assert not found.seen.any()
