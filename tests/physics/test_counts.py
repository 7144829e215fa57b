"""The distribution of the noise that is drawn for each ray, against counted photons."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.simulation.noise import NoiseStatistics, added_noise, native_noise
from tests.physics.rays import Array, expected_log_change, ray_noise

FLOOR = 1.0
DUAL_BELOW = 100.0

ROUNDING = 2e-6
"""Of one log change in single precision: the polynomials of exponential and logarithm."""


def added(dose: float, electronic: float, *, dual_below: float = DUAL_BELOW) -> NoiseStatistics:
    return added_noise(dose, electronic_noise=electronic, floor=FLOOR, dual_below=dual_below)


def native(dose: float, electronic: float) -> NoiseStatistics:
    return native_noise(dose, electronic_noise=electronic, floor=FLOOR)


def count_change(log_change: Array, expected_counts: float) -> Array:
    """The change of counts behind a log change."""
    return expected_counts * np.expm1(-log_change)


@pytest.mark.parametrize("electronic", [0.0, 5.5])
@pytest.mark.parametrize("counts", [2.0, 4.0, 10.0, 30.0, 100.0, 300.0])
def test_all_the_noise_of_few_counts_has_the_exact_mean(counts, electronic):
    noise = ray_noise(native(1.0, electronic), counts)
    error = noise.std() / np.sqrt(noise.size)
    expected = expected_log_change(counts, electronic, FLOOR)
    assert error < 1e-3
    # 0.005 is what a Gaussian with a third cumulant may miss; under ten counts it misses more
    # where there is no electronic noise to smooth the few possible readings.
    tolerance = 0.005 if counts >= 10 or electronic else 0.05
    assert noise.mean() == pytest.approx(expected, abs=tolerance + 4 * error)


@pytest.mark.parametrize("dose", [0.5, 0.25, 0.1])
@pytest.mark.parametrize("counts", [4.0, 20.0, 90.0, 110.0, 400.0])
def test_added_noise_of_few_counts_has_the_exact_mean(counts, dose):
    """Counts on both sides of the threshold, so the dual draw and the single one."""
    electronic = 5.5
    noise = ray_noise(added(dose, electronic), counts / dose)
    error = noise.std() / np.sqrt(noise.size)
    expected = expected_log_change(counts, electronic, FLOOR)
    expected -= expected_log_change(counts / dose, electronic, FLOOR)
    assert error < 1e-3
    assert noise.mean() == pytest.approx(expected, abs=0.005 + 4 * error)
