"""What the projector may not lose: the mass of the object, seen from anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.simulation.projection import JosephProjector
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import LANES, aligned_zeros
from tests.physics.rays import Array

GRID = PixelGrid(64, 48, 1.5, 2.0, 33.7, 22.1)
"""Oblong pixels, and an isocentre off the middle."""


def smooth_image() -> Array:
    """Three blobs well inside the grid."""
    y = (np.arange(GRID.rows) - GRID.isocentre_row)[:, None] * GRID.row_spacing_mm
    x = (np.arange(GRID.columns) - GRID.isocentre_column)[None] * GRID.column_spacing_mm
    blobs = ((0.0, 0.0, 9.0, 1.0), (15.0, -12.0, 5.0, 2.0), (-14.0, 16.0, 4.0, 0.7))
    image = np.zeros((GRID.rows, GRID.columns))
    for x0, y0, width, height in blobs:
        image += height * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * width**2))
    return image


def projected(fan: Fan) -> Array:
    images = aligned_zeros(GRID.rows, GRID.columns, LANES)
    images[...] = smooth_image()[:, :, None]
    return JosephProjector(fan, GRID).project(images)[:, :, 0].astype(np.float64)


def mass() -> float:
    return float(smooth_image().sum() * GRID.row_spacing_mm * GRID.column_spacing_mm)


def test_every_view_of_a_parallel_beam_sees_the_whole_mass():
    fan = Fan(1e5, 1.5e-5, 96, 24)  # a source 100 m away: rays 1.5 mm apart, parallel to 1e-3
    views = projected(fan).sum(axis=1) * fan.channel_width_mm
    # Joseph weighs a blob of 4 mm as its pixels do; the far source turns rays by 7e-4.
    assert views == pytest.approx(mass(), rel=2e-3)


def test_every_view_of_a_fan_sees_each_point_by_its_distance():
    """The sum over the angles is the integral of the object over its distance from the source."""
    fan = Fan(200.0, 0.006, 96, 24)
    y = (np.arange(GRID.rows) - GRID.isocentre_row)[:, None] * GRID.row_spacing_mm
    x = (np.arange(GRID.columns) - GRID.isocentre_column)[None] * GRID.column_spacing_mm
    area = GRID.row_spacing_mm * GRID.column_spacing_mm
    image = smooth_image()
    expected = []
    for beta in fan.view_angles:
        source = (-fan.distance_mm * np.sin(beta), fan.distance_mm * np.cos(beta))
        distance = np.hypot(x - source[0], y - source[1])
        expected.append((image / distance).sum() * area)
    views = projected(fan).sum(axis=1) * fan.channel_angle
    assert views == pytest.approx(np.array(expected), rel=2e-3)


def test_all_rays_of_a_turn_see_the_mass_once_from_every_side():
    """With ds = D cos(gamma) dgamma a turn of a fan holds each parallel view twice."""
    fan = Fan(200.0, 0.006, 96, 64)
    weights = fan.distance_mm * np.cos(fan.fan_angles) * fan.channel_angle
    total = (projected(fan) * weights[None]).sum() * (2 * np.pi / fan.views)
    assert total == pytest.approx(2 * np.pi * mass(), rel=1e-3)
