"""Line integrals against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.insertion import COARSE_CHANNELS, COARSE_VIEWS, NoiseInsertion
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.projection import JosephProjector
from ctdenoise.simulation.scanner import PixelGrid
from ctdenoise.simulation.vectors import LANES, aligned_zeros
from tests.physics.fan_scan import (
    MU_WATER,
    ellipse,
    ellipse_integrals,
    settings,
    small_fan,
)


def lanes_of(image: np.ndarray) -> np.ndarray:
    images = aligned_zeros(*image.shape, LANES)
    images[...] = image[:, :, None]
    return images


def interior(chords: np.ndarray, share: float = 0.3) -> np.ndarray:
    """Rays away from the rim, where a pixel grid cannot follow the square root."""
    return chords > share * chords.max()


def test_disc_chords_are_two_times_the_root_of_r2_minus_s2():
    fan, radius = small_fan(), 70.0
    volume = ellipse((radius, radius), slices=1)
    projector = JosephProjector(fan, PixelGrid.of(volume.geometry, volume.acquisition))
    lengths = projector.project(lanes_of(1 + volume.hu[0] / 1000))[:, :, 0]
    s = fan.distance_mm * np.sin(fan.fan_angles)
    exact = np.broadcast_to(2 * np.sqrt(np.maximum(radius**2 - s**2, 0)), lengths.shape)
    inside = interior(exact)
    error = (lengths - exact)[inside] / exact[inside]
    # A drawn edge is within half a pixel (1 mm) of its place, at random along the rim: up to 1 %
    # for one ray of 42 mm or more, ten times less on average over thousands.
    assert abs(error.mean()) < 1e-3
    assert np.sqrt((error**2).mean()) < 1e-2


def test_the_line_integrals_that_set_the_variances_are_those_of_water():
    radius = 70.0
    volume = ellipse((radius, radius), slices=1)
    insertion = NoiseInsertion(ScanModel.of(volume.geometry, volume.acquisition, settings()))
    fan = small_fan().coarse(views=COARSE_VIEWS, channels=COARSE_CHANNELS)
    line_integrals = insertion.project(volume.hu)[:, :, 0]
    s = fan.distance_mm * np.sin(fan.fan_angles)
    chords = 2 * np.sqrt(np.maximum(radius**2 - s**2, 0))
    exact = np.broadcast_to(MU_WATER * chords, line_integrals.shape)
    inside = interior(exact)
    ratio = line_integrals[inside].mean() / exact[inside].mean()
    assert ratio == pytest.approx(1, abs=1e-3)  # as above


def test_off_centre_ellipse_on_oblong_pixels_with_a_shifted_isocentre():
    fan, half_axes = small_fan(), (50.0, 30.0)
    rows, columns, spacing = 120, 70, (1.5, 2.5)
    geometry = Geometry.axial((1, rows, columns), pixel_spacing_mm=spacing, slice_spacing_mm=1.0)
    acquisition = Acquisition(reconstruction_centre_offset_mm=(12.0, -7.0))
    grid = PixelGrid.of(geometry, acquisition)
    fine = 4
    y = ((np.arange(rows * fine) + 0.5) / fine - 0.5 - (rows - 1) / 2) * spacing[0]
    x = ((np.arange(columns * fine) + 0.5) / fine - 0.5 - (columns - 1) / 2) * spacing[1]
    inside = (x[None] / half_axes[0]) ** 2 + (y[:, None] / half_axes[1]) ** 2 <= 1
    image = inside.reshape(rows, fine, columns, fine).mean(axis=(1, 3))
    lengths = JosephProjector(fan, grid).project(lanes_of(image))[:, :, 0]
    # The ellipse is at the image's centre, which lies at minus the offset from the isocentre.
    exact = ellipse_integrals(fan, half_axes, centre_mm=(-12.0, 7.0))
    inside_rays = interior(exact)
    error = (lengths - exact)[inside_rays] / exact[inside_rays]
    assert abs(error.mean()) < 1e-3  # as above
    assert np.sqrt((error**2).mean()) < 1e-2


def test_a_ray_along_a_row_of_ones_is_as_long_as_the_row():
    fan = small_fan()
    geometry = Geometry.axial((1, 31, 41), pixel_spacing_mm=2.0, slice_spacing_mm=1.0)
    projector = JosephProjector(fan, PixelGrid.of(geometry, Acquisition()))
    lengths = projector.project(lanes_of(np.ones((31, 41))))[:, :, 0]
    middle = lengths[:, fan.channels // 2 - 1 : fan.channels // 2 + 1].mean(axis=1)
    assert middle[0] == pytest.approx(31 * 2.0, rel=1e-3)
    assert middle[fan.views // 4] == pytest.approx(41 * 2.0, rel=1e-3)
