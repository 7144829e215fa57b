"""Noise behind a bowtie and with a modulated tube current, against theory."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.kernels import GaussianKernelSettings, HannKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.flux import bowtie_loss
from ctdenoise.simulation.insertion import NoiseInsertion
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import added_noise, draw_log_noise, slice_keys
from ctdenoise.simulation.overlap import lane_layers
from ctdenoise.simulation.vectors import aligned_zeros
from tests.physics.fan_scan import (
    MU_WATER,
    SMALL_SCANNER,
    centre,
    centre_variance,
    ellipse,
    noise_of,
    settings,
    small_fan,
    spectrum,
    variance_and_error,
)

RADIUS, PHOTONS, DOSE = 60.0, 1e5, 0.25
SOFT = GaussianKernelSettings(f50_per_mm=0.2)


def with_bowtie(shape: str) -> object:
    return SMALL_SCANNER.replaced(bowtie=shape)


@pytest.mark.parametrize("shape", ["head", "body"])
def test_variance_at_the_centre_of_a_disc_behind_a_bowtie(shape):
    volume = ellipse((RADIUS, RADIUS), slices=64)
    noise = centre(noise_of(volume, dose=DOSE, scanner=with_bowtie(shape)), 8)
    # Rays through the centre meet the middle of the filter, where its transmission is 1.
    log_variance = (1 - DOSE) / (DOSE * PHOTONS * np.exp(-MU_WATER * 2 * RADIUS))
    expected = centre_variance(SOFT, log_variance)
    variance, error = variance_and_error(noise)
    assert error < 0.05 * expected
    assert variance == pytest.approx(expected, abs=4 * error + 0.02 * expected)


@pytest.mark.parametrize("shape", ["head", "body"])
def test_noise_of_rays_through_air_grows_as_one_over_the_root_of_the_transmission(shape):
    geometry = Geometry.axial((32, 96, 96), pixel_spacing_mm=2.0, slice_spacing_mm=2.0)
    chosen = settings(scanner=with_bowtie(shape), photons=1e6)
    insertion = NoiseInsertion(ScanModel.of(geometry, Acquisition(), chosen))
    air = insertion.project(np.full((32, 96, 96), -1000, np.float32))
    fan = small_fan()
    sinogram = aligned_zeros(fan.views, fan.channels, 32)
    draw_log_noise(
        air,
        insertion._sampling,
        np.full(32, 1e6, np.float32),
        added_noise(DOSE, electronic_noise=0.0, floor=1.0, dual_below=0.0),
        lane_layers(slice_keys([bytes([i]) for i in range(32)]), 32),
        np.ones(fan.channels, np.float32),
        sinogram,
    )
    deviation = sinogram.std(axis=(0, 2))
    loss = bowtie_loss(shape, fan.distance_mm * np.sin(fan.fan_angles), MU_WATER)
    expected = np.sqrt((1 - DOSE) / (DOSE * 1e6) * np.exp(loss))
    assert loss[0] > 0.5  # the edge of this fan lies on the slope of the filter
    # The SD of 5,120 values of a channel has an error of 1 %; the coarse rays add 0.5 %.
    np.testing.assert_allclose(deviation, expected, rtol=0.05)
    assert np.mean(deviation / expected) == pytest.approx(1, abs=0.005)


def anisotropy(modulation: float) -> float:
    """Power of the noise along y over that along x in an ellipse that is wide along x."""
    scanner = SMALL_SCANNER.replaced(angular_modulation=modulation)
    volume = ellipse((85.0, 50.0), slices=32)
    kernel = HannKernelSettings()
    size = 32
    noise = noise_of(volume, dose=DOSE, photons=3e5, kernel=kernel, scanner=scanner)
    power = spectrum(centre(noise, size))
    f = np.fft.fftfreq(size, 2.0)
    radius, angle = np.hypot(f[None], f[:, None]), np.degrees(np.arctan2(f[:, None], f[None])) % 180
    ring = (radius > 0.06) & (radius < 0.2)
    along_y = power[ring & (np.abs(angle - 90) < 12)].mean()
    return float(along_y / power[ring & ((angle < 12) | (angle > 168))].mean())


def test_a_modulated_current_makes_the_noise_of_an_ellipse_more_isotropic():
    constant, rooted, full = (anisotropy(power) for power in (0.0, 0.5, 1.0))
    # Powers of exp(2 mu (a - b)) = 4.06: 1, 1/2 and 0 of it are left. Off the axes the chords
    # differ by less, which the wedges and the window average, so the ratio goes as its own root.
    assert constant > 3
    assert rooted == pytest.approx(np.sqrt(constant), rel=0.1)
    assert full == pytest.approx(1, abs=0.15)
