"""Tilted and uneven stacks put onto an even, orthogonal grid, against objects that are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError
from ctdenoise.io.read import open_series
from ctdenoise.io.resample import StraightReader, straight_grid
from tests.dicom.builders import ct_series, series_files

Field = Callable[[np.ndarray], np.ndarray]


def stack(
    along_mm: np.ndarray, *, tilt_degrees: float = 0.0, axis: int = 1, size: int = 40
) -> Geometry:
    """Slices at given distances along their normal, which gantry tilt moves against each other."""
    tilt = np.radians(tilt_degrees)
    row, column = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    normal = np.cross(row, column)
    drift = (row, column)[axis] * np.tan(tilt)
    first = np.array([-12.0, -15.5, 40.0])
    positions = first + np.asarray(along_mm)[:, None] * (normal + drift)
    return Geometry(size, size, (0.8, 0.7), tuple(row), tuple(column), positions)


def points(geometry: Geometry) -> np.ndarray:
    """The centre of every voxel, LPS mm, float64 [z, y, x, 3]."""
    down = np.array(geometry.column_direction) * geometry.pixel_spacing_mm[0]
    across = np.array(geometry.row_direction) * geometry.pixel_spacing_mm[1]
    rows = np.arange(geometry.rows)[None, :, None, None]
    columns = np.arange(geometry.columns)[None, None, :, None]
    return geometry.positions_mm[:, None, None, :] + rows * down + columns * across


def straightened(
    folder: Path, geometry: Geometry, field: Field, *, spacing_mm: float | None = None
) -> CTVolume:
    """A field drawn on a stack, written as DICOM with steps of 1/16 HU, read and resampled."""
    hu = field(points(geometry)).astype(np.float32)
    files = ct_series(CTVolume(hu, geometry), slope=0.0625, intercept=-1024.0)
    series_files(folder, files)
    with StraightReader(open_series(folder), spacing_mm) as reader:
        return reader.read(slice(None))


def ramp(where: np.ndarray) -> np.ndarray:
    """Values that change linearly along every axis: linear interpolation gives them exactly."""
    return where @ np.array([1.25, -2.0, 1.5]) + 30.0


STACKS = {
    "tilt": stack(np.arange(8) * 2.5, tilt_degrees=18.5),
    "negative tilt": stack(np.arange(8) * 2.5, tilt_degrees=-22.0),
    "across": stack(np.arange(8) * 2.5, tilt_degrees=10.0, axis=0),
    "uneven": stack(np.array([0.0, 1.0, 2.0, 4.0, 6.0, 6.5, 9.0])),
    "missing": stack(np.array([0.0, 2.0, 4.0, 8.0, 10.0])),
    "tilt and uneven": stack(np.array([0.0, 2.0, 4.0, 7.0, 10.0]), tilt_degrees=15.0),
}


@pytest.mark.parametrize("geometry", STACKS.values(), ids=STACKS)
def test_a_linear_field_comes_out_as_it_is_at_the_new_points(
    tmp_path: Path, geometry: Geometry
) -> None:
    volume = straightened(tmp_path, geometry, ramp)
    volume.geometry.affine()  # orthogonal and even
    truth = ramp(points(volume.geometry))
    known = np.ones(volume.shape, bool) if volume.padding is None else ~volume.padding
    assert known.mean() > 0.6
    # Stored steps of 1/16 HU, and whole positions in decimal strings of 16 characters.
    np.testing.assert_allclose(volume.hu[known], truth[known], rtol=0, atol=0.0625 / 2 + 1e-3)


@pytest.mark.parametrize("geometry", STACKS.values(), ids=STACKS)
def test_every_pixel_of_the_old_slices_lies_on_the_new_grid(geometry: Geometry) -> None:
    grid = straight_grid(geometry)
    new = grid.geometry
    index = np.linalg.inv(new.affine())
    corners = points(geometry)[:, [0, 0, -1, -1], [0, -1, 0, -1]].reshape(-1, 3)
    places = corners @ index[:3, :3].T + index[:3, 3]
    assert places[:, :2].min() > -1e-6
    assert (places[:, 0] <= new.columns - 1 + 1e-6).all()
    assert (places[:, 1] <= new.rows - 1 + 1e-6).all()


def test_an_ellipsoid_keeps_its_place_and_volume(tmp_path: Path) -> None:
    geometry = stack(np.arange(14) * 1.5, tilt_degrees=17.0, size=48)
    middle = points(geometry).reshape(-1, 3).mean(axis=0)
    axes = np.array([9.0, 8.0, 6.0])

    def ellipsoid(where: np.ndarray) -> np.ndarray:
        radius = np.sqrt((((where - middle) / axes) ** 2).sum(axis=-1))
        return np.clip((1.0 - radius) * 8.0 + 0.5, 0.0, 1.0) * 300.0  # an edge of one millimetre

    volume = straightened(tmp_path, geometry, ellipsoid)
    where = points(volume.geometry)
    weight = np.where(volume.hu > 0, volume.hu, 0.0)
    centre = (where * weight[..., None]).sum(axis=(0, 1, 2)) / weight.sum()
    np.testing.assert_allclose(centre, middle, atol=0.05)
    truth = ellipsoid(where)
    assert weight.sum() == pytest.approx(truth.sum(), rel=0.005)
    assert np.abs(volume.hu - truth)[volume.hu > -500].mean() < 3.0


def test_slices_that_stay_in_place_are_not_interpolated(tmp_path: Path) -> None:
    geometry = STACKS["missing"]
    volume = straightened(tmp_path, geometry, ramp)
    grid = straight_grid(geometry)
    assert volume.shape[0] == 6
    assert [place for place, share in grid.places if share] == [2]
    assert grid.in_gaps == 1
    original = ramp(points(geometry)).astype(np.float32)
    for new, old in ((0, 0), (1, 1), (2, 2), (4, 3), (5, 4)):
        np.testing.assert_allclose(volume.hu[new], original[old], rtol=0, atol=0.04)


def test_an_even_stack_that_is_tilted_keeps_its_number_of_slices() -> None:
    grid = straight_grid(STACKS["tilt"])
    assert grid.geometry.slices == 8
    assert grid.geometry.slice_spacing_mm == pytest.approx(2.5)
    assert all(share == 0 for _, share in grid.places)


def test_what_lies_outside_is_padding_that_holds_the_padding_value(tmp_path: Path) -> None:
    geometry = STACKS["tilt"]
    hu = ramp(points(geometry)).astype(np.float32)
    padding = np.zeros(hu.shape, bool)
    padding[:, :3, :] = True
    volume = CTVolume(np.rint(hu), geometry, padding=padding)
    series_files(tmp_path, ct_series(volume, signed=True, padding_value=-2000, intercept=0.0))
    with StraightReader(open_series(tmp_path)) as reader:
        read = reader.read(slice(None))
    assert read.padding is not None
    assert (read.hu[read.padding] == -2000).all()
    assert read.hu[~read.padding].min() > -500
    outside = straightened(tmp_path / "air", geometry, ramp)
    assert outside.padding is not None
    assert (outside.hu[outside.padding] == -1000).all()


def test_a_slice_is_the_same_whichever_others_are_read_with_it(tmp_path: Path) -> None:
    whole = straightened(tmp_path, STACKS["tilt and uneven"], ramp)
    with StraightReader(open_series(tmp_path)) as reader:
        for index in (4, 1, 3):
            one = reader.read([index])
            np.testing.assert_array_equal(one.hu[0], whole.hu[index])
            assert one.padding is not None
            assert whole.padding is not None
            np.testing.assert_array_equal(one.padding[0], whole.padding[index])


def test_a_distance_can_be_given_and_an_absurd_one_is_refused(tmp_path: Path) -> None:
    volume = straightened(tmp_path, STACKS["uneven"], ramp, spacing_mm=1.5)
    assert volume.geometry.slice_spacing_mm == pytest.approx(1.5)
    assert volume.shape[0] == 7
    with pytest.raises(GeometryError, match="slices would become"):
        straight_grid(STACKS["uneven"], 0.01)


def test_a_single_slice_stays_as_it_is() -> None:
    geometry = stack(np.array([0.0]))
    assert straight_grid(geometry).geometry.matches(geometry)
