"""The distribution of the noise that is drawn for each ray, against counted photons."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.simulation.noise import NoiseStatistics, added_noise, native_noise
from tests.physics.rays import Array, log_change_moments, ray_noise

FLOOR = 1.0
ELECTRONIC = 5.5
DUAL_BELOW = 100.0
TABULATED = 0.001
"""Of a mean log change; of the variance and third cumulant, relative to them, three times as much:
between the rows of the table, 4 % apart, terms are interpolated, which costs up to
0.04^2 / 8 = 0.0002 of what they change by while counts double and the spread starts from zero."""

DRAWN_ONCE = 0.02
"""Of the variance above the threshold: 5 a (1 - a) / (a N) is left out at 100 counts and more."""

FEW_COUNTS = [0.05, 0.5, 2.0, 5.0, 20.0, 90.0, 110.0, 400.0]
DOSES = [0.5, 0.25, 0.1, 0.05]
ELECTRONICS = [0.0, ELECTRONIC, 15.0]


def added(dose: float, electronic: float, *, dual_below: float = DUAL_BELOW) -> NoiseStatistics:
    return added_noise(dose, electronic_noise=electronic, floor=FLOOR, dual_below=dual_below)


def native(dose: float, electronic: float) -> NoiseStatistics:
    return native_noise(dose, electronic_noise=electronic, floor=FLOOR, dual_below=DUAL_BELOW)


def standard_error(noise: Array) -> float:
    return float(noise.std() / np.sqrt(noise.size))


def gaussian_variance_error(noise: Array) -> float:
    """Relative standard error of a variance."""
    return float(np.sqrt(2 / noise.size))


def variance_and_error(noise: Array) -> tuple[float, float]:
    """Variance and its standard error."""
    squares = np.square(noise - noise.mean())
    return float(squares.mean()), float(squares.std() / np.sqrt(noise.size))


def third_and_error(noise: Array) -> tuple[float, float]:
    """Third cumulant and its standard error."""
    difference = noise - noise.mean()
    cubes = difference * difference * difference
    return float(cubes.mean()), float(cubes.std() / np.sqrt(noise.size))


def relative_model_error(statistics: NoiseStatistics, counts: float) -> float:
    return 3 * TABULATED if counts < statistics.starved_below else DRAWN_ONCE


@pytest.mark.parametrize("electronic", ELECTRONICS)
@pytest.mark.parametrize("counts", FEW_COUNTS)
def test_all_the_noise_of_few_counts_has_the_moments_of_the_exact_distribution(counts, electronic):
    statistics = native(0.25, electronic)
    noise = ray_noise(statistics, counts / 0.25)
    mean, variance, _ = log_change_moments(counts, electronic, FLOOR)
    assert noise.mean() == pytest.approx(mean, abs=TABULATED + 4 * standard_error(noise))
    found, error = variance_and_error(noise)
    tolerance = relative_model_error(statistics, counts) * variance + 4 * error
    assert found == pytest.approx(variance, abs=tolerance)


@pytest.mark.parametrize("electronic", ELECTRONICS)
@pytest.mark.parametrize("dose", DOSES)
def test_own_and_added_noise_of_few_counts_have_the_exact_moments_together(dose, electronic):
    """On both sides of the threshold. Noise that is there cannot be taken away again."""
    statistics = added(dose, electronic)
    for counts in FEW_COUNTS:
        noise = ray_noise(statistics, counts / dose)
        low = log_change_moments(counts, electronic, FLOOR)
        own = log_change_moments(counts / dose, electronic, FLOOR)
        error = standard_error(noise)
        assert error < 1e-3
        assert noise.mean() == pytest.approx(low[0] - own[0], abs=TABULATED + 4 * error), counts
        expected = max(low[1], own[1])
        found, error = variance_and_error(noise)
        tolerance = relative_model_error(statistics, counts) * expected + 4 * error
        assert tolerance < 0.03 * expected, counts
        assert found + own[1] == pytest.approx(expected, abs=tolerance), counts


def test_nothing_but_the_mean_is_added_where_the_floor_leaves_a_twin_less_noise_than_the_scan():
    counts, dose = 1.0, 0.25
    low = log_change_moments(counts, ELECTRONIC, FLOOR)
    own = log_change_moments(counts / dose, ELECTRONIC, FLOOR)
    assert low[1] < 0.9 * own[1]
    noise = ray_noise(added(dose, ELECTRONIC), counts / dose)
    assert np.abs(noise - (low[0] - own[0])).max() < TABULATED


@pytest.mark.parametrize("electronic", ELECTRONICS)
@pytest.mark.parametrize("dose", [0.5, 0.1])
def test_own_and_added_noise_of_few_counts_have_the_exact_third_cumulant_together(dose, electronic):
    """As far as a quadratic in a normal number can be skew: up to the root of eight."""
    checked = 0
    for counts in (1.0, 5.0, 25.0, 90.0):
        low = log_change_moments(counts, electronic, FLOOR)
        own = log_change_moments(counts / dose, electronic, FLOOR)
        variance, third = low[1] - own[1], low[2] - own[2]
        if variance <= 0 or abs(third) > 0.95 * np.sqrt(8) * variance**1.5:
            continue
        noise = ray_noise(added(dose, electronic), counts / dose)
        found, error = third_and_error(noise)
        scale = max(abs(third), variance**1.5)
        tolerance = 3 * TABULATED * scale + 4 * error
        assert tolerance < 0.05 * scale
        assert found == pytest.approx(third, abs=tolerance), counts
        checked += 1
    assert checked >= 2


def test_the_threshold_of_starved_rays_grows_with_strong_electronic_noise():
    assert added(0.25, 40.0).starved_below == 4 * DUAL_BELOW
    assert native(0.25, ELECTRONIC).starved_below == DUAL_BELOW
    assert added(0.25, 40.0, dual_below=0.0).starved_below == 0


def test_counts_far_below_one_are_drawn_finitely():
    noise = ray_noise(added(0.05, 0.0), 1e-9)
    assert np.abs(noise - np.log(0.05)).max() < TABULATED  # both scans read the floor


@pytest.mark.parametrize("electronic", [0.0, ELECTRONIC])
@pytest.mark.parametrize("counts", [50.0, 200.0, 1000.0])
def test_the_bias_of_the_logarithm_is_half_the_variance_over_the_square_of_the_counts(
    counts, electronic
):
    noise = ray_noise(native(1.0, electronic), counts)
    relative_variance = (counts + electronic**2) / counts**2
    # What the expansion leaves out is 3/4 of the square of the relative variance, and less.
    tolerance = relative_variance**2 + 4 * standard_error(noise)
    assert noise.mean() == pytest.approx(relative_variance / 2, abs=tolerance)


@pytest.mark.parametrize("dose", [0.9, 0.5, 0.25, 0.1, 0.02])
def test_added_variance_is_that_of_one_over_the_dose_minus_one(dose):
    photons = 1e6
    noise = ray_noise(added(dose, 0.0), photons)
    expected = (1 / dose - 1) / photons
    tolerance = 5 * gaussian_variance_error(noise) + 5 / (dose * photons)  # the logarithm's curve
    assert noise.var() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("dose", [0.5, 0.25, 0.1])
def test_own_and_added_variance_are_that_of_one_over_the_dose(dose):
    photons = 1e6
    own = ray_noise(native(1.0, 0.0), photons, "own")
    lacking = ray_noise(added(dose, 0.0), photons, "lacking")
    tolerance = 5 * gaussian_variance_error(own) + 5 / (dose * photons)
    assert (own + lacking).var() == pytest.approx(1 / (dose * photons), rel=tolerance)


@pytest.mark.parametrize("dose", [0.5, 0.2, 0.1])
def test_electronic_noise_is_counted_once_where_it_dominates(dose):
    """Its share of the variance grows as one over the square of the dose."""
    photons, electronic = 1e6, 2000.0
    counts = dose * photons
    noise = ray_noise(added(dose, electronic), photons)
    expected = (1 - dose) / counts + (1 - dose**2) * electronic**2 / counts**2
    assert expected > 3 * (1 - dose) / counts
    assert electronic / counts < 0.03  # else the logarithm bends the distribution
    tolerance = 5 * gaussian_variance_error(noise) + 8 * (electronic / counts) ** 2
    assert tolerance < 0.03
    assert noise.var() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("dose", [0.5, 0.25, 0.1])
def test_added_counts_have_the_third_cumulant_that_poisson_counts_lack(dose):
    """a (1 - a^2) N: with the a^3 N of the scaled scan it makes up the a N of the dose."""
    counts = 100.0
    full = counts / dose
    change = counts * np.expm1(-ray_noise(added(dose, 0.0, dual_below=0.0), full))
    variance = dose * (1 - dose) * full
    third = dose * (1 - dose**2) * full
    error = np.sqrt(15 / change.size) * variance**1.5
    assert error < 0.03 * third
    # The construction itself is off by 8 t^3, t a sixth of third over variance; and the rounding
    # of the logarithm (4e-6) is nothing beside it.
    tilt = third / variance / 6
    assert change.mean() == pytest.approx(0, abs=4 * np.sqrt(variance / change.size) + 1e-3)
    assert ((change - change.mean()) ** 3).mean() == pytest.approx(
        third, abs=4 * error + 8 * tilt**3
    )
