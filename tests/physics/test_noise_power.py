"""The texture of the noise: its power spectrum against theory."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ctdenoise.config.kernels import (
    FixedKernelSettings,
    GaussianKernelSettings,
    HannKernelSettings,
    RampKernelSettings,
    TableKernelSettings,
)
from ctdenoise.simulation.noise import native_noise
from ctdenoise.simulation.scanner import Fan
from tests.physics.fan_scan import kernel_shape
from tests.physics.rays import Array, Patch, disc_chord, disc_lengths, rays_through

FAN = Fan(595.0, 1.2858 / 1085.6, 320, 1152)
"""Channels and views as dense as a real scanner's; it sees 108 mm around the isocentre."""

RADIUS = 80.0
PHOTONS = 1e6
PIXELS, SPACING = 48, 0.78
"""Regions of 37 mm: in larger ones the views no longer sample every direction of the spectrum."""

SLICES = 48

KERNELS: dict[str, FixedKernelSettings] = {
    "ramp": RampKernelSettings(),
    "hann": HannKernelSettings(),
    "soft": GaussianKernelSettings(f50_per_mm=0.335),
    "sharp": GaussianKernelSettings(f50_per_mm=0.6),
    "table": TableKernelSettings(
        frequency_per_mm=(0.0, 0.15, 0.3, 0.45, 0.6), value=(1.0, 1.15, 0.9, 0.3, 0.0)
    ),
}


@cache
def power(name: str) -> tuple[Array, float, float]:
    """Noise power, HU^2 mm^2, [fy, fx], of the middle of a disc; variance, HU^2, and its
    standard error.
    """
    patch = Patch(FAN, KERNELS[name], pixels=PIXELS, spacing_mm=SPACING)
    statistics = native_noise(1.0, electronic_noise=0.0, floor=1.0)
    noise = patch.noise(disc_lengths(RADIUS), statistics, photons=PHOTONS, slices=SLICES)
    transform = np.abs(np.fft.fft2(noise, axes=(1, 2))) ** 2
    variances = (noise**2).mean(axis=(1, 2))
    error = variances.std(ddof=1) / np.sqrt(SLICES)
    return transform.mean(axis=0) * (SPACING / PIXELS) ** 2, variances.mean(), error


def log_variance() -> float:
    """Of the rays through the region, each with its part in the variance of a pixel.

    A pixel at the distance L from the source takes a ray with the weight (D^2 cos(gamma) / L^2)^2
    into its variance.
    """
    axis = np.linspace(-0.5, 0.5, 9) * PIXELS * SPACING
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    gamma, distance = rays_through(FAN, x, y)
    variance = np.exp(0.02 * disc_chord(FAN, gamma, RADIUS)) / PHOTONS
    weight = (FAN.distance_mm**2 * np.cos(gamma) / distance**2) ** 2
    return float((weight * variance).mean())


def theory(kernel: FixedKernelSettings) -> Array:
    """(pi / V) dt sigma_p^2 k A^2 sinc^4(k dt), with what folds in, HU^2 mm^2, [fy, fx].

    The data repeat their spectrum at the sampling rate of the channels, the pixels at theirs.
    """
    dt = FAN.channel_width_mm
    nyquist = 0.5 / dt
    axis = np.fft.fftfreq(PIXELS, SPACING)
    total = np.zeros((PIXELS, PIXELS))
    for row in range(-3, 4):
        for column in range(-3, 4):
            k = np.hypot(axis[None] + column / SPACING, axis[:, None] + row / SPACING)
            folded = np.abs((k + nyquist) % (2 * nyquist) - nyquist)
            shape = kernel_shape(kernel, folded, nyquist)
            total += (folded * shape) ** 2 * np.sinc(k * dt) ** 4 / np.maximum(k, 1e-9)
    return np.asarray(np.pi / FAN.views * dt * log_variance() * (1000 / 0.02) ** 2 * total)


def radial(spectrum: Array) -> Array:
    """Means over rings, from the second to the Nyquist frequency of the pixels."""
    axis = np.fft.fftfreq(PIXELS) * PIXELS
    ring = np.hypot(axis[None], axis[:, None]).round().astype(int)
    return np.array([spectrum[ring == index].mean() for index in range(2, PIXELS // 2)])


@pytest.mark.parametrize("name", KERNELS)
def test_the_noise_power_spectrum_is_that_of_theory(name):
    measured, expected = radial(power(name)[0]), radial(theory(KERNELS[name]))
    error = np.sqrt(((measured - expected) ** 2).mean())
    # A ring of 2 pi r coefficients, half of them independent, in 48 slices: 4 % at the second
    # ring, 1 % at the last.
    assert error / expected.max() < 0.03


@pytest.mark.parametrize("name", KERNELS)
def test_the_spectrum_has_the_shape_of_k_times_the_square_of_the_kernel(name):
    """Up to half the Nyquist frequency, where nothing has folded in."""
    k = np.arange(2, PIXELS // 2) / (PIXELS * SPACING)
    low = k < 0.35
    dt = FAN.channel_width_mm
    shape = k * kernel_shape(KERNELS[name], k, 0.5 / dt) ** 2 * np.sinc(k * dt) ** 4
    measured, shape = radial(power(name)[0])[low], shape[low]
    assert np.corrcoef(measured, shape)[0, 1] > 0.99
    assert measured / measured.sum() == pytest.approx(shape / shape.sum(), abs=0.01)


@pytest.mark.parametrize("name", KERNELS)
def test_the_spectrum_integrates_to_the_variance(name):
    """Parseval, and the closed form of the variance is the integral of the closed form above."""
    spectrum, variance, error = power(name)
    frequency_step = 1 / (PIXELS * SPACING)
    assert spectrum.sum() * frequency_step**2 == pytest.approx(variance, rel=1e-9)
    assert error < 0.01 * variance
    # 1 % for the spectrum of a region that is taken as uniform.
    expected = theory(KERNELS[name]).sum() * frequency_step**2
    assert variance == pytest.approx(expected, abs=4 * error + 0.01 * expected)


def test_kernels_are_ordered_by_their_noise():
    variances = [power(name)[1] for name in ("soft", "sharp", "ramp")]
    assert variances == sorted(variances)
