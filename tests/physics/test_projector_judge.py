"""Our projector against ASTRA, where ASTRA can be imported; it is no dependency of this project."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.simulation.projection import JosephProjector
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import LANES, aligned_zeros

astra = pytest.importorskip("astra", reason="astra-toolbox is not installed", exc_type=ImportError)

SIZE, CHANNELS, VIEWS = 64, 96, 24


def test_line_integrals_equal_those_of_astra_for_a_random_image():
    """ASTRA's linear kernel is Joseph's method too; a far source makes our fan parallel."""
    image = np.random.default_rng(0).random((SIZE, SIZE)).astype(np.float32)
    fan = Fan(1e7, 1.5e-7, CHANNELS, VIEWS)  # rays 1.5 pixels apart
    middle = (SIZE - 1) / 2
    images = aligned_zeros(SIZE, SIZE, LANES)
    images[...] = image[:, :, None]
    ours = JosephProjector(fan, PixelGrid(SIZE, SIZE, 1.0, 1.0, middle, middle)).project(images)

    volume = astra.create_vol_geom(SIZE, SIZE)
    rays = astra.create_proj_geom("parallel", fan.channel_width_mm, CHANNELS, fan.view_angles)
    projector = astra.create_projector("linear", rays, volume)
    try:
        sinogram, theirs = astra.create_sino(image[::-1].copy(), projector)  # its y runs upwards
        astra.data2d.delete(sinogram)
    finally:
        astra.projector.delete(projector)
    assert theirs.mean() > 10  # pixels
    # Both stop a ray at the image's edge, in ways that differ for the outermost half pixel.
    difference = np.abs(ours[:, :, 0] - theirs)
    assert np.median(difference) < 1e-3
    assert np.sqrt((difference**2).mean()) < 0.01 * theirs.mean()
