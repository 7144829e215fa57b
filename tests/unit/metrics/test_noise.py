"""The noise magnitude of volumes."""

from __future__ import annotations

import pytest

from ctdenoise.metrics.noise import noise_change_percent, noise_magnitude
from tests.builders import water_disc


def test_the_noise_of_a_water_disc_is_measured():
    volume = water_disc(slices=8, size=128, pixel_spacing_mm=1.0, noise_hu=12.0)
    assert noise_magnitude(volume) == pytest.approx(12.0, rel=0.05)


@pytest.mark.parametrize(
    ("reference", "test", "change"),
    [
        (10.0, 20.0, 100.0),
        (10.0, 6.0, -40.0),
        (0.0, 5.0, None),
        (None, 5.0, None),
        (5.0, None, None),
    ],
)
def test_the_change_is_relative_to_the_reference(reference, test, change):
    assert noise_change_percent(reference, test) == (
        None if change is None else pytest.approx(change)
    )
