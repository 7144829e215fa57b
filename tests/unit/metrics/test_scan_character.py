"""Noise is compared with that of scanners, whatever the thickness and the size of the body."""

from __future__ import annotations

import pytest

from ctdenoise.metrics.scan_character import normal_noise_hu


def test_the_noise_of_a_normal_slice_is_that_noise():
    assert normal_noise_hu(25.0, 300.0, 1.0) == pytest.approx(25)


def test_thickness_and_size_are_taken_out_by_counting_photons():
    # 4 mm gather four times the photons; 36 mm of water less let exp(0.0193 * 36) = 2 times pass.
    assert normal_noise_hu(12.5, 300.0, 4.0) == pytest.approx(25)
    assert normal_noise_hu(25 / 2**0.5, 264.0, 1.0) == pytest.approx(25, rel=0.01)


def test_a_large_body_is_expected_to_have_the_noise_of_others():
    assert normal_noise_hu(25.0, 400.0, 1.0) == pytest.approx(25)


@pytest.mark.parametrize(
    "what", [(None, 300.0, 1.0), (10.0, None, 1.0), (10.0, 300.0, None), (0.0, 300.0, 1.0)]
)
def test_without_noise_size_or_thickness_nothing_is_said(what):
    assert normal_noise_hu(*what) is None
