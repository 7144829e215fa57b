"""Exact line integrals against what brute force gives for a whole torso."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.phantom import GridSettings, PhantomSettings, RodsSettings, TorsoSettings
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.phantoms.rays import parallel_rays
from ctdenoise.phantoms.shapes import line_integrals
from ctdenoise.phantoms.torso import torso_shapes


def test_line_integrals_of_a_torso_agree_with_sampling_along_the_rays():
    shapes = torso_shapes(TorsoSettings(), seed=5)
    origins, directions = parallel_rays(np.array([0.2, 1.9]), np.array([-40.0, 62.0]), z_mm=-20.0)
    exact = line_integrals(shapes, origins, directions)
    boxes = [shape.bounds_mm() for shape in shapes]
    step_mm = 0.02
    along = np.arange(-300, 300, step_mm) + step_mm / 2
    for index in np.ndindex(exact.shape):
        points = origins[index] + along[:, None] * directions[index]
        painted = np.zeros(len(points))
        first, last = points.min(axis=0), points.max(axis=0)
        for shape, (low, high) in zip(shapes, boxes, strict=True):
            if (first > high).any() or (last < low).any():
                continue
            near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
            painted[near[shape.contains(points[near])]] = shape.relative_attenuation
        # Midpoint sampling misses each edge by half a step at most. A ray crosses fewer than 200
        # edges with jumps below 1, and the errors have random signs: five standard errors are
        # 5 * 0.02 / sqrt(12) * sqrt(200) = 0.4; a lost rib or vessel wall is 1 mm and more.
        assert exact[index] > 50
        assert abs(painted.sum() * step_mm - exact[index]) < 0.4


def test_summing_voxels_along_rows_gives_the_line_integrals_of_the_rows():
    settings = PhantomSettings(
        phantom=RodsSettings(), grid=GridSettings(size=256, slices=1, field_of_view_mm=256.0)
    )
    phantom = build_phantom(settings)
    row_sums = (1 + phantom.volume.hu[0].astype(np.float64) / 1000).sum(axis=1)
    # Scan lines through each row of pixels, averaged, are what the pixels of the row hold.
    lines = 64
    y = np.arange(256)[:, None] - 127.5 + (np.arange(lines) + 0.5) / lines - 0.5
    origins = np.zeros((256, lines, 3))
    origins[..., 1] = y
    exact = line_integrals(phantom.shapes, origins, np.array([1.0, 0.0, 0.0])).mean(axis=1)
    # The rasteriser takes 16 lines a row; next to the tangent the chord changes by several mm.
    assert np.abs(row_sums - exact).max() < 0.15
    assert np.abs(row_sums - exact)[20:-20].mean() < 0.005


def test_the_mass_of_the_voxels_is_that_of_the_shapes():
    settings = PhantomSettings(
        phantom=RodsSettings(), grid=GridSettings(size=200, slices=2, field_of_view_mm=230.0)
    )
    volume = build_phantom(settings).volume
    mass = (1 + volume.hu.astype(np.float64) / 1000).mean() * 230.0**2
    inserts = settings.phantom.inserts
    exact = np.pi * 100**2 + sum(
        np.pi * (rod.diameter_mm / 2) ** 2 * rod.hu / 1000 for rod in inserts
    )
    assert abs(mass / exact - 1) < 1e-4
