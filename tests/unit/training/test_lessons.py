"""Targets without a clean full dose: their noise is uncorrelated with that of the input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.losses.image import mean_squared_error
from ctdenoise.metrics.noise_map import NoiseMap
from ctdenoise.training.expected_noise import ExpectedNoise
from ctdenoise.training.lessons import (
    AgreeingPixels,
    BlindSpots,
    CorrectedTarget,
    Place,
    averaged_difference,
)

SIZE = 64
ANATOMY_HU = 40


def place(*, symmetry=0, seed=1):
    return Place(z=0, corner=(0, 0), size=SIZE, low=0, dose=np.nan, symmetry=symmetry, seed=seed)


def flat_map(sd_hu):
    return NoiseMap(np.full((1, 2, 2), sd_hu, np.float32), 0.0, SIZE, sd_hu)


def corrected(own, added, largest=100.0):
    return CorrectedTarget(ExpectedNoise(flat_map(own), (flat_map(added),)), largest)


def textured(rng, sd_hu, blur):
    """Noise of a texture, drawn wrapped around so that every pixel is alike."""
    noise = rng.standard_normal((SIZE, SIZE))
    if blur:
        noise = ndimage.gaussian_filter(noise, blur, mode="wrap")
    return sd_hu * noise / noise.std()


def noise_products(lesson, *, own, added, blur=(1.0, 1.0), draws=60):
    """Spectrum of the product of the noises of input and target, over that of the input."""
    rng = np.random.default_rng(7)
    cross, power = 0.0, 0.0
    for _ in range(draws):
        full = np.rint(ANATOMY_HU + textured(rng, own, blur[0])).astype(np.int16)
        low = np.rint(full + textured(rng, added, blur[1])).astype(np.int16)
        taught = lesson.taught(low, full, place())
        seen, target = (
            np.fft.rfft2(image - ANATOMY_HU) for image in (low.astype(float), taught.target_hu)
        )
        cross = cross + (seen * target.conj()).real
        power = power + np.abs(seen) ** 2
    return cross, power


def share(cross, power, low, high):
    """Noise of the target that the input tells, between two frequencies (cycles per pixel)."""
    k = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    inside = (k > low) & (k <= high)
    return cross[inside].sum() / power[inside].sum()


@pytest.mark.parametrize(("own", "added"), [(12.0, 24.0), (20.0, 20.0), (15.0, 7.0)])
def test_the_corrected_target_shares_no_noise_with_the_input_at_any_frequency(own, added):
    cross, power = noise_products(corrected(own, added), own=own, added=added)
    modes = 60 * SIZE * SIZE / 2
    for low, high in ((0.0, 0.08), (0.08, 0.16), (0.16, 0.25)):
        part = np.pi * (high**2 - low**2)  # of all frequencies
        # The product of two independent noises scatters by the root of their powers over the modes;
        # target over input is var_f (1 + k) / (var_f + var_a) = k.
        error = own / added / np.sqrt(part * modes)
        assert abs(share(cross, power, low, high)) < 5 * error + 0.005


def test_the_full_dose_itself_shares_its_noise_with_the_input():
    cross, power = noise_products(corrected(0.0, 20.0), own=20.0, added=20.0)
    assert share(cross, power, 0.0, 0.25) == pytest.approx(0.5, abs=0.03)


def test_noise_of_another_texture_leaves_covariance_that_cancels_in_the_sum_alone():
    cross, power = noise_products(corrected(20.0, 20.0), own=20.0, added=20.0, blur=(1.0, 0.0))
    assert share(cross, power, 0.0, 0.1) > 0.5
    assert share(cross, power, 0.3, 0.7) < -0.5
    assert abs(cross.sum() / power.sum()) < 0.05


def test_the_target_is_right_on_average_and_has_the_variance_of_theory():
    own, added = 12.0, 24.0
    rng = np.random.default_rng(1)
    full = np.rint(ANATOMY_HU + textured(rng, own, 0)).astype(np.int16)
    low = np.rint(full + textured(rng, added, 0)).astype(np.int16)
    taught = corrected(own, added).taught(low, full, place())
    k = own**2 / added**2
    # 4096 independent pixels: the mean scatters by 0.2 HU, the variance by 2 %.
    assert taught.target_hu.mean() == pytest.approx(ANATOMY_HU, abs=1.0)
    assert taught.target_hu.var() == pytest.approx(own**2 * (1 + k), rel=0.1)
    np.testing.assert_allclose(taught.weight, 1 / (1 + k), rtol=1e-6)
    assert taught.low is low


def test_the_factor_is_turned_with_its_patch():
    ramp = np.linspace(5, 30, 4, dtype=np.float32)
    own = NoiseMap(np.broadcast_to(ramp, (1, 4, 4)).copy(), 0.0, SIZE / 4, 10.0)
    lesson = CorrectedTarget(ExpectedNoise(own, (flat_map(20.0),)), 100.0)
    image = np.zeros((SIZE, SIZE), np.int16)
    straight = lesson.taught(image, image, place()).weight
    np.testing.assert_array_equal(
        lesson.taught(image, image, place(symmetry=6)).weight, straight[:, ::-1].T
    )
    assert straight[0, 0] > straight[0, -1]


def test_where_nothing_is_added_the_factor_has_an_end_and_padding_stays_air():
    full = np.full((SIZE, SIZE), 50, np.int16)
    full[0] = PADDING_HU
    taught = corrected(10.0, 0.0, largest=7.0).taught(full, full, place())
    assert (taught.target_hu[0] == -1000).all()
    assert (taught.target_hu[1:] == 50).all()
    np.testing.assert_allclose(taught.weight, 1 / 8)


def agreeing(own=10.0, limit=3.0, window=5):
    return AgreeingPixels(flat_map(own), window=window, spread=2**0.5 / window, limit=limit)


def test_slices_that_agree_but_for_noise_count_and_changed_anatomy_does_not():
    rng = np.random.default_rng(3)
    one, other = (np.rint(ANATOMY_HU + textured(rng, 10.0, 0)).astype(np.int16) for _ in range(2))
    other[20:40, 20:40] += 60
    other[:, 60:] = PADDING_HU
    weight = agreeing().taught(one, other, place()).weight
    assert (weight[25:35, 25:35] == 0).all()
    assert (weight[:, 60:] == 0).all()
    assert weight[:15, :55].mean() > 0.98
    assert weight[45:, :55].mean() > 0.98


def test_choosing_by_the_averaged_difference_hardly_chooses_noise_that_agrees():
    rng = np.random.default_rng(3)
    products = {}
    for window in (1, 7):
        lesson = agreeing(window=window, limit=1.0)
        chosen = [
            (one[kept] - ANATOMY_HU) * (other[kept] - ANATOMY_HU)
            for one, other, kept in (_agreement(lesson, rng) for _ in range(10))
        ]
        products[window] = float(np.concatenate(chosen).mean()) / 100
    assert products[1] > 0.3  # pixel by pixel, noise looks like anatomy
    assert abs(products[7]) < 0.05


def _agreement(lesson, rng):
    one, other = (np.rint(ANATOMY_HU + textured(rng, 10.0, 0)).astype(np.int16) for _ in range(2))
    return one.astype(float), other.astype(float), lesson.taught(one, other, place()).weight > 0


def test_the_averaged_difference_takes_padding_as_air():
    image = np.zeros((8, 8), np.int16)
    assert averaged_difference(image, np.full_like(image, PADDING_HU), 3).min() == 1000


@pytest.mark.parametrize("share_hidden", [0.015, 0.1, 0.25])
def test_every_hidden_pixel_takes_the_value_of_another_nearby_and_counts_alone(share_hidden):
    own = np.arange(SIZE * SIZE, dtype=np.int16).reshape(SIZE, SIZE)
    lesson = BlindSpots(share_hidden, 2)
    taught = lesson.taught(own, own, place(seed=4))
    hidden = taught.weight > 0
    assert hidden.mean() == pytest.approx(share_hidden, rel=0.35)
    np.testing.assert_array_equal(taught.low != own, hidden)
    np.testing.assert_array_equal(taught.target_hu, own)
    rows, columns = np.divmod(taught.low[hidden].astype(int), SIZE)
    at = np.nonzero(hidden)
    assert np.abs(rows - at[0]).max() <= 2
    assert np.abs(columns - at[1]).max() <= 2
    assert taught.weight.mean() == pytest.approx(1.0)


def test_other_seeds_hide_other_pixels_and_as_many():
    image = np.arange(SIZE * SIZE, dtype=np.int16).reshape(SIZE, SIZE)
    lesson = BlindSpots(0.02, 2)
    one, again, other = (lesson.taught(image, image, place(seed=s)).weight for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert (one > 0).sum() == (other > 0).sum()


def best_blind_guess(noise):
    """Share of a pixel's noise variance that a linear guess from its 24 neighbours removes."""
    windows = np.lib.stride_tricks.sliding_window_view(noise, (5, 5)).reshape(-1, 25)
    around, middle = np.delete(windows, 12, axis=1), windows[:, 12]
    guess = around @ np.linalg.lstsq(around, middle, rcond=None)[0]
    return 1 - np.var(middle - guess) / np.var(middle)


def test_neighbours_tell_the_noise_of_a_hidden_pixel_only_where_it_is_correlated():
    rng = np.random.default_rng(0)
    assert best_blind_guess(textured(rng, 20.0, 0)) < 0.02
    assert best_blind_guess(textured(rng, 20.0, 0.8)) > 0.8


def test_a_weighted_error_is_the_same_in_pieces():
    rng = torch.Generator().manual_seed(0)
    image, full, weight = (torch.rand(4, 1, 8, 8, generator=rng) for _ in range(3))
    whole = mean_squared_error(image, full, weight)
    pieces = [
        mean_squared_error(image[n : n + 2], full[n : n + 2], weight[n : n + 2]) for n in (0, 2)
    ]
    assert float(whole) == pytest.approx(float(sum(pieces) / 2), rel=1e-6)
    assert float(whole) == pytest.approx(float((weight * (image - full) ** 2).mean()), rel=1e-6)
    ones = torch.ones_like(weight)
    assert float(mean_squared_error(image, full, ones)) == pytest.approx(
        float(mean_squared_error(image, full)), rel=1e-6
    )
