"""Figures of discs in phantoms against closed form."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.discs import (
    Disc,
    DiscFigures,
    PhantomPlace,
    contrast_to_noise,
    linearity,
    measured_disc,
    uniformity,
)

SPACING = (0.5, 0.5)


def figures(mean: float, noise: float = 5.0, name: str = "x") -> DiscFigures:
    return DiscFigures(Disc(name, (0.0, 0.0), 1.0), mean, noise, 100)


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


def test_uniformity_is_the_farthest_edge_with_its_index_and_the_integral():
    edges = [figures(3.0, name="3 o'clock"), figures(-4.0, name="6 o'clock"), figures(1.0)]
    found = uniformity(figures(1.0), edges)
    assert (found.deviation_hu, found.worst) == (5.0, "6 o'clock")
    assert found.index_percent == pytest.approx(100 * -5.0 / 1001.0)
    assert found.integral == pytest.approx(7.0 / 1999.0)


def test_contrast_to_noise_is_that_of_the_acr():
    assert contrast_to_noise(figures(96.0), figures(90.0, noise=4.0)) == 1.5
    assert contrast_to_noise(figures(96.0), figures(90.0, noise=0.0)) is None


def test_a_straight_line_through_ct_numbers_is_found():
    true = np.array([-1000.0, -100.0, 0.0, 120.0, 900.0])
    found = linearity(true, 1.02 * true + 3.0)
    assert found.slope == pytest.approx(1.02)
    assert found.intercept_hu == pytest.approx(3.0)
    assert found.r_squared == pytest.approx(1.0)
    assert found.residual_hu == pytest.approx(0.0, abs=1e-9)
    bent = 1.0 * true
    bent[3] += 50.0
    assert linearity(true, bent).worst == 3
    # Of a single outlier d, the leverage h of its place stays on the line: residual (1 - h) d.
    x = true - true.mean()
    leverage = 1 / 5 + x[3] ** 2 / (x @ x)
    assert linearity(true, bent).residual_hu == pytest.approx(50 * (1 - leverage))


def test_two_inserts_make_no_line():
    with pytest.raises(InputError, match="at least three"):
        linearity(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="different"):
        linearity(np.zeros(4), np.zeros(4))
