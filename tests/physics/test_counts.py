"""The distribution of the noise that is drawn for each ray, against counted photons."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.simulation.noise import NoiseStatistics, added_noise, native_noise
from tests.physics.rays import Array, expected_log_change, log_change_moments, ray_noise

FLOOR = 1.0
ELECTRONIC = 5.5
DUAL_BELOW = 100.0
MEAN_TOLERANCE = 0.0015
"""Of a mean log change: a Gaussian with a third cumulant stands for Poisson counts."""


def added(dose: float, electronic: float, *, dual_below: float = DUAL_BELOW) -> NoiseStatistics:
    return added_noise(dose, electronic_noise=electronic, floor=FLOOR, dual_below=dual_below)


def native(dose: float, electronic: float) -> NoiseStatistics:
    return native_noise(dose, electronic_noise=electronic, floor=FLOOR)


def standard_error(noise: Array) -> float:
    return float(noise.std() / np.sqrt(noise.size))


def gaussian_variance_error(noise: Array) -> float:
    """Relative standard error of a variance."""
    return float(np.sqrt(2 / noise.size))


@pytest.mark.parametrize("counts", [1.0, 2.0, 4.0, 10.0, 50.0, 300.0])
def test_all_the_noise_of_few_counts_has_the_mean_of_the_exact_distribution(counts):
    noise = ray_noise(native(1.0, ELECTRONIC), counts)
    expected = expected_log_change(counts, ELECTRONIC, FLOOR)
    error = standard_error(noise)
    assert error < 7e-4
    assert noise.mean() == pytest.approx(expected, abs=MEAN_TOLERANCE + 4 * error)


@pytest.mark.parametrize("dose", [0.5, 0.25, 0.1])
@pytest.mark.parametrize("counts", [1.0, 4.0, 20.0, 90.0, 110.0, 400.0])
def test_added_noise_of_few_counts_has_the_mean_of_the_exact_distribution(counts, dose):
    """On both sides of the threshold: up to 100 counts drawn twice, above them once."""
    noise = ray_noise(added(dose, ELECTRONIC), counts / dose)
    expected = expected_log_change(counts, ELECTRONIC, FLOOR)
    expected -= expected_log_change(counts / dose, ELECTRONIC, FLOOR)
    error = standard_error(noise)
    assert error < 7e-4
    assert noise.mean() == pytest.approx(expected, abs=MEAN_TOLERANCE + 4 * error)


def variance_error(noise: Array) -> float:
    """Relative standard error of the variance, from the fourth moment."""
    squares = (noise - noise.mean()) ** 2
    return float(squares.std() / squares.mean() / np.sqrt(noise.size))


@pytest.mark.parametrize("counts", [1.0, 4.0, 10.0, 50.0, 300.0])
def test_all_the_noise_of_few_counts_has_the_variance_of_the_exact_distribution(counts):
    noise = ray_noise(native(1.0, ELECTRONIC), counts)
    expected = log_change_moments(counts, ELECTRONIC, FLOOR)[1]
    assert noise.var() == pytest.approx(expected, rel=0.002 + 4 * variance_error(noise))


@pytest.mark.parametrize("dose", [0.5, 0.25, 0.1])
@pytest.mark.parametrize(("counts", "tolerance"), [(20.0, 0.08), (50.0, 0.03), (110.0, 0.03)])
def test_own_and_added_noise_of_few_counts_have_the_exact_variance_together(
    counts, tolerance, dose
):
    """Not below twenty: the noise that the scan has is not known, and the draw keeps the mean.

    The logarithm of a few counts is not straight, so noise beside that of the scan adds up to less
    and, where the floor cuts, to more than a scan of the low dose has.
    """
    noise = ray_noise(added(dose, ELECTRONIC), counts / dose)
    own = log_change_moments(counts / dose, ELECTRONIC, FLOOR)[1]
    expected = log_change_moments(counts, ELECTRONIC, FLOOR)[1]
    assert noise.var() + own == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("counts", [10.0, 30.0, 200.0])
def test_the_mean_is_exact_without_electronic_noise_from_ten_counts_on(counts):
    noise = ray_noise(added(0.25, 0.0), counts / 0.25)
    expected = expected_log_change(counts, 0.0, FLOOR) - expected_log_change(counts / 0.25, 0.0)
    assert noise.mean() == pytest.approx(expected, abs=MEAN_TOLERANCE + 4 * standard_error(noise))


@pytest.mark.parametrize("counts", [2.0, 4.0, 6.0])
def test_below_ten_counts_without_electronic_noise_the_mean_is_within_three_percent(counts):
    """No continuous distribution has the few possible readings of bare photons."""
    noise = ray_noise(native(1.0, 0.0), counts)
    assert noise.mean() == pytest.approx(expected_log_change(counts, 0.0, FLOOR), abs=0.03)


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
