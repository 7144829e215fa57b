"""Figures of discs in phantoms against closed form."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.discs import Disc, PhantomPlace, measured_disc

SPACING = (0.5, 0.5)


def test_a_disc_has_the_mean_and_the_noise_of_its_pixels():
    rng = np.random.default_rng(1)
    stack = rng.normal(40.0, 7.0, (6, 120, 120))
    disc = Disc("centre", (60.0, 55.0), 20.0)
    found = measured_disc(stack, disc, pixel_spacing_mm=SPACING)
    assert found.pixels == pytest.approx(np.pi * 40**2, rel=0.01)
    count = 6 * found.pixels
    assert found.mean_hu == pytest.approx(40.0, abs=5 * 7.0 / np.sqrt(count))
    assert found.noise_hu == pytest.approx(7.0, rel=5 / np.sqrt(2 * count))


def test_the_noise_of_a_disc_is_that_of_a_slice_also_where_slices_differ():
    stack = np.stack([np.zeros((40, 40)), np.full((40, 40), 100.0)])
    found = measured_disc(stack, Disc("x", (20.0, 20.0), 5.0), pixel_spacing_mm=SPACING)
    assert (found.mean_hu, found.noise_hu) == (50.0, 0.0)


def test_a_disc_of_a_turned_phantom_is_where_the_turn_takes_it():
    place = PhantomPlace((100.0, 90.0), 50.0, roll_degrees=90.0)
    disc = place.disc(
        "right", distance_mm=30.0, angle_degrees=0.0, radius_mm=5.0, pixel_spacing_mm=(0.5, 1.0)
    )
    assert disc.centre == pytest.approx((160.0, 90.0))


def test_a_disc_must_be_in_the_image_and_hold_pixels():
    stack = np.zeros((1, 40, 40))
    with pytest.raises(InputError, match="outside"):
        measured_disc(stack, Disc("x", (5.0, 20.0), 5.0), pixel_spacing_mm=SPACING)
    with pytest.raises(InputError, match="too small"):
        measured_disc(stack, Disc("x", (20.0, 20.0), 0.6), pixel_spacing_mm=SPACING)
