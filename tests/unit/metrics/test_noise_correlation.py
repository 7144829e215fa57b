"""The correlation of noise is measured from the pixels: as white as it is, as grainy as it is."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.provenance import Step
from ctdenoise.metrics.noise_correlation import WHITE, NoiseCorrelation, measured_correlation
from ctdenoise.metrics.noise_map import measured_noise
from tests.builders import water_disc
from tests.grainy import correlation_of, ct_power, grainy_noise

SPACING = (0.8, 0.8)


def measured(volume):
    noise = measured_noise(volume.hu, volume.padding, SPACING)
    return measured_correlation(volume.hu, volume.padding, SPACING, noise)


def disc(noise, noise_hu=15.0):
    size = noise.shape[1]
    still = water_disc(slices=len(noise), size=size, pixel_spacing_mm=0.8, radius_mm=0.36 * size)
    return still.with_hu((still.hu + noise_hu * noise).astype(np.float32), Step("noise"))


LAGS = [(0, 1), (1, 0), (1, 1), (0, 2), (3, 0)]
TOLERANCE = 5 / np.sqrt(24 * 32**2 / 4)
"""Five standard errors: 24 patches of 32 x 32, of which grain leaves a quarter independent."""


@pytest.mark.parametrize(("cutoff", "lost"), [(0.15, 0.05), (0.25, 0.0), (0.4, 0.0)])
def test_grain_is_measured_as_it_is(cutoff, lost):
    found = measured(disc(grainy_noise((3, 192, 192), 1, cutoff)))
    truth = correlation_of(ct_power(192, cutoff))
    assert found.patches >= 24
    for y, x in LAGS:
        assert found.at(y, x) == pytest.approx(truth[y, x], abs=TOLERANCE + lost)


def test_white_noise_has_none():
    found = measured(disc(np.random.default_rng(2).normal(size=(3, 192, 192))))
    for y, x in LAGS:
        assert found.at(y, x) == pytest.approx(0.0, abs=TOLERANCE)


def test_the_noise_of_each_place_is_its_unit():
    """Noise that is four times as large on one side is as grainy as noise of one size."""
    noise = grainy_noise((3, 192, 192), 3)
    found = measured(disc(noise * np.linspace(0.5, 2.0, 192)))
    truth = correlation_of(ct_power(192))
    assert found.at(0, 1) == pytest.approx(truth[0, 1], abs=TOLERANCE)


def test_beyond_its_reach_and_without_soft_tissue_there_is_none():
    found = measured(disc(grainy_noise((3, 192, 192), 4)))
    assert found.at(0, found.reach + 1) == 0
    assert found.at(0, 0) == 1
    assert measured(water_disc(slices=1, size=32)) is WHITE


def test_the_power_spectrum_is_that_of_the_correlation():
    truth = ct_power(64)
    by_lag = np.roll(correlation_of(truth), (31, 31), (0, 1))[:63, :63]
    power = NoiseCorrelation(by_lag, 1).power((64, 64))
    assert power.mean() == pytest.approx(1)
    outside = np.abs(power - truth).mean()  # the lag of half the image is left out
    assert outside < 0.02
    assert WHITE.power((8, 8)) == pytest.approx(np.ones((8, 8)))


def test_a_filter_that_halves_everything_leaves_half():
    assert WHITE.left_after(np.full((16, 16), 0.5)) == pytest.approx(0.5)
