"""Reconstruction kernels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from ctdenoise.config.kernels import (
    AutoKernelSettings,
    GaussianKernelSettings,
    HannKernelSettings,
    RampKernelSettings,
)
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.simulation.filters import (
    SOFT_F50_PER_MM,
    apodisation,
    fan_filter,
    header_f50_per_mm,
    parallel_filter,
    resolve_kernel,
)
from ctdenoise.simulation.scanner import fan_of


@pytest.mark.parametrize(
    ("maker", "kernel", "low", "high"),
    [
        ("SIEMENS", "B30f", 0.33, 0.34),
        ("SIEMENS", "B40f", 0.36, 0.42),
        ("SIEMENS", "Br36f/3", 0.33, 0.40),
        ("SIEMENS", "I30f\\3", 0.33, 0.34),
        ("SIEMENS", "B70f", 0.7, 0.9),
        ("GE MEDICAL SYSTEMS", "STANDARD", 0.35, 0.42),
        ("GE MEDICAL SYSTEMS", "BONE", 0.6, 0.9),
        ("Philips", "UB", 0.3, 0.4),
        ("Philips", "YA", 0.6, 0.8),
        ("TOSHIBA", "FC08", 0.3, 0.4),
        ("Canon", "FC52", 0.5, 0.8),
    ],
)
def test_header_kernels_are_placed_by_sharpness(maker, kernel, low, high):
    f50 = header_f50_per_mm(Acquisition(manufacturer=maker, convolution_kernel=kernel))
    assert f50 is not None
    assert low <= f50 <= high


@pytest.mark.parametrize("kernel", [None, "", "MYSTERY", "EB"])
def test_unknown_kernels_are_soft(kernel):
    acquisition = Acquisition(manufacturer="GE", convolution_kernel=kernel)
    chosen = resolve_kernel(AutoKernelSettings(), acquisition)
    assert chosen == GaussianKernelSettings(f50_per_mm=SOFT_F50_PER_MM)


def test_a_named_choice_wins_over_the_header():
    acquisition = Acquisition(manufacturer="GE", convolution_kernel="BONE")
    assert resolve_kernel(RampKernelSettings(), acquisition) == RampKernelSettings()


@pytest.mark.parametrize(
    ("kernel", "frequency", "value"),
    [
        (RampKernelSettings(), 0.7, 1.0),
        (HannKernelSettings(), 0.35, 0.5),
        (HannKernelSettings(), 0.7, 0.0),
        (HannKernelSettings(width=2.0), 0.7, 0.5),
        (GaussianKernelSettings(f50_per_mm=0.335), 0.335, 0.5),
    ],
)
def test_apodisation_values(kernel, frequency, value):
    got = apodisation(kernel, np.array([0.0, frequency]), nyquist_per_mm=0.7)
    assert got == pytest.approx([1.0, value])


def test_the_fan_filter_is_a_ramp():
    fan = fan_of(ScannerSettings(), Acquisition())
    length = 2048
    response = fan_filter(fan, RampKernelSettings(), length=length)
    frequency = np.fft.rfftfreq(length, fan.channel_angle)
    ramp = 0.5 * frequency * 2 * np.pi / fan.views
    middle = slice(length // 20, length // 2 - length // 20)
    assert response[middle] == pytest.approx(ramp[middle], rel=2e-3)
    assert abs(response[0]) < 2e-3 * ramp[-1]


@pytest.mark.parametrize("length", [720, 721, 729, 735, 1458])
def test_a_parallel_filter_is_a_ramp_whatever_its_length(length):
    # 1 / 729 * 729 is not a whole number in floating point: taps must not be told by remainders.
    spacing = 0.7
    response = parallel_filter(RampKernelSettings(), spacing_mm=spacing, views=100, length=length)
    frequency = np.fft.rfftfreq(length, spacing)
    ramp = np.pi / 100 * frequency
    assert response[0] < 0.01 * response.max()
    assert response[5:] == pytest.approx(ramp[5:], rel=0.02)


@pytest.mark.parametrize("channels", [360, 361, 365, 736])
def test_a_fan_filter_is_a_ramp_whatever_the_number_of_channels(channels):
    settings = ScannerSettings(distances="setting", channels=channels, channel_pitch_mm=1.2858)
    fan = fan_of(settings, Acquisition())
    length = int(fft.next_fast_len(2 * channels - 1, real=True))
    response = fan_filter(fan, RampKernelSettings(), length=length)
    assert response[0] < 0.02 * response.max()
    assert np.all(np.diff(response[2 : length // 2 - 2]) > 0)
