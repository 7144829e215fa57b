"""Filtered back-projection of exact line integrals."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.kernels import HannKernelSettings
from ctdenoise.simulation.fbp import FilteredBackProjection
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import LANES, aligned_zeros
from tests.physics.fan_scan import MU_WATER, ellipse_integrals, small_fan

GRID = PixelGrid(96, 96, 2.0, 2.0, 47.5, 47.5)


@pytest.fixture(scope="module")
def reconstructed() -> np.ndarray:
    """HU of a water disc of 90 mm with inserts of +100 HU (left) and -200 HU (right)."""
    small = small_fan()
    fan = Fan(small.distance_mm, small.channel_angle / 2, 2 * small.channels, 480)
    lengths = ellipse_integrals(fan, (90.0, 90.0))
    lengths += 0.1 * ellipse_integrals(fan, (15.0, 15.0), centre_mm=(-45.0, 0.0))
    lengths -= 0.2 * ellipse_integrals(fan, (15.0, 15.0), centre_mm=(45.0, 0.0))
    sinogram = aligned_zeros(fan.views, fan.channels, LANES)
    sinogram[...] = (MU_WATER * lengths)[:, :, None]
    fbp = FilteredBackProjection(fan, GRID, HannKernelSettings())
    return 1000 * (fbp.reconstruct(sinogram)[:, :, 0] / MU_WATER - 1)


def mean_at(image: np.ndarray, x_mm: float, y_mm: float, radius_mm: float = 8.0) -> float:
    axis = (np.arange(96) - 47.5) * 2.0
    inside = (axis[None] - x_mm) ** 2 + (axis[:, None] - y_mm) ** 2 <= radius_mm**2
    return float(image[inside].mean())


def test_water_is_zero_at_the_centre(reconstructed):
    assert mean_at(reconstructed, 0, 0) == pytest.approx(0, abs=0.1)


def test_water_is_flat_up_to_eighty_percent_of_the_radius(reconstructed):
    places = [(0, 70), (0, -70), (50, 50), (-50, -50)]
    assert np.array([mean_at(reconstructed, x, y, 4) for x, y in places]) == pytest.approx(
        0, abs=1.0
    )


def test_inserts_keep_their_contrast(reconstructed):
    assert mean_at(reconstructed, -45, 0) == pytest.approx(100, abs=0.5)
    assert mean_at(reconstructed, 45, 0) == pytest.approx(-200, abs=1.0)


def test_air_is_minus_one_thousand(reconstructed):
    assert mean_at(reconstructed, 80, 80, 6) == pytest.approx(-1000, abs=2.0)
