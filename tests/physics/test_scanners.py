"""Noise of whole scanners: where a pixel lies, and a published setting."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import (
    GaussianKernelSettings,
    HannKernelSettings,
)
from ctdenoise.config.load import load_settings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.simulation.noise import added_noise, native_noise
from ctdenoise.simulation.scanner import Fan, fan_of
from tests.physics.fan_scan import variance_and_error
from tests.physics.rays import (
    Patch,
    disc_chord,
    disc_lengths,
    isocentre_variance,
    rays_through,
)

# ---- Where a pixel lies

WIDE = Fan(595.0, 1.2858 / 1085.6, 400, 1152)
SOFT = GaussianKernelSettings(f50_per_mm=0.335)
MU = 0.02


def expected_variance(patch: Patch, radius_mm: float, photons: float) -> float:
    """Variance of a patch, HU^2: that of each ray with its weight, back-projected.

    Filtering D cos(gamma) delta p and weighting with 1 / L^2 leaves, next to the isocentre's
    variance, the factor (D^2 cos(gamma) / L^2)^2 for each ray.
    """
    axis = (np.arange(patch.pixels) - (patch.pixels - 1) / 2) * patch.spacing_mm
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    gamma, distance = rays_through(patch.fan, x + patch.centre_mm[0], y + patch.centre_mm[1])
    weight = (patch.fan.distance_mm**2 * np.cos(gamma) / distance**2) ** 2
    chord = disc_chord(patch.fan, gamma, radius_mm)
    mean = (weight * np.exp(patch.mu_per_mm * chord)).mean() / photons
    return float(mean) * isocentre_variance(patch.fan, patch.kernel, patch.mu_per_mm)


@pytest.mark.parametrize("object_radius_mm", [0.0, 120.0], ids=["air", "water"])
@pytest.mark.parametrize("place", [(0.0, 0.0), (60.0, 0.0), (0.0, -90.0), (78.0, 78.0)])
def test_noise_follows_the_distance_from_the_isocentre(place, object_radius_mm):
    """The weights of a fan beam raise the noise outwards; less water lowers it."""
    photons = 1e7
    patch = Patch(WIDE, SOFT, centre_mm=place, pixels=20, mu_per_mm=MU)
    statistics = native_noise(1.0, electronic_noise=0.0, floor=1.0)
    noise = patch.noise(disc_lengths(object_radius_mm), statistics, photons=photons, slices=96)
    variance, error = variance_and_error(noise)
    expected = expected_variance(patch, object_radius_mm, photons)
    assert error < 0.02 * expected
    # 1 % for rays beside the one through the pixel, which the filter mixes in.
    assert variance == pytest.approx(expected, abs=4 * error + 0.01 * expected)


def test_the_weights_of_the_fan_beam_matter():
    inner, outer = (
        expected_variance(Patch(WIDE, SOFT, centre_mm=(r, 0.0), pixels=4), 0.0, 1e7)
        for r in (0.0, 110.0)
    )
    assert outer / inner > 1.12  # so that the test above sees them


# ---- The low-contrast phantom of the FDA (DIDSR/LCD_CT, CT_setup.m and makeCT_CCT189.m, 2023)

ROOT = Path(__file__).parents[2]
LCD_VIEWS, LCD_STATED_VIEWS = 584, 580
LCD = Fan(595.0, 1.0 / 1085.6, 880, LCD_VIEWS)
LCD_KERNEL = HannKernelSettings(width=2.05)
LCD_MU = 0.02059
LCD_PHOTONS = 3e5 * LCD_STATED_VIEWS / LCD_VIEWS
LCD_RADIUS = 100.0
LCD_PIXEL = 0.664
PUBLISHED_HU = {1.0: 23.7, 0.55: 32.2, 0.1: 74.9}
"""Standard deviations in the ten sample images of each dose that come with the program."""


@cache
def lcd_deviation(dose: float) -> tuple[float, float]:
    """Standard deviation at the centre, HU, and its relative standard error."""
    patch = Patch(LCD, LCD_KERNEL, pixels=32, spacing_mm=LCD_PIXEL, mu_per_mm=LCD_MU)
    statistics = native_noise(dose, electronic_noise=0.0, floor=1.0)
    noise = patch.noise(disc_lengths(LCD_RADIUS), statistics, photons=LCD_PHOTONS, slices=16)
    variance, error = variance_and_error(noise)
    return float(np.sqrt(variance)), error / variance / 2


@pytest.mark.parametrize("dose", PUBLISHED_HU)
def test_the_lcd_setting_has_the_noise_of_theory(dose):
    deviation, error = lcd_deviation(dose)
    log_variance = np.exp(LCD_MU * 2 * LCD_RADIUS) / (dose * LCD_PHOTONS)
    expected = np.sqrt(log_variance * isocentre_variance(LCD, LCD_KERNEL, LCD_MU))
    assert error < 0.01
    assert deviation == pytest.approx(expected, rel=4 * error + 0.01)


@pytest.mark.parametrize("dose", PUBLISHED_HU)
def test_the_lcd_setting_has_the_published_noise(dose):
    """23.7 HU at full dose, 32.2 at 55 %, 74.9 at 10 %: within 5 %."""
    deviation, error = lcd_deviation(dose)
    assert error < 0.01
    assert deviation == pytest.approx(PUBLISHED_HU[dose], rel=0.05)


@pytest.mark.parametrize("dose", [0.55, 0.1])
def test_noise_of_the_lcd_setting_follows_the_inverse_root_of_the_dose(dose):
    """Within 3 %."""
    (low, _), (full, _) = lcd_deviation(dose), lcd_deviation(1.0)
    assert low * np.sqrt(dose) / full == pytest.approx(1, abs=0.03)


def test_the_settings_file_is_that_setting():
    chosen = load_settings(SimulateSettings, ROOT / "configs/simulate/fda_lcd.yaml")
    fan = fan_of(chosen.scanner, Acquisition())
    assert fan.views == LCD.views
    assert fan.channel_angle == pytest.approx(LCD.channel_angle)
    assert chosen.kernel == LCD_KERNEL
    assert chosen.photons == pytest.approx(LCD_PHOTONS, rel=1e-4)


def test_noise_added_to_the_full_lcd_dose_makes_up_a_tenth_of_it():
    dose = 0.1
    patch = Patch(LCD, LCD_KERNEL, pixels=32, spacing_mm=LCD_PIXEL, mu_per_mm=LCD_MU)
    statistics = added_noise(dose, electronic_noise=0.0, floor=1.0, dual_below=100.0)
    noise = patch.noise(disc_lengths(LCD_RADIUS), statistics, photons=LCD_PHOTONS, slices=16)
    variance, error = variance_and_error(noise)
    low, low_error = lcd_deviation(dose)
    full, _ = lcd_deviation(1.0)
    both = np.sqrt(variance + full**2)
    assert both == pytest.approx(low, rel=4 * np.hypot(error / variance / 2, low_error))
