"""Noise of an ellipse: streaks along its long axis, stronger at low doses."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.kernels import HannKernelSettings
from tests.physics.fan_scan import MU_WATER, centre, ellipse, noise_of, spectrum

HALF_AXES = (90.0, 50.0)
PHOTONS = 1e5
ELECTRONIC = 10.0
SIZE = 32
WEDGE_DEGREES = 12.0


def log_variance(dose: float, normal_angles: np.ndarray) -> float:
    """Mean variance added to rays with these normals through a Hann-weighted central square."""
    window = np.hanning(SIZE + 2)[1:-1] ** 2
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * 2.0
    a, b = HALF_AXES
    total = 0.0
    for angle in normal_angles:
        distance = axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle)
        r2 = (a * np.cos(angle)) ** 2 + (b * np.sin(angle)) ** 2
        chord = 2 * a * b * np.sqrt(np.maximum(r2 - distance**2, 0)) / r2
        counts = dose * PHOTONS * np.exp(-MU_WATER * chord)
        added = (1 - dose) / counts + (1 - dose**2) * (ELECTRONIC / counts) ** 2
        total += np.average(added, weights=np.outer(window, window))
    return total / len(normal_angles)


def expected_ratio(dose: float) -> float:
    wedge = np.radians(np.linspace(-WEDGE_DEGREES, WEDGE_DEGREES, 9))
    return log_variance(dose, np.pi / 2 + wedge) / log_variance(dose, wedge)


def measured_ratio(dose: float) -> float:
    """Noise power of frequencies along y over that along x."""
    noise = noise_of(
        ellipse(HALF_AXES, slices=96),
        dose=dose,
        photons=PHOTONS,
        electronic_noise_quanta=ELECTRONIC,
        kernel=HannKernelSettings(),
    )
    power = spectrum(centre(noise, SIZE))
    f = np.fft.fftfreq(SIZE, 2.0)
    radius = np.hypot(f[None], f[:, None])
    angle = np.degrees(np.arctan2(f[:, None], f[None])) % 180
    ring = (radius > 0.06) & (radius < 0.2)
    along_y = power[ring & (np.abs(angle - 90) < WEDGE_DEGREES)].mean()
    along_x = power[ring & (np.abs(angle - 90) > 90 - WEDGE_DEGREES)].mean()
    return float(along_y / along_x)


@pytest.mark.parametrize("dose", [0.5, 0.05])
def test_the_streaks_of_an_ellipse_are_as_strong_as_its_chords_say(dose):
    # The window smears directions by a pixel of the spectrum, a sixth of a radian at the inner rim
    # of the ring, within which the variance changes by up to 10 %.
    assert measured_ratio(dose) == pytest.approx(expected_ratio(dose), rel=0.1)


def test_electronic_noise_makes_the_streaks_grow_as_the_dose_falls():
    growth = measured_ratio(0.05) / measured_ratio(0.5)
    assert expected_ratio(0.05) / expected_ratio(0.5) > 1.3
    assert growth > 1.2
