"""Regions: boxes and label maps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.errors import CTDenoiseError, GeometryError, UsageError
from ctdenoise.inference.region import open_region, softened
from ctdenoise.io.image_writer import ImageWriter

GRID = Geometry.axial((4, 20, 30), pixel_spacing_mm=1.0, slice_spacing_mm=2.0)


def map_file(path, labels, grid=GRID):
    with ImageWriter(path, "mha", grid, np.dtype(np.uint8), packed=False) as image:
        image.write(labels)
    return path


@pytest.fixture
def labels():
    found = np.zeros(GRID.shape, dtype=np.uint8)
    found[1:3, 5:15, 10:20] = 7
    return found


def test_a_box_holds_the_pixels_that_it_names():
    with open_region("10:20,5:15,1:3", GRID) as box:
        assert [box.touches(place) for place in range(4)] == [False, True, True, False]
        assert not box.weights(0).any()
        assert np.flatnonzero(box.weights(1).any(axis=0)).tolist() == list(range(10, 20))
        assert np.flatnonzero(box.weights(1).any(axis=1)).tolist() == list(range(5, 15))


def test_a_number_that_is_left_out_is_the_edge():
    with open_region(":,:,2:", GRID) as box:
        assert box.words == "box x 0:30 y 0:20 z 2:4"
        assert (box.weights(2) == 1).all()


@pytest.mark.parametrize("text", ["5:5,:,:", ":,0:21,:", ":,:,3:2"])
def test_a_box_that_is_empty_or_reaches_out_is_refused(text):
    with pytest.raises(UsageError, match="empty or reaches out"), open_region(text, GRID):
        pass


def test_a_label_map_is_the_same_region_as_its_box(tmp_path, labels):
    path = map_file(tmp_path / "roi.mha", labels)
    with open_region(str(path), GRID) as mapped, open_region("10:20,5:15,1:3", GRID) as box:
        assert mapped.slices == box.slices == 2
        for place in range(4):
            assert mapped.touches(place) == box.touches(place)
            assert np.array_equal(mapped.weights(place), box.weights(place))


def test_a_label_map_is_named_by_its_voxels_and_not_by_its_path(tmp_path, labels):
    words = []
    maps = {"one": labels, "two": 2 * labels, "three": np.roll(labels, 1, axis=2)}
    for name, found in maps.items():
        with open_region(str(map_file(tmp_path / f"{name}.mha", found)), GRID) as region:
            words.append(region.words)
    assert words[0] == words[1] != words[2]
    assert not any(name in word for word in words for name in ("one", "roi", "mha"))


def test_an_empty_label_map_is_refused(tmp_path, labels):
    path = map_file(tmp_path / "roi.mha", 0 * labels)
    with pytest.raises(UsageError, match="all of it is 0"), open_region(str(path), GRID):
        pass


def test_a_label_map_on_another_grid_is_refused(tmp_path, labels):
    other = Geometry.axial((4, 20, 30), pixel_spacing_mm=1.5, slice_spacing_mm=2.0)
    path = map_file(tmp_path / "roi.mha", labels, other)
    with pytest.raises(GeometryError, match="another grid"), open_region(str(path), GRID):
        pass


def test_what_is_neither_is_refused_in_words(tmp_path):
    with pytest.raises(CTDenoiseError) as refusal, open_region(str(tmp_path / "no.mha"), GRID):
        pass
    assert "x0:x1,y0:y1,z0:z1" in str(refusal.value)


def test_the_edge_of_the_image_is_no_edge_of_the_region():
    inside = np.zeros((9, 12), dtype=np.bool_)
    inside[:, :8] = True
    np.testing.assert_allclose(softened(inside)[4, 3:9], [1, 1, 0.75, 0.5, 0.25, 0])
    assert (softened(inside)[:, 0] == 1).all()


def test_several_threads_may_ask_for_slices_of_a_label_map(tmp_path):
    """Blocks on their way to a GPU are worked on by several threads at a time."""
    grid = Geometry.axial((16, 20, 30), pixel_spacing_mm=1.0, slice_spacing_mm=2.0)
    found = np.zeros(grid.shape, dtype=np.uint8)
    for place in range(16):
        found[place, 2, place] = 1
    path = map_file(tmp_path / "map.mha", found, grid)
    with open_region(str(path), grid) as region, ThreadPoolExecutor(6) as threads:
        places = list(range(16)) * 40
        seen = list(threads.map(lambda place: np.flatnonzero(region.weights(place)), places))
    assert [one.tolist() for one in seen] == [[2 * 30 + place] for place in places]
