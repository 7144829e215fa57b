"""Detectability in scanned phantoms: against theory, and the setting of the FDA."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.judgement import JudgeSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.load import load_settings
from ctdenoise.config.native_scan import NativeScanSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.channels import named_channels
from ctdenoise.metrics.cho import cho_of_responses
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import elliptic_cylinder
from ctdenoise.tasks.lcd_phantom import lcd_shapes
from ctdenoise.tasks.native_scan import NativeScan
from tests.physics.fan_scan import MU_WATER, SMALL_SCANNER, kernel_shape

ROOT = Path(__file__).parents[2]
PUBLISHED_HU = {1.0: 23.7, 0.55: 32.2, 0.1: 74.9}
"""Of the sample images of DIDSR/LCD_CT, see `test_scanners`."""

KERNEL = GaussianKernelSettings(f50_per_mm=0.12)
SMALL = NativeScanSettings(
    scanner=SMALL_SCANNER,
    kernel=KERNEL,
    photons=1e5,
    electronic_noise_quanta=0,
    mu_water_per_mm=MU_WATER,
    size=32,
    field_of_view_mm=64,
)
SPACING_MM = 2.0
SLICES = 1024


def cylinder(name: str, hu: float, radius_mm: float) -> Shape:
    """A cylinder around the isocentre, in the middle of the pixels."""
    return Shape(name, hu, (elliptic_cylinder((0.0, 0.0), (radius_mm, radius_mm)),))


def theoretical_covariance(profiles: DoubleArray) -> DoubleArray:
    """Covariance of channels' responses to the noise at the isocentre, HU^2.

    W(f) = (pi / V) var(p) dt f A(f)^2 (2 + cos(2 pi f dt)) / 3 (1000 / mu)^2 for V views in a turn,
    folded at the frequencies that pixels cannot show.
    """
    fan = NativeScan((cylinder("water", 0.0, 90.0),), SMALL).model.fan
    dt, side = fan.channel_width_mm, 256
    frequency = np.fft.fftfreq(side, SPACING_MM)
    power = np.zeros((side, side))
    for across in range(-2, 3):
        for down in range(-2, 3):
            shifted = np.hypot(
                frequency[None] + across / SPACING_MM, frequency[:, None] + down / SPACING_MM
            )
            inside = np.where(shifted < 0.5 / dt, shifted, 0.0)
            shape = kernel_shape(KERNEL, inside, 0.5 / dt)
            power += inside * shape**2 * (2 + np.cos(2 * np.pi * inside * dt)) / 3
    of_log = np.exp(MU_WATER * 180.0) / SMALL.photons
    power *= np.pi / fan.views * of_log * dt * (1000 / MU_WATER) ** 2
    spectra = np.fft.fft2(profiles, s=(side, side))
    step = 1 / (side * SPACING_MM)
    products = np.einsum("iyx,jyx,yx->ij", spectra, spectra.conj(), power).real * step**2
    return np.asarray(products)


def test_the_detectability_of_a_rod_in_a_scan_is_what_theory_says():
    """Noise spectrum of filtered back-projection, signal as reconstructed, channels: one number."""
    water = (cylinder("water", 0.0, 90.0),)
    noise = NativeScan(water, SMALL, positions_mm=tuple(3.0 * np.arange(SLICES))).scan(1.0, seed=2)
    clean = NativeScan(water, SMALL).without_noise().hu[0]
    shown = NativeScan((*water, cylinder("rod", 12.0, 7.0)), SMALL).without_noise().hu[0]
    channels = named_channels("laguerre-gauss-5", (32, 32), radius_pixels=3.5)
    signal = channels.responses((shown - clean)[None].astype(np.float64))[0]
    absent = channels.responses(noise.hu.astype(np.float64))
    expected = float(
        np.sqrt(signal @ np.linalg.solve(theoretical_covariance(channels.profiles), signal))
    )
    found = cho_of_responses(absent[::2] + signal, absent[1::2], channels.name)
    assert 2 < expected < 12
    # The variance of d' from n images of each kind: 1 / k / 4 d'^2 / d'^2 + d'^2 / (2 nu), k = n/2.
    error = np.sqrt(2 / (SLICES / 2) + expected**2 / (2 * SLICES))
    assert error < 0.04 * expected
    assert found.dprime == pytest.approx(expected, abs=3 * error + 0.01 * expected)


@cache
def fda_scan() -> NativeScan:
    """Water with the setting of the FDA: 32 slices, the 48 pixels in the middle of 512."""
    lcd = load_settings(JudgeSettings, ROOT / "configs/evaluate/judge_lcd_fda.yaml").lcd
    part = lcd.scan.replaced(size=48, field_of_view_mm=48 * 340 / 512)
    return NativeScan(lcd_shapes(lcd)[:1], part, positions_mm=tuple(3.0 * np.arange(32)))


@cache
def fda_noise(dose: float) -> float:
    """Standard deviation within 10 mm of the isocentre, HU."""
    scan = fda_scan()
    noise = scan.scan(dose, seed=1).hu - scan.without_noise().hu
    axis = (np.arange(48) - 23.5) * 340 / 512
    inside = np.hypot(axis, axis[:, None]) < 10
    return float(np.sqrt(np.square(noise[:, inside], dtype=np.float64).mean()))


@pytest.mark.parametrize("dose", PUBLISHED_HU)
def test_a_scan_with_the_setting_of_the_fda_has_the_published_noise(dose):
    """23.7 HU at full dose, 32.2 at 55 %, 74.9 at 10 %: within 5 %."""
    assert fda_noise(dose) == pytest.approx(PUBLISHED_HU[dose], rel=0.05)


@pytest.mark.parametrize("dose", [0.55, 0.1])
def test_noise_of_the_setting_of_the_fda_follows_the_inverse_root_of_the_dose(dose):
    """Within 3 %."""
    assert fda_noise(dose) * np.sqrt(dose) / fda_noise(1.0) == pytest.approx(1, abs=0.03)
