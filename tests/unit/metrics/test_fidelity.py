"""PSNR, SSIM and errors against scikit-image, closed forms and the RED-CNN formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ctdenoise.config.evaluation import WindowSettings, window_settings
from ctdenoise.errors import InputError
from ctdenoise.metrics.fidelity import DifferenceSums, psnr, ssim, windowed

NAMES = ["full", "redcnn", "ldctbench-chest", "ldctbench-abdomen", "ldctbench-neuro"]


def slices(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:72, :80] / 10
    reference = (60 * np.sin(y) * np.cos(x) + 20).astype(np.float32)
    reference[:20] = -900
    return reference, reference + rng.normal(0, 25, reference.shape).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_psnr_is_that_of_scikit_image_on_the_clipped_images(name):
    window = window_settings(name)
    one, other = (windowed(image, window, None) for image in slices())
    expected = peak_signal_noise_ratio(one, other, data_range=window.width_hu)
    assert psnr(one, other, data_range=window.width_hu) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "redcnn"])
def test_ssim_is_that_of_scikit_image_with_the_window_mapped_to_one(name):
    window = window_settings(name)
    one, other = (windowed(image, window, None) for image in slices())
    scaled = [(image - window.low_hu) / window.width_hu for image in (one, other)]
    expected = structural_similarity(*scaled, data_range=1.0)
    assert ssim(one, other, window=window) == pytest.approx(expected, abs=1e-9)


def redcnn_ssim(one: torch.Tensor, other: torch.Tensor, data_range: float) -> float:
    """SSIM as published with RED-CNN code: 2-D Gaussian kernel, conv2d padded with zeros."""
    x = torch.arange(11, dtype=torch.float64) - 5
    taps = torch.exp(-(x**2) / (2 * 1.5**2))
    kernel = torch.outer(taps / taps.sum(), taps / taps.sum())[None, None]

    def mean(image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(image[None, None], kernel, padding=5)

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mu1, mu2 = mean(one), mean(other)
    var1, var2 = mean(one * one) - mu1**2, mean(other * other) - mu2**2
    cov = mean(one * other) - mu1 * mu2
    top = (2 * mu1 * mu2 + c1) * (2 * cov + c2)
    return float((top / ((mu1**2 + mu2**2 + c1) * (var1 + var2 + c2))).mean())


def test_redcnn_ssim_pads_with_zeros_and_uses_raw_hu():
    window = window_settings("redcnn")
    one, other = (windowed(image, window, None) for image in slices())
    expected = redcnn_ssim(torch.from_numpy(one), torch.from_numpy(other), 400.0)
    assert ssim(one, other, window=window) == pytest.approx(expected, abs=1e-9)
    plain = WindowSettings(low_hu=-160, high_hu=240)
    assert abs(ssim(one, other, window=plain) - expected) > 0.005, "conventions do matter"


def test_pixels_that_do_not_count_change_neither_psnr_nor_ssim():
    window = window_settings("full")
    reference, test = slices()
    padding = np.zeros(reference.shape, dtype=bool)
    padding[:, :30] = True
    values = []
    for rubbish in (-3024.0, 2000.0):
        spoiled = np.where(padding, np.float32(rubbish), test)
        one, other = (windowed(image, window, padding) for image in (reference, spoiled))
        assert (other[padding] == window.low_hu).all()
        ratio = psnr(one, other, data_range=window.width_hu, where=~padding)
        values.append((ratio, ssim(one, other, window=window, where=~padding)))
    assert values[0] == values[1]
    kept = windowed(reference, window, None)[:, 30:], windowed(test, window, None)[:, 30:]
    assert values[0][0] == pytest.approx(psnr(*kept, data_range=window.width_hu), abs=1e-9)


def test_identical_images_have_infinite_psnr_and_ssim_one():
    image = slices()[0].astype(np.float64)
    assert math.isinf(psnr(image, image, data_range=400))
    for name in ("full", "redcnn"):
        window = window_settings(name)
        clipped = windowed(slices()[0], window, None)
        assert ssim(clipped, clipped, window=window) == pytest.approx(1.0, abs=1e-12)


def test_psnr_has_no_default_range_and_refuses_an_impossible_one():
    image = np.zeros((8, 8))
    with pytest.raises(TypeError):
        psnr(image, image)
    with pytest.raises(InputError, match="not positive"):
        psnr(image, image, data_range=0)


def test_ssim_refuses_images_smaller_than_its_filter():
    with pytest.raises(InputError, match="at least 7"):
        ssim(np.zeros((5, 9)), np.zeros((5, 9)), window=window_settings("full"))


def test_sums_of_parts_are_the_sums_of_the_whole():
    values = np.random.default_rng(1).normal(3, 10, 1000)
    parts = DifferenceSums.of(values[:300]) + DifferenceSums.of(values[300:])
    assert parts.rmse == pytest.approx(np.sqrt(np.mean(values**2)), rel=1e-12)
    assert parts.mae == pytest.approx(np.mean(np.abs(values)), rel=1e-12)
    assert parts.bias == pytest.approx(np.mean(values), rel=1e-12)
    assert DifferenceSums().rmse is None
