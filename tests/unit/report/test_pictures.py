"""Pictures: grey levels, regions, proportions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ctdenoise.core.geometry import Geometry
from ctdenoise.report.pictures import (
    CLASS_COLOURS,
    LUNG,
    SOFT,
    Region,
    body_region,
    central_region,
    difference_in_grey,
    in_display,
    outlined,
    write_picture,
)

GEOMETRY = Geometry.axial((1, 100, 120), pixel_spacing_mm=(2.0, 1.0), slice_spacing_mm=1.0)


@pytest.mark.parametrize(
    ("display", "hu", "grey"),
    [(SOFT, -160, 0), (SOFT, 240, 255), (SOFT, -1000, 0), (LUNG, -1350, 0), (LUNG, 150, 255)],
)
def test_the_ends_of_a_window_are_black_and_white(display, hu, grey):
    assert in_display(np.array([[hu]], dtype=np.float32), display)[0, 0] == grey


def test_no_difference_is_mid_grey_and_the_limits_are_black_and_white():
    reference = np.zeros((1, 3), dtype=np.float32)
    test = np.array([[0, 50, -80]], dtype=np.float32)
    np.testing.assert_array_equal(difference_in_grey(reference, test, 50), [[128, 255, 0]])


def test_the_region_around_a_body_has_its_margin_in_millimetres():
    body = np.zeros((100, 120), dtype=bool)
    body[40:60, 5:80] = True
    region = body_region(body, GEOMETRY)
    assert region == Region((34, 66), (0, 92))
    assert region.aspect((2.0, 1.0)) == pytest.approx(92 / 64)


def test_without_a_body_the_whole_slice_is_shown():
    body = np.zeros((100, 120), dtype=bool)
    assert body_region(body, GEOMETRY) == Region((0, 100), (0, 120))


def test_the_enlarged_part_is_a_square_in_millimetres_inside_the_slice():
    body = np.zeros((100, 120), dtype=bool)
    body[80:100, 60:120] = True
    region = central_region(body, GEOMETRY, 40.0)
    assert region.aspect((2.0, 1.0)) == pytest.approx(1.0)
    assert region.rows == (80, 100)
    assert region.columns == (70, 110)


def test_a_written_picture_reads_back_bit_for_bit(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    uri = write_picture(tmp_path / "a.png", grey)
    assert uri.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), grey)


def test_outlines_colour_the_border_pixels_of_each_class_and_nothing_else():
    labels = np.zeros((8, 9), dtype=np.uint8)
    labels[2:6, 1:4], labels[2:6, 4:8] = 1, 2
    grey = np.full((8, 9), 77, dtype=np.uint8)
    picture = outlined(grey, labels)
    coloured = (picture != 77).any(axis=-1)
    expected = labels > 0
    expected[3:5, 2], expected[3:5, 5:7] = False, False
    np.testing.assert_array_equal(coloured, expected)
    assert (picture[2:6, 1] == CLASS_COLOURS[0]).all()
    assert (picture[2:6, 7] == CLASS_COLOURS[1]).all()
