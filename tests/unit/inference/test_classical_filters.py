"""Each filter does what its formula says, on white noise and on grain."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.inference.classical_filters import (
    bilateral,
    gaussian,
    gaussian_transfer,
    gaussian_width_mm,
    likeness_table,
    non_local_means,
)
from ctdenoise.inference.total_variation import (
    NoisySlice,
    discrepancy_weight,
    total_variation,
)
from ctdenoise.metrics.noise_correlation import WHITE, NoiseCorrelation
from tests.grainy import correlation_of, ct_power, grainy_noise

SIZE = 96
GRAIN = NoiseCorrelation(np.roll(correlation_of(ct_power(SIZE)), (15, 15), (0, 1))[:31, :31], 1)
KINDS = {"white": WHITE, "grain": GRAIN}


def noise_of(kind: str, seed: int, size: int = SIZE):
    if kind == "white":
        return np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    return grainy_noise((1, size, size), seed)[0].astype(np.float32)


def ones(image):
    return np.ones_like(image)


@pytest.mark.parametrize("frequency", [1 / 32, 1 / 12, 1 / 6])
@pytest.mark.parametrize("width", [0.8, 1.5])
def test_a_gaussian_leaves_of_a_wave_what_its_transfer_function_says(width, frequency):
    wave = np.cos(2 * np.pi * frequency * np.arange(SIZE))
    image = np.repeat(wave[None], SIZE, axis=0).astype(np.float32)
    inside = np.s_[40:50, 24:72]
    left = gaussian(image, width=(width, width))[inside] / image[inside]
    expected = np.exp(-2 * (np.pi * width * frequency) ** 2)
    where = np.abs(image[inside]) > 0.2
    assert left[where] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("left", [0.3, 0.6])
@pytest.mark.parametrize("kind", KINDS)
def test_the_width_of_a_gaussian_leaves_the_wanted_share_of_the_noise(kind, left):
    width = gaussian_width_mm(KINDS[kind], left, (0.8, 0.8)) / 0.8
    image = noise_of(kind, 5, 384 if kind == "white" else SIZE)
    found = gaussian(image, width=(width, width))
    shape = (image.shape[0], image.shape[1])
    assert gaussian_transfer((width, width), shape)[0, 0] == pytest.approx(1)
    assert found.std() / image.std() == pytest.approx(left, rel=0.08)


def test_grain_needs_a_wider_gaussian():
    white, grain = (gaussian_width_mm(KINDS[kind], 0.6, (1.0, 1.0)) for kind in KINDS)
    assert grain > 1.2 * white


@pytest.mark.parametrize("kind", KINDS)
def test_noise_makes_the_distance_and_the_spread_that_the_table_says(kind):
    """Over many pairs of surroundings, in fresh noise of the stated correlation."""
    table = likeness_table(KINDS[kind], patch=1, reach=2)
    noise = np.stack([noise_of(kind, seed) for seed in range(20)])
    for number in (0, 5, 11, 13):
        down, right = table.shifts[number]
        other = np.roll(noise, (-down, -right), (1, 2))
        squares = np.square(noise - other) / 2 * table.inverse[number]
        rows = sum(np.roll(squares, step, 1) for step in (-1, 0, 1))
        distance = sum(np.roll(rows, step, 2) for step in (-1, 0, 1)) / 9
        inside = distance[:, 6:-6, 6:-6]
        assert inside.mean() == pytest.approx(1.0, abs=0.04)
        assert inside.std() == pytest.approx(table.spread[number], rel=0.08)


def test_non_local_means_return_an_image_without_noise():
    image = np.zeros((SIZE, SIZE), np.float32)
    image[30:60, 30:60] = 40.0
    image[45, 45] = 90.0
    table = likeness_table(WHITE, patch=1, reach=5)
    found = non_local_means(image, np.full_like(image, 1e-3), table, tolerance=1.0)
    assert found == pytest.approx(image, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_non_local_means_average_noise_away_and_keep_the_mean(kind):
    image = noise_of(kind, 6)
    table = likeness_table(KINDS[kind], patch=1, reach=5)
    found = non_local_means(20 * image, 20 * ones(image), table, tolerance=1.0)
    assert found.std() < 0.4 * 20
    assert found.mean() == pytest.approx(20 * image.mean(), abs=0.5)


def test_half_the_stated_noise_takes_less():
    image = 20 * noise_of("white", 7)
    table = likeness_table(WHITE, patch=1, reach=5)
    full, half = (
        non_local_means(image, sd * ones(image), table, tolerance=1.0).std() for sd in (20, 10)
    )
    assert half > 1.5 * full


def test_the_noise_around_a_pixel_decides_there():
    """Both halves have the same noise; where less is stated, less is taken."""
    image = 20 * noise_of("white", 8)
    sd = 20 * ones(image)
    sd[:, : SIZE // 2] = 8
    table = likeness_table(WHITE, patch=1, reach=3)
    found = non_local_means(image, sd, table, tolerance=1.0)
    assert found[:, :40].std() > 1.5 * found[:, -40:].std()


def test_a_bilateral_filter_that_tolerates_all_is_a_gaussian():
    image = noise_of("white", 9)
    found = bilateral(image, ones(image), WHITE, width=(1.5, 1.5), tolerance=1e3)
    expected = gaussian(image, width=(1.5, 1.5))
    inside = np.s_[8:-8, 8:-8]
    assert found[inside] == pytest.approx(expected[inside], abs=0.02)  # its window ends earlier


def test_a_bilateral_filter_keeps_edges_that_noise_cannot_make():
    image = np.zeros((SIZE, SIZE), np.float32)
    image[:, 48:] = 500.0
    found = bilateral(image, 20 * ones(image), WHITE, width=(2.0, 2.0), tolerance=1.5)
    assert found == pytest.approx(image, abs=0.01)


def test_total_variation_moves_both_sides_of_a_step_by_weight_over_width():
    """The minimum of 1/2 |u - f|^2 + w TV for a step: w / n1 up on one side, w / n2 down."""
    image = np.zeros((8, 32), np.float32)
    image[:, 12:] = 100.0
    found = total_variation(image, np.full_like(image, 30.0), accuracy_hu=0.01)
    assert found[:, :12] == pytest.approx(30 / 12, abs=0.02)
    assert found[:, 12:] == pytest.approx(100 - 30 / 20, abs=0.02)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_total_variation_keeps_the_mean(weight):
    image = 20 * noise_of("grain", 10) + 40
    found = total_variation(image, weight * 20 * ones(image), accuracy_hu=0.2)
    assert found.mean(dtype=np.float64) == pytest.approx(image.mean(dtype=np.float64), abs=1e-3)
    assert (found.std() < image.std()) == (weight > 0)


def test_total_variation_is_as_near_to_its_minimum_as_it_says():
    image = 20 * noise_of("white", 11)
    limit = 15 * ones(image)
    near = total_variation(image, limit, accuracy_hu=0.4)
    nearest = total_variation(image, limit, accuracy_hu=0.01)
    assert np.sqrt(np.square(near - nearest).mean()) < 0.4


@pytest.mark.parametrize("removed", [0.3, 0.7])
@pytest.mark.parametrize("kind", KINDS)
def test_the_weight_takes_the_wanted_share_of_the_power_of_the_noise(kind, removed):
    image = 20 * noise_of(kind, 12)
    one = NoisySlice(image, 20 * ones(image), np.ones(image.shape, np.bool_))
    weight = discrepancy_weight([one], removed=removed)
    found = total_variation(image, np.float32(20 * weight) * ones(image), accuracy_hu=0.4)
    assert np.square(image - found).mean() / 400 == pytest.approx(removed, rel=0.06)
