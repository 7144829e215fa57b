"""Noise power spectra against closed forms; tolerances are five standard errors or explained."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.nps import (
    FEWEST_PATCHES,
    FLAT_SHARE,
    WANTED_PATCHES,
    FlatPatch,
    PowerSums,
    candidates,
    flattest,
    patches_at,
    power_of,
)

SIDE, COUNT, SIGMA = 32, 400, 20.0
SPACING = (0.7, 0.7)


def white(count: int = COUNT, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, SIGMA, (count, SIDE, SIDE))


def filtered(cutoff: float, *, count: int, spacing: float = SPACING[0], seed: int = 2):
    """Periodic noise of NPS = f exp(-(f / f0)^2) on the whole patch, and that spectrum."""
    frequency = np.fft.fftfreq(SIDE, spacing)
    f = np.hypot(frequency[:, None], frequency)
    nps = f * np.exp(-((f / cutoff) ** 2))
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.normal(0.0, 1.0, (count, SIDE, SIDE)))
    return np.fft.ifft2(spectrum * np.sqrt(nps)).real / spacing, f, nps


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_sum_of_the_spectrum_is_the_variance_of_what_the_polynomial_leaves(order):
    patch = white(1)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    terms = [y**i * x**j for i in range(order + 1) for j in range(order + 1 - i)]
    matrix = np.stack([term.ravel() for term in terms], axis=1)
    left = patch.ravel() - matrix @ np.linalg.lstsq(matrix, patch.ravel(), rcond=None)[0]
    expected = np.square(left).sum() / (SIDE**2 - len(terms))
    found = power_of(patch, pixel_spacing_mm=(0.7, 0.9), order=order)
    assert found.variance_hu2 == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_white_noise_has_its_variance_times_the_area_of_a_pixel_at_every_frequency(order):
    found = power_of(white(), pixel_spacing_mm=SPACING, order=order)
    radial = found.radial()
    level = SIGMA**2 * SPACING[0] * SPACING[1]
    # The power of a mode has the standard deviation of its mean; a mode and its mirror are one.
    tolerance = 5 / np.sqrt(COUNT * radial.modes / 2)
    high = radial.frequency_per_mm > 4 / (SIDE * SPACING[0])  # what a polynomial takes lies below
    assert np.all(np.abs(radial.power / level - 1)[high] < tolerance[high])
    assert math.sqrt(found.variance_hu2) == pytest.approx(
        SIGMA, rel=5 / math.sqrt(2 * COUNT * SIDE**2)
    )


def test_the_mean_frequency_of_white_noise_is_the_middle_of_the_axis():
    radial = power_of(white(), pixel_spacing_mm=SPACING, order=0).radial()
    # Rings 1, 2, ... N / 2 of the width 1 / (N d), with equal weights; the last is cut in half.
    assert radial.mean_frequency_per_mm == pytest.approx(
        (SIDE / 2 + 1) / 2 / (SIDE * SPACING[0]), rel=0.02
    )


@pytest.mark.parametrize("cutoff", [0.2, 0.35])
def test_filtered_noise_has_the_spectrum_it_was_made_with(cutoff):
    patches, _, nps = filtered(cutoff, count=COUNT)
    found = power_of(patches, pixel_spacing_mm=SPACING, order=0)
    expected = PowerSums(1, nps, SPACING).radial()
    radial = found.radial()
    tolerance = 5 / np.sqrt(COUNT * radial.modes / 2)
    assert np.all(np.abs(radial.power / expected.power - 1) < tolerance)


@pytest.mark.parametrize("cutoff", [0.2, 0.35])
def test_mean_and_peak_frequency_of_filtered_noise_are_those_of_the_closed_form(cutoff):
    patches, _, nps = filtered(cutoff, count=COUNT)
    radial = power_of(patches, pixel_spacing_mm=SPACING, order=0).radial()
    expected = PowerSums(1, nps, SPACING).radial()
    share = expected.power / expected.power.sum()
    away = expected.frequency_per_mm - expected.mean_frequency_per_mm
    error = math.sqrt(np.sum((share * away) ** 2 / (COUNT * expected.modes / 2)))
    assert radial.mean_frequency_per_mm == pytest.approx(
        expected.mean_frequency_per_mm, abs=5 * error
    )
    # f exp(-(f / f0)^2) is highest at f0 / sqrt(2); rings are 1 / (N d) wide.
    ring = 1 / (SIDE * SPACING[0])
    assert radial.peak_frequency_per_mm == pytest.approx(cutoff / math.sqrt(2), abs=ring)


def test_smaller_pixels_move_the_frequencies_with_them():
    patches, _, _ = filtered(0.3, count=50)
    here = power_of(patches, pixel_spacing_mm=(0.7, 0.7)).radial()
    there = power_of(patches, pixel_spacing_mm=(0.35, 0.35)).radial()
    assert there.mean_frequency_per_mm == pytest.approx(2 * here.mean_frequency_per_mm)
    assert there.peak_frequency_per_mm == pytest.approx(2 * here.peak_frequency_per_mm)


def test_a_surface_of_second_degree_is_no_noise():
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    surface = (40 + 30 * x - 20 * y + 50 * x * y - 60 * x**2)[None]
    found = power_of(surface, pixel_spacing_mm=SPACING)
    assert found.variance_hu2 == 0
    assert found.radial().mean_frequency_per_mm is None
    assert found.radial().peak_frequency_per_mm is None
    noisy = power_of(white() + surface, pixel_spacing_mm=SPACING)
    assert noisy.variance_hu2 == pytest.approx(
        power_of(white(), pixel_spacing_mm=SPACING).variance_hu2
    )


def test_sums_of_two_halves_are_the_sums_of_the_whole():
    patches = white(20)
    whole = power_of(patches, pixel_spacing_mm=SPACING)
    one, other = (power_of(p, pixel_spacing_mm=SPACING) for p in (patches[:7], patches[7:]))
    assert np.allclose((one + other).spectrum, whole.spectrum)
    assert np.allclose((whole - other).spectrum, one.spectrum)
    assert (whole - other).count == 7


@pytest.mark.parametrize("shape", [(2, 8, 9), (2, 3, 3)], ids=["oblong", "tiny"])
def test_patches_that_are_no_squares_of_some_size_are_refused(shape):
    with pytest.raises(InputError, match="squares"):
        power_of(np.zeros(shape), pixel_spacing_mm=SPACING)


def test_no_patch_has_no_spectrum():
    nothing = power_of(np.zeros((0, SIDE, SIDE)), pixel_spacing_mm=SPACING)
    assert nothing.count == 0
    with pytest.raises(InputError, match="at least one"):
        nothing.radial()


def test_candidates_lie_in_the_tissue_and_know_their_anatomy():
    inside = np.zeros((96, 96), dtype=bool)
    inside[10:80, 5:90] = True
    image = np.full((96, 96), 50.0)
    image[60:, :] += 40 * np.sin(np.arange(96) / 4)
    found = candidates(image, inside, index=3, side=16)
    assert found
    for patch in found:
        y, x = patch.corner
        assert inside[y : y + 16, x : x + 16].all()
        assert patch.index == 3
        assert (patch.relief_hu > 1) == (y + 16 > 60)


def test_the_flattest_patches_are_chosen_and_too_few_are_none():
    found = [FlatPatch(i % 5, (i, 0), float(200 - i)) for i in range(200)]
    chosen = flattest(found)
    assert len(chosen) == max(WANTED_PATCHES, 200 * FLAT_SHARE)
    assert max(patch.relief_hu for patch in chosen) <= len(chosen)
    assert [patch.index for patch in chosen] == sorted(patch.index for patch in chosen)
    assert flattest(found[: FEWEST_PATCHES - 1]) == ()
    assert len(flattest(found[:FEWEST_PATCHES])) == FEWEST_PATCHES


def test_patches_are_cut_where_they_lie():
    image = np.arange(100.0).reshape(10, 10)
    cut = patches_at(image, [(0, 0), (4, 5)], 4)
    assert cut.shape == (2, 4, 4)
    assert cut[1, 0, 0] == image[4, 5]
    assert patches_at(image, [], 4).shape == (0, 4, 4)
