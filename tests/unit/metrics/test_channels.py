"""Channels of model observers against their formulas and published efficiencies."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

from ctdenoise.errors import InputError, UsageError
from ctdenoise.metrics.channels import (
    ChannelName,
    Channels,
    differences_of_gaussians,
    gabor,
    laguerre_gauss,
    named_channels,
)

SHAPE = (41, 41)
RADIUS = 5.0


def distance() -> np.ndarray:
    axis = np.arange(41) - 20.0
    return np.hypot(axis[:, None], axis)


def disc() -> np.ndarray:
    return np.clip(RADIUS + 0.5 - distance(), 0, 1)


def in_white_noise(channels: Channels, signal: np.ndarray) -> float:
    """Detectability of the channelised Hotelling observer in white noise of the deviation 1."""
    profiles = channels.profiles.reshape(channels.count, -1)
    response = profiles @ signal.ravel()
    return math.sqrt(response @ np.linalg.solve(profiles @ profiles.T, response))


def test_laguerre_gauss_channels_see_a_gaussian_of_their_width_as_the_formula_says():
    height, width = 3.0, 10.0
    signal = height * np.exp(-np.pi * (distance() / width) ** 2)
    found = in_white_noise(laguerre_gauss(SHAPE, width_pixels=width), signal)
    assert found == pytest.approx(height * width / math.sqrt(2), rel=1e-4)


def test_laguerre_gauss_channels_are_orthonormal():
    profiles = laguerre_gauss((81, 81), width_pixels=12.0, count=6).profiles.reshape(6, -1)
    np.testing.assert_allclose(profiles @ profiles.T, np.eye(6), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "efficiency"),
    [
        ("laguerre-gauss-5", 0.982),
        ("laguerre-gauss-10", 0.994),
        ("gabor-40", 0.929),
        ("dense-dog", 0.988),
        ("sparse-dog", 0.874),
    ],
)
def test_channels_reach_a_known_share_of_the_ideal_observer_in_white_noise(name, efficiency):
    signal = disc()
    found = in_white_noise(named_channels(name, SHAPE, radius_pixels=RADIUS), signal)
    assert found / np.linalg.norm(signal) == pytest.approx(efficiency, abs=1.1e-3)


def test_channels_that_are_cut_off_by_the_region_see_the_mean_of_an_image():
    signal, whole = disc(), named_channels("dense-dog", SHAPE, radius_pixels=RADIUS)
    profiles = whole.profiles - whole.profiles.mean(axis=(1, 2), keepdims=True)
    found = in_white_noise(Channels("without the mean", profiles), signal)
    # 0.962 is what channels have that are made on the frequencies of the region, 0 left out.
    assert found / np.linalg.norm(signal) == pytest.approx(0.962, abs=1.5e-3)


@pytest.mark.parametrize(
    ("factor", "count", "efficiency"), [(2, 5, 0.969), (2 / 3, 5, 0.993), (2 / 3, 10, 0.999)]
)
def test_the_width_of_laguerre_gauss_channels_matters_little(factor, count, efficiency):
    channels = laguerre_gauss(SHAPE, width_pixels=factor * RADIUS, count=count)
    found = in_white_noise(channels, disc()) / np.linalg.norm(disc())
    assert found == pytest.approx(efficiency, abs=1.1e-3)


@pytest.mark.parametrize(
    ("name", "count"), list(zip(get_args(ChannelName), (5, 10, 16, 40, 10, 3), strict=True))
)
def test_a_named_set_has_its_number_of_channels(name, count):
    channels = named_channels(name, SHAPE, radius_pixels=RADIUS)
    assert channels.count == count
    assert channels.name.startswith(f"{count} ")


def test_gabor_channels_pass_their_band_along_their_direction():
    channels = gabor((64, 64), bands=[(1 / 16, 1 / 8)], directions=2, phases=[0.0])
    power = np.abs(np.fft.fft2(channels.profiles, s=(256, 256))) ** 2
    frequency = np.fft.fftfreq(256)
    for axis, one in ((1, power[0]), (0, power[1])):
        peak = np.unravel_index(np.argmax(one), one.shape)
        assert abs(frequency[peak[axis]]) == pytest.approx(3 / 32, abs=2 / 256)
        assert frequency[peak[1 - axis]] == pytest.approx(0, abs=2 / 256)


def test_differences_of_gaussians_are_the_formula_in_frequency():
    channels = differences_of_gaussians((129, 129), first=0.015, factor=2, ratio=2, count=3)
    found = np.fft.fft2(np.fft.ifftshift(channels.profiles[1])).real
    f = np.fft.fftfreq(129)
    square = f[:, None] ** 2 + f**2
    formula = np.exp(-square / (2 * 0.12**2)) - np.exp(-square / (2 * 0.06**2))
    formula *= found.max() / formula.max()
    np.testing.assert_allclose(found, formula, atol=1e-3 * formula.max())


def test_taking_the_mean_from_every_image_is_what_it_says():
    rng = np.random.default_rng(1)
    images = rng.normal(40.0, 10.0, (5, *SHAPE))
    plain = laguerre_gauss(SHAPE, width_pixels=7.0)
    without = laguerre_gauss(SHAPE, width_pixels=7.0, mean_removed=True)
    expected = plain.responses(images - images.mean(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(without.responses(images), expected, atol=1e-9)


def test_images_of_another_size_and_impossible_channels_are_refused():
    channels = laguerre_gauss(SHAPE, width_pixels=7.0)
    with pytest.raises(InputError, match="do not fit"):
        channels.responses(np.zeros((3, 40, 41)))
    with pytest.raises(InputError, match="not finite"):
        channels.responses(np.full((3, *SHAPE), np.nan))
    with pytest.raises(UsageError, match="do not exist"):
        laguerre_gauss(SHAPE, width_pixels=0.0)
    with pytest.raises(UsageError, match="not empty"):
        gabor(SHAPE, bands=[(0.2, 0.1)], directions=4, phases=[0.0])
    with pytest.raises(UsageError, match="alpha > 1"):
        differences_of_gaussians(SHAPE, first=0.01, factor=1, ratio=2, count=3)
