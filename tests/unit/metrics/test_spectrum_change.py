"""The noise power spectrum before and after, with intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.nps import PowerSums, power_of
from ctdenoise.metrics.spectrum_change import SpectrumChange

SPACING = (0.7, 0.7)
SIDE = 32


def sums(patches: np.ndarray) -> list[PowerSums]:
    return [power_of(slice_, pixel_spacing_mm=SPACING) for slice_ in patches]


def white(slices: int = 8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, (slices, 12, SIDE, SIDE))


def change(before: np.ndarray, after: np.ndarray) -> Measured:
    power = SpectrumChange(sums(before), sums(after), "scan", "patches", draws=200)
    return power.measured(np.random.default_rng(0))


def test_identity_shifts_nothing_and_is_sure_of_it():
    found = change(white(), white())
    shift = found["fav_shift[scan]"]
    assert shift.value == 0
    assert (shift.interval.low, shift.interval.high) == (0, 0)
    assert [curve.name for curve in found.chart("nps[scan]")] == ["input", "output"]


@pytest.mark.parametrize("sigma", [0.6, 1.0])
def test_a_gaussian_filter_shifts_the_mean_frequency_as_its_transfer_says(sigma):
    before = white(12)
    after = ndimage.gaussian_filter(before, (0, 0, sigma, sigma), mode="wrap")
    found = change(before, after)
    curve = found.chart("nps[scan]")[0]
    point = np.zeros((SIDE, SIDE))
    point[0, 0] = 1
    spread = ndimage.gaussian_filter(point, sigma, mode="wrap")
    passed = PowerSums(1, np.square(np.abs(np.fft.fft2(spread))), SPACING).radial().power
    means = [(curve.x * y).sum() / y.sum() for y in (curve.y, curve.y * passed)]
    expected = 100 * (means[1] / means[0] - 1)
    # The surface that is taken from a patch mixes rings: a twentieth of the shift.
    assert found["fav_shift[scan]"].value == pytest.approx(expected, rel=0.05)
    assert found["fav_shift[scan]"].interval.low < found["fav_shift[scan]"].value


def test_the_band_holds_the_level_of_white_noise():
    curve = change(white(16), white(16, seed=2)).chart("nps[scan]")[0]
    level = 20**2 * SPACING[0] * SPACING[1]
    inside = (curve.low <= level) & (level <= curve.high)
    assert inside.mean() > 0.75  # of 95 % on average; rings share the draws


def test_few_slices_have_no_interval():
    found = change(white(3), white(3))
    assert found["fav_shift[scan]"].interval is None
    assert found.chart("nps[scan]")[0].low is None


def test_output_without_noise_has_no_frequency():
    found = change(white(), np.zeros_like(white()))
    assert found["fav[scan, output]"].value is None
    assert found["fav[scan, output]"].note == "no noise"


def test_no_patches_no_figures():
    power = SpectrumChange([], [], "scan", "patches", draws=200)
    assert power.measured(np.random.default_rng(0)).metrics == ()


def test_one_slice_with_most_of_the_patches_leaves_a_sober_interval():
    rng = np.random.default_rng(5)
    slices = [rng.normal(0, 20, (patches, SIDE, SIDE)) for patches in (30, 4, 2, 1)]
    blurred = [ndimage.gaussian_filter(one, (0, 0.6, 0.6), mode="wrap") for one in slices]
    before, after = (
        [power_of(one, pixel_spacing_mm=SPACING) for one in s] for s in (slices, blurred)
    )
    power = SpectrumChange(before, after, "scan", "patches", draws=500)
    shift = power.measured(np.random.default_rng(0))["fav_shift[scan]"]
    assert (
        shift.value - 2 < shift.interval.low < shift.value < shift.interval.high < shift.value + 2
    )
