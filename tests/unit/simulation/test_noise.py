"""The random numbers of the rays."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.noise import (
    NoiseStatistics,
    added_noise,
    draw_log_noise,
    native_noise,
    slice_keys,
    upsampling,
)
from ctdenoise.simulation.overlap import lane_layers
from ctdenoise.simulation.scanner import Fan
from ctdenoise.simulation.vectors import aligned_zeros

FAN = Fan(595.0, 0.004, 101, 64)
COARSE = FAN.coarse(views=16, channels=26)
LANES = 32


def draw(statistics: NoiseStatistics, photons: float, name: str = "a") -> FloatArray:
    """Log noise of rays through nothing, [view, channel, lane]."""
    out = aligned_zeros(FAN.views, FAN.channels, LANES)
    keys = slice_keys([f"{name} {index}".encode() for index in range(LANES)])
    draw_log_noise(
        aligned_zeros(COARSE.views, COARSE.channels, LANES),
        upsampling(COARSE, FAN),
        np.full(LANES, photons, np.float32),
        statistics,
        lane_layers(keys, LANES),
        np.ones(FAN.channels, np.float32),
        out,
    )
    return out


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    """Standard normal numbers as the rays draw them: a vast count makes the rest vanish."""
    statistics = native_noise(1.0, electronic_noise=0.0, floor=1.0)
    return draw(statistics, 1e8).astype(np.float64) * -1e4


def test_moments_are_those_of_a_normal_distribution(normal):
    n = normal.size  # 206,848
    assert normal.mean() == pytest.approx(0, abs=5 / np.sqrt(n))
    assert normal.var() == pytest.approx(1, abs=5 * np.sqrt(2 / n) + 1e-3)
    assert (normal**3).mean() == pytest.approx(0, abs=5 * np.sqrt(15 / n))
    assert (normal**4).mean() == pytest.approx(3, abs=5 * np.sqrt(96 / n) + 5e-3)


@pytest.mark.parametrize(("limit", "share"), [(2.0, 0.0455), (3.0, 0.0027), (4.0, 6.33e-5)])
def test_tails_are_those_of_a_normal_distribution(normal, limit, share):
    beyond = np.count_nonzero(np.abs(normal) > limit)
    expected = share * normal.size
    assert beyond == pytest.approx(expected, abs=5 * np.sqrt(expected) + 2)


def test_neighbours_partners_slices_and_seeds_are_independent(normal):
    others = {
        "channels": (normal[:, 1:], normal[:, :-1]),
        "partners": (normal[:, :50], normal[:, :50:-1]),
        "squared partners": (normal[:, :50] ** 2 - 1, normal[:, :50:-1] ** 2 - 1),
        "views": (normal[1:], normal[:-1]),
        "slices": (normal[:, :, 1:], normal[:, :, :-1]),
    }
    again = draw(native_noise(1.0, electronic_noise=0.0, floor=1.0), 1e8, "b") * -1e4
    others["seeds"] = (normal, again)
    for name, (one, two) in others.items():
        scale = np.sqrt((one**2).mean() * (two**2).mean())
        correlation = (one * two).mean() / scale
        assert abs(correlation) < 5 / np.sqrt(one.size), name


@pytest.mark.parametrize("counts", [100.0, 400.0, 2000.0])
def test_low_counts_have_the_mean_and_spread_of_poisson_counts(counts):
    statistics = native_noise(1.0, electronic_noise=0.0, floor=1.0)
    noise = draw(statistics, counts).astype(np.float64)
    poisson = np.random.default_rng(0).poisson(counts, 400_000)
    exact = -np.log(np.maximum(poisson, 1) / counts)
    assert noise.mean() == pytest.approx(exact.mean(), abs=5 * exact.std() / np.sqrt(noise.size))
    assert noise.std() == pytest.approx(exact.std(), rel=0.01)
    skew = [((x - x.mean()) ** 3).mean() / x.std() ** 3 for x in (noise, exact)]
    assert skew[0] == pytest.approx(skew[1], abs=0.03)  # five errors of sqrt(6 / n)


@pytest.mark.parametrize("counts", [4.0, 20.0, 60.0])
def test_starved_rays_gain_the_mean_that_counting_gives(counts):
    dose, electronic, n = 0.25, 5.5, 400_000
    statistics = added_noise(dose, electronic_noise=electronic, floor=1.0, dual_below=100.0)
    noise = draw(statistics, counts / dose).astype(np.float64)
    rng = np.random.default_rng(1)
    low = np.maximum(rng.poisson(counts, n) + rng.normal(0, electronic, n), 1)
    full = np.maximum(rng.poisson(counts / dose, n) + rng.normal(0, electronic, n), 1)
    exact = -np.log(low / counts).mean() + np.log(full * dose / counts).mean()
    # A Gaussian with a third cumulant stands for Poisson counts: good to 2 % of the spread.
    assert noise.mean() == pytest.approx(exact, abs=0.02 * noise.std() + 5 * noise.std() / 450)


def test_added_and_own_variance_make_up_the_variance_of_the_dose():
    dose, electronic, counts = 0.3, 7.0, 1000.0
    lack = added_noise(dose, electronic_noise=electronic, floor=1.0, dual_below=0.0)
    target = native_noise(dose, electronic_noise=electronic, floor=1.0)
    own = counts + electronic**2
    added = lack.linear * counts + lack.constant
    assert dose**2 * own + added == pytest.approx(target.linear * counts + target.constant)
    assert dose**3 * counts + lack.cubic * counts == pytest.approx(target.cubic * counts)
