"""Shapes as voxels."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.errors import GeometryError
from ctdenoise.phantoms.raster import rasterise
from ctdenoise.phantoms.shapes import HalfSpace, Shape
from ctdenoise.phantoms.solids import between_planes, ellipsoid, elliptic_cylinder, tube


def grid(*, slices: int = 1, size: int = 64, spacing_mm: float = 1.0, first_z_mm: float = 0.0):
    corner = -(size - 1) / 2 * spacing_mm
    return Geometry.axial(
        (slices, size, size),
        pixel_spacing_mm=spacing_mm,
        slice_spacing_mm=2.0,
        first_position_mm=(corner, corner, first_z_mm),
    )


def drawn(shape: Shape, geometry: Geometry) -> np.ndarray:
    """Share of each voxel that a shape of water fills."""
    hu, _ = rasterise([shape], geometry, slice_thickness_mm=2.0, label_numbers={})
    return 1 + hu.astype(np.float64) / 1000


@pytest.mark.parametrize("centre", [(0.0, 0.0), (3.3, -7.7)])
@pytest.mark.parametrize("radius", [1.5, 5.0, 20.0])
def test_a_disc_fills_its_area(centre, radius):
    share = drawn(Shape("disc", 0.0, (elliptic_cylinder(centre, (radius, radius)),)), grid())
    # 16 lines a pixel: the error of the midpoint rule for a disc is about (h / R)^1.5 of its area.
    assert share.sum() == pytest.approx(np.pi * radius**2, rel=3 * (1 / 16 / radius) ** 1.5)


def test_an_ellipsoid_fills_its_volume():
    radii = (14.0, 9.0, 7.0)
    shape = Shape("ellipsoid", 0.0, (ellipsoid((1.2, 2.1, 0.4), radii),))
    share = drawn(shape, grid(slices=13, first_z_mm=-12.0))
    volume = share.sum() * 1.0 * 1.0 * 2.0
    assert volume == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=2e-3)


def test_a_slanted_tube_fills_its_volume():
    shape = Shape("tube", 0.0, tube((-12, -8, -7), (9, 14, 8), 3.0))
    share = drawn(shape, grid(slices=13, first_z_mm=-12.0))
    length = np.sqrt(21**2 + 22**2 + 15**2)
    assert share.sum() * 2.0 == pytest.approx(np.pi * 9 * length, rel=5e-3)


def test_a_straight_edge_through_a_pixel_fills_its_exact_share():
    block = Shape(
        "block",
        0.0,
        (HalfSpace((1.0, 0.0, 0.0), 3.25), ellipsoid((0, 0, 0), (500, 500, 500))),
    )
    share = drawn(block, grid())[0]
    # Pixel centres are at half numbers: the pixel from 3 to 4 mm is filled to 3.25.
    np.testing.assert_allclose(share[:, 35], 0.25, atol=1e-6)
    assert (share[:, 34] == 1.0).all()
    assert (share[:, 36] == 0.0).all()


def test_a_slice_holds_the_share_of_its_thickness_that_a_shape_fills():
    shape = Shape("disc", 0.0, (elliptic_cylinder((0, 0), (9, 9)), *between_planes(-20, 2.0)))
    share = drawn(shape, grid(slices=4))
    # Slices of 2 mm at z = 0, 2, 4: the plane at 2 mm halves the second (three planes sample it).
    assert share[0, 32, 32] == 1.0
    assert share[1, 32, 32] == pytest.approx(0.5, abs=1 / 6 + 1e-6)
    assert share[2, 32, 32] == 0.0


def test_a_later_shape_replaces_values_and_labels():
    body = Shape("body", 0.0, (elliptic_cylinder((0, 0), (25, 25)),), label="water")
    insert = Shape("rod", 100.0, (elliptic_cylinder((0, 0), (8, 8)),), label="rod")
    hole = Shape("hole", -1000.0, (elliptic_cylinder((0, 0), (3, 3)),))
    hu, labels = rasterise(
        [body, insert, hole],
        grid(),
        slice_thickness_mm=2.0,
        label_numbers={"water": 1, "rod": 2},
    )
    assert (hu[0, 32, 32], labels[0, 32, 32]) == (-1000.0, 0)
    assert (hu[0, 32, 37], labels[0, 32, 37]) == (100.0, 2)
    assert (hu[0, 32, 47], labels[0, 32, 47]) == (0.0, 1)
    assert (hu[0, 0, 0], labels[0, 0, 0]) == (-1000.0, 0)


def test_a_shape_beyond_the_grid_changes_nothing():
    shape = Shape("far", 0.0, (ellipsoid((500, 0, 0), (20, 20, 20)),))
    assert (drawn(shape, grid()) == 0).all()


def test_a_shape_larger_than_the_grid_fills_it_exactly():
    shape = Shape("large", 0.0, (ellipsoid((5, 3, 1), (900, 800, 700)),))
    assert (drawn(shape, grid(slices=3)) == 1).all()


def test_texture_is_seen_only_where_a_shape_has_some():
    plain = Shape("plain", 0.0, (elliptic_cylinder((-14, 0), (10, 10)),), label="a")
    rough = Shape("rough", 0.0, (elliptic_cylinder((14, 0), (10, 10)),), label="b", texture_sd_hu=5)
    geometry = grid()
    field = np.random.default_rng(0).standard_normal(geometry.shape).astype(np.float32)
    hu, labels = rasterise(
        [plain, rough],
        geometry,
        slice_thickness_mm=2.0,
        label_numbers={"a": 1, "b": 2},
        texture=field,
    )
    assert hu[labels == 1][5:-5].max() == 0.0
    assert hu[0, 28:36, 42:50].std() == pytest.approx(5.0, rel=5 / np.sqrt(2 * 64))


def test_a_sagittal_grid_is_refused():
    geometry = Geometry(8, 8, (1.0, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), np.zeros((1, 3)))
    with pytest.raises(GeometryError, match="axial"):
        rasterise([], geometry, slice_thickness_mm=1.0, label_numbers={})
