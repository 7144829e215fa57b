"""Slices of a phantom as sharp as a kernel makes them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from ctdenoise.config.kernels import GaussianKernelSettings, TableKernelSettings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, WaterSettings
from ctdenoise.config.sinogram import SinogramSettings
from ctdenoise.errors import UsageError
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.phantoms.sharpness import as_sharp_as
from ctdenoise.tasks.phantom_sinogram import project

SPACING_MM = (0.7, 0.5)
FREQUENCY = np.linspace(0, 4, 400)


def edge(size=200, hu=100.0):
    """Air on the left, and a straight edge between two tissues at column 100, far from it."""
    slices = np.full((1, size, size), hu, np.float32)
    slices[..., size // 2 :] = -hu
    return slices


def as_table(kernel):
    factor = np.exp2(-((FREQUENCY / kernel.f50_per_mm) ** 2))
    return TableKernelSettings(frequency_per_mm=tuple(FREQUENCY), value=tuple(factor))


@pytest.mark.parametrize("f50", [0.3, 0.6])
def test_an_edge_becomes_the_error_function_of_a_gaussian_kernel(f50):
    # 2^-(f/f50)^2 is exp(-2 pi^2 s^2 f^2) with s = sqrt(ln 2 / 2) / (pi f50).
    sigma = np.sqrt(np.log(2) / 2) / (np.pi * f50)
    got = as_sharp_as(edge(), SPACING_MM, GaussianKernelSettings(f50_per_mm=f50))
    x_mm = (np.arange(200) - 99.5) * SPACING_MM[1]
    expected = -100 * special.erf(x_mm / (np.sqrt(2) * sigma))
    # The step of a voxel grid is not the line between two voxels: up to its own half pixel.
    inner = slice(60, 140)
    np.testing.assert_allclose(got[0, 100, inner], expected[inner], atol=4.5)


def test_a_table_of_a_gaussian_is_the_gaussian():
    kernel = GaussianKernelSettings(f50_per_mm=0.4)
    one = as_sharp_as(edge(), SPACING_MM, kernel)
    other = as_sharp_as(edge(), SPACING_MM, as_table(kernel))
    np.testing.assert_allclose(one, other, atol=0.2)


def test_an_enhancing_kernel_overshoots_an_edge():
    value = np.exp2(-((FREQUENCY / 0.5) ** 4)) * (1 + FREQUENCY)
    kernel = TableKernelSettings(frequency_per_mm=tuple(FREQUENCY), value=tuple(value))
    got = as_sharp_as(edge(), SPACING_MM, kernel)[0, 100, 60:140]
    assert got.max() > 105
    assert got.min() < -105


def test_means_stay_and_air_stays_air():
    rng = np.random.default_rng(1)
    hu = np.full((2, 128, 160), -1000, np.float32)
    hu[:, 40:90, 50:110] = rng.normal(50, 100, (2, 50, 60))
    got = as_sharp_as(hu, SPACING_MM, GaussianKernelSettings(f50_per_mm=0.4))
    np.testing.assert_allclose(got.mean((1, 2)), hu.mean((1, 2)), atol=1e-3)
    np.testing.assert_allclose(got[:, :15], -1000, atol=0.1)  # ripples of the Nyquist frequency


def test_one_side_does_not_reach_over_to_the_other():
    hu = np.full((1, 64, 64), -1000, np.float32)
    hu[:, :, :3] = 1000
    got = as_sharp_as(hu, SPACING_MM, GaussianKernelSettings(f50_per_mm=0.3))
    np.testing.assert_allclose(got[:, :, 32:], -1000, atol=1e-2)


def test_a_phantom_without_it_is_what_it_was_and_says_nothing_of_it():
    plain = PhantomSettings(phantom=WaterSettings(), grid=GridSettings(size=32, slices=1))
    blurred = plain.replaced(sharpness=GaussianKernelSettings(f50_per_mm=0.1))
    assert "sharpness" not in plain.deciding()
    assert blurred.deciding()["sharpness"] == {"name": "gaussian", "f50_per_mm": 0.1}
    one, other = build_phantom(plain), build_phantom(blurred)
    assert np.ptp(one.volume.hu) == np.float32(1000)
    assert np.abs(one.volume.hu - other.volume.hu).max() > 50
    np.testing.assert_array_equal(one.labels, other.labels)


def test_a_sinogram_of_a_filtered_phantom_is_refused():
    settings = PhantomSettings(
        phantom=WaterSettings(),
        grid=GridSettings(size=32, slices=1),
        sharpness=GaussianKernelSettings(f50_per_mm=0.4),
    )
    with pytest.raises(UsageError, match="texture or blur") as raised:
        project(build_phantom(settings), SinogramSettings())
    assert raised.value.fix == "Take them off: --set sharpness=null"
