"""What is expected of the noise around a place, of slices that overlap and of air."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.checks import LOWEST_STORED_HU, clipped_at_hu
from ctdenoise.simulation.dose_noise import noise_statistics
from ctdenoise.simulation.overlap import thickness_of
from ctdenoise.simulation.patch_spectra import Patches, smoothed


def test_smoothing_keeps_the_noise_at_the_rim_of_a_body():
    y, x = np.mgrid[-1:1:21j, -1:1:21j]
    inside = np.hypot(x, y) < 0.9
    chosen = np.repeat(inside[None], 3, axis=0)
    true = np.tile(np.exp(-2 * (x**2 + y**2))[inside], 3)
    patches = Patches(16, chosen, np.tile(np.hypot(x, y)[inside], 3))
    assert smoothed(true.astype(np.float32), patches) == pytest.approx(true, rel=1e-4)


def test_thickness_is_that_of_slices_that_share_the_measured_noise():
    assert thickness_of(np.arange(5) * 2.0, 1 / 3) == pytest.approx(3.0)
    assert thickness_of(np.arange(5) * 2.0, 0.01) is None
    assert thickness_of(np.arange(5) * 2.0, None) is None


def test_cut_off_air_is_told_from_air_that_is_not():
    geometry = Geometry.axial((2, 32, 32), pixel_spacing_mm=1.0, slice_spacing_mm=1.0)
    noise = np.random.default_rng(0).normal(-1000, 30, (2, 32, 32)).astype(np.float32)
    assert clipped_at_hu(CTVolume(noise, geometry)) is None
    cut = np.maximum(noise, np.float32(LOWEST_STORED_HU))
    assert clipped_at_hu(CTVolume(cut, geometry)) == LOWEST_STORED_HU


def test_electronic_noise_of_all_readings_of_a_slice_adds_up():
    settings = SimulateSettings(electronic_noise_quanta=5.0)
    one, five = (noise_statistics(0.25, settings, rows=rows) for rows in (1.0, 5.0))
    assert five.constant == pytest.approx(5 * one.constant)
    assert five.floor == pytest.approx(5 * one.floor)
