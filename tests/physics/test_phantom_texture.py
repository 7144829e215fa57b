"""The texture of organs has the spectrum that it claims."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.phantoms.texture import power_law_field


def test_the_spectrum_falls_as_the_given_power_of_the_frequency():
    spacing = 1.0
    field = power_law_field((128, 128, 128), (spacing,) * 3, np.random.default_rng(0), exponent=3.0)
    power = np.abs(np.fft.fftn(field)) ** 2
    axis = np.fft.fftfreq(128, spacing)
    frequency = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    # The Gaussian that ends the spectrum, sigma = 1.2 mm / 2.355, is divided out.
    power /= np.exp(-2 * (2 * np.pi * 1.2 / 2.3548 * frequency) ** 2 / 2)
    bins = np.geomspace(0.1, 0.3, 9)
    index = np.digitize(frequency, bins)
    means = np.array([power[index == number].mean() for number in range(1, 9)])
    centres = np.array([frequency[index == number].mean() for number in range(1, 9)])
    slope = np.polyfit(np.log(centres), np.log(means), 1)[0]
    # The corner at 1/25 per mm flattens the fitted slope by about 0.1 in this band.
    assert slope == pytest.approx(-3.0, abs=0.25)


def test_the_texture_is_the_same_in_mm_on_another_grid():
    def correlation(spacing: float) -> float:
        size = round(128 / spacing)
        field = power_law_field((1, size, size), (3.0, spacing, spacing), np.random.default_rng(1))
        step = round(4.0 / spacing)
        return float(np.corrcoef(field[0, :, step:].ravel(), field[0, :, :-step].ravel())[0, 1])

    assert correlation(0.5) == pytest.approx(correlation(1.0), abs=0.12)


def test_a_field_has_mean_zero_and_unit_standard_deviation():
    field = power_law_field((40, 64, 64), (3.0, 1.0, 1.0), np.random.default_rng(2))
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0.0, abs=1e-4)
    assert field.std() == pytest.approx(1.0, abs=1e-3)
