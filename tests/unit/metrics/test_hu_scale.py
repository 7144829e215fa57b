"""Linearity, uniformity and contrast against noise by hand-computed answers."""

from __future__ import annotations

import math

import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.hu_scale import contrast_to_noise, linearity, uniformity


def test_a_scale_that_is_stretched_and_shifted_is_found():
    true = [-1000.0, -100.0, 0.0, 120.0, 990.0]
    found = linearity(true, [1.02 * value - 3 for value in true])
    assert (found.slope, found.intercept_hu) == pytest.approx((1.02, -3.0))
    assert found.r_squared == pytest.approx(1.0)
    assert found.largest_residual_hu == pytest.approx(0.0, abs=1e-9)


def test_an_insert_beside_the_line_is_its_largest_residual():
    # The line through (-1, 0), (0, 3), (1, 0) is y = 1, with residuals -1, 2, -1.
    found = linearity([-1, 0, 1], [0, 3, 0])
    assert (found.slope, found.intercept_hu) == pytest.approx((0.0, 1.0))
    assert found.largest_residual_hu == pytest.approx(2.0)
    assert found.r_squared == pytest.approx(0.0)


def test_uniformity_is_that_of_the_edge_that_differs_most():
    found = uniformity(2.0, [3.0, 1.0, -4.0, 2.5])
    assert found.largest_difference_hu == pytest.approx(6.0)
    assert found.index_percent == pytest.approx(-100 * 6 / 1002)
    assert found.integral == pytest.approx(7 / 1999)


def test_contrast_against_noise_has_no_sign():
    assert contrast_to_noise(-94.0, 6.0, 25.0) == pytest.approx(4.0)


def test_what_has_no_answer_is_refused():
    with pytest.raises(InputError, match="three inserts"):
        linearity([1, 2], [1, 2])
    with pytest.raises(InputError, match="three inserts"):
        linearity([1, 1, 1], [1, 2, 3])
    with pytest.raises(InputError, match="edge"):
        uniformity(0.0, [])
    with pytest.raises(InputError, match="noise"):
        contrast_to_noise(1.0, 0.0, 0.0)


def test_an_image_of_nothing_but_vacuum_is_even_and_has_no_index():
    found = uniformity(-1000.0, [-1000.0, -1000.0])
    assert found.largest_difference_hu == 0
    assert math.isnan(found.index_percent)
    assert math.isnan(found.integral)
