"""The noise around every pixel against noise of a known and uneven strength."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.metrics.noise_map import difference_map, measured_noise

SHAPE = (3, 320, 320)
SPACING = (0.75, 0.75)


def axes():
    axis = np.arange(SHAPE[1]) - (SHAPE[1] - 1) / 2
    return axis[:, None], axis[None, :]


def inside():
    y, x = axes()
    return (y / 140) ** 2 + (x / 150) ** 2 < 1


def anatomy():
    """A body with lungs full of vessels, bones and a slow change of the tissue."""
    y, x = axes()
    hu = np.where(inside(), 40.0 + 0.1 * x, -1000.0)
    vessels = np.random.default_rng(4).random(SHAPE[1:]) < 0.006
    for side in (-70, 70):
        lung = (y / 60) ** 2 + ((x - side) / 35) ** 2 < 1
        hu = np.where(lung, np.where(vessels, -300.0, -850.0), hu)
        hu = np.where(((y - 100) / 12) ** 2 + ((x - side / 2) / 12) ** 2 < 1, 700.0, hu)
    return hu


def deviation(level_hu):
    """Strong in the middle of the body, weak at its rim: a factor of two and a half."""
    y, x = axes()
    return level_hu * (1.4 - 0.85 * np.clip((y / 140) ** 2 + (x / 150) ** 2, 0, 1))


def noise(cutoff_per_mm, seed=2):
    """Noise of unit SD with NPS ~ f exp(-(f/f0)^2)."""
    samples = np.random.default_rng(seed).standard_normal(SHAPE)
    frequency = np.fft.fftfreq(SHAPE[1], SPACING[0])
    radius = np.hypot(frequency[:, None], frequency)
    shape = np.sqrt(radius * np.exp(-((radius / cutoff_per_mm) ** 2)))
    samples = np.fft.ifft2(np.fft.fft2(samples) * shape).real
    return samples / samples.std()


def streaks(angle_deg, seed=5):
    """Noise of unit SD that is ten times as long along one direction as across it."""
    samples = np.random.default_rng(seed).standard_normal(SHAPE)
    frequency = np.fft.fftfreq(SHAPE[1], SPACING[0])
    along, across = np.deg2rad(angle_deg), np.deg2rad(angle_deg + 90)
    ky, kx = frequency[:, None], frequency
    length, width = (np.cos(one) * kx + np.sin(one) * ky for one in (along, across))
    shape = np.abs(width) * np.exp(-((length / 0.04) ** 2) - (width / 0.4) ** 2)
    samples = np.fft.ifft2(np.fft.fft2(samples) * shape).real
    return samples / samples.std()


def ratio_in(mask, hu, level_hu):
    """Measured over true in a mask: mean and spread."""
    measured = measured_noise(hu.astype(np.float32), None, SPACING)
    ratio = measured.at(1, (0, 0), SHAPE[1:])[mask] / deviation(level_hu)[mask]
    return ratio.mean(), ratio.std()


@pytest.mark.parametrize("cutoff_per_mm", [0.3, 0.4, 0.6])
@pytest.mark.parametrize("level_hu", [6.0, 20.0, 60.0])
def test_smooth_and_sharp_noise_of_any_strength_is_measured_within_a_tenth(cutoff_per_mm, level_hu):
    y, _ = axes()
    hu = np.where(inside(), 40.0, -1000.0) + deviation(level_hu) * noise(cutoff_per_mm)
    mean, spread = ratio_in((inside() & (np.abs(y) < 100)), hu, level_hu)
    assert mean == pytest.approx(1.0, abs=0.07)
    assert spread < 0.1


@pytest.mark.parametrize("level_hu", [10.0, 40.0])
def test_lungs_bones_and_edges_raise_it_by_less_than_a_fifth(level_hu):
    hu = anatomy() + deviation(level_hu) * noise(0.4)
    mean, spread = ratio_in(inside(), hu, level_hu)
    assert 0.9 < mean < 1.15
    assert spread < 0.2


@pytest.mark.parametrize("angle_deg", [0, 22.5, 45, 90, 135])
def test_streaks_count_whatever_their_direction(angle_deg):
    y, x = axes()
    middle = np.hypot(y, x) < 60
    hu = np.where(inside(), 40.0, -1000.0) + 15 * noise(0.4)
    measured = measured_noise(
        (hu + np.where(middle, 30.0, 0.0) * streaks(angle_deg)).astype(np.float32), None, SPACING
    ).at(1, (0, 0), SHAPE[1:])
    rim = inside() & (np.hypot(y, x) > 95)
    # Of few long streaks a low quantile of the blocks sees less than their mean square.
    assert 0.6 < measured[np.hypot(y, x) < 35].mean() / np.hypot(15, 30) < 1.1
    assert measured[rim].mean() == pytest.approx(15, rel=0.1)


def test_only_slices_that_are_near_share_their_noise():
    levels = np.array([10.0, 10.0, 40.0])[:, None, None]
    hu = (np.where(inside(), 40.0, -1000.0) + levels * noise(0.4)).astype(np.float32)
    middle = np.s_[100:220, 100:220]
    near, far = (
        measured_noise(hu, None, SPACING, along_mm).at(2, (0, 0), SHAPE[1:])[middle].mean()
        for along_mm in ([0.0, 5.0, 10.0], [0.0, 12.0, 24.0])
    )
    assert far == pytest.approx(40.0, rel=0.1)
    assert near < 0.5 * far


def test_it_grows_in_proportion_to_the_noise():
    sharp = noise(0.4)
    maps = [
        measured_noise((anatomy() + s * sharp).astype(np.float32), None, SPACING) for s in (20, 40)
    ]
    ratio = maps[1].at(1, (0, 0), SHAPE[1:])[inside()] / maps[0].at(1, (0, 0), SHAPE[1:])[inside()]
    assert np.median(ratio) == pytest.approx(2.0, rel=0.07)


def test_a_phantom_without_noise_is_told_to_have_none():
    hu = np.repeat(np.where(inside(), 40.0, -1000.0)[None], 3, axis=0).astype(np.float32)
    assert measured_noise(hu, None, SPACING).at(1, (100, 100), (100, 100)).max() < 0.1


def test_padding_does_not_count():
    y, x = axes()
    outside = np.repeat((np.hypot(y, x) > 155)[None], 3, axis=0)
    hu = (np.where(inside(), 40.0, -1000.0) + 20 * noise(0.4)).astype(np.float32)
    maps = [
        measured_noise(np.where(outside, np.float32(value), hu), outside, SPACING)
        for value in (-1024, -8192)
    ]
    assert np.array_equal(maps[0].sd_hu, maps[1].sd_hu)
    assert np.isfinite(maps[0].sd_hu).all()


@pytest.mark.parametrize("shape", [(1, 24, 24), (2, 7, 9), (4, 64, 40)])
def test_small_and_empty_scans_are_measured_too(shape):
    hu = np.random.default_rng(0).normal(-1000, 20, shape).astype(np.float32)
    told = measured_noise(hu, None, (1.0, 1.0)).at(0, (0, 0), shape[1:])
    assert told.shape == shape[1:]
    assert np.isfinite(told).all()
    assert (told >= 0).all()


def test_the_difference_of_two_images_tells_what_was_added():
    full = anatomy()[None].repeat(3, axis=0)
    low = full + deviation(30.0) * noise(0.4)
    padding = np.zeros(SHAPE, dtype=bool)
    told = difference_map(low, full, padding, SPACING).at(1, (0, 0), SHAPE[1:])
    ratio = told[inside()] / deviation(30.0)[inside()]
    # Some 40 independent values in three slices of 6 mm: 5 % of the SD at each place.
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)
    assert ratio.std() < 0.1


def test_what_was_added_far_away_does_not_count():
    full = anatomy()[None].repeat(3, axis=0)
    low = full + np.array([10.0, 10.0, 40.0])[:, None, None] * noise(0.4)
    padding = np.zeros(SHAPE, dtype=bool)
    maps = [
        difference_map(low, full, padding, SPACING, along_mm).sd_hu[2].mean()
        for along_mm in (None, [0.0, 5.0, 20.0])
    ]
    assert maps[1] == pytest.approx(40.0, rel=0.05)
    assert maps[0] < 0.9 * maps[1]


def test_a_part_of_the_map_is_that_part():
    hu = anatomy()[None].repeat(3, axis=0) + deviation(30.0) * noise(0.4)
    told = measured_noise(hu.astype(np.int16), None, SPACING)
    whole = told.at(2, (0, 0), SHAPE[1:])
    assert np.array_equal(told.at(2, (37, 100), (50, 60)), whole[37:87, 100:160])
