"""Where in a slice the noise of a twin will be, and how strong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.low_dose import Plan, Simulator
from ctdenoise.simulation.vectors import LANES

SMOOTHING_MM = 6.0
"""Standard deviation of the Gaussian that averages squares: finer than organs, not than noise."""


def added_noise_maps(plan: Plan, one: CTVolume, *, first: int) -> tuple[HuArray, ...]:
    """Standard deviation of what a simulation adds to a slice, HU [y, x], one for each dose.

    The slice is simulated sixteen times with independent noise; squares are averaged over the
    draws and over a few millimetres.

    Args:
        plan: The simulation.
        one: A single slice of the scan.
        first: Its index in the scan.
    """
    geometry = one.geometry
    settings = plan.settings.replaced(slice_correlation="none")
    exposure = np.full(LANES, plan.relative_exposure[first])
    repeated = replace(plan, settings=settings, relative_exposure=exposure, layer_weights=None)
    stack = CTVolume(
        np.repeat(one.hu, LANES, axis=0),
        _stacked(geometry, LANES),
        replace(one.acquisition, exposure_mas=()),
        padding=None if one.padding is None else np.repeat(one.padding, LANES, axis=0),
    )
    sigma = [SMOOTHING_MM / spacing for spacing in geometry.pixel_spacing_mm]
    maps = []
    for twin in Simulator(repeated).twins(stack, first=0):
        power = np.square(twin - stack.hu, dtype=np.float64).mean(axis=0)
        power = np.asarray(ndimage.gaussian_filter(power, sigma, mode="nearest"))
        maps.append(np.sqrt(power).astype(np.float32))
    return tuple(maps)


def _stacked(geometry: Geometry, count: int) -> Geometry:
    """The grid of a slice repeated at positions of its own: equal slices get noise of their own."""
    normal = np.cross(geometry.row_direction, geometry.column_direction)
    steps = np.arange(count)[:, None] * 100.0 * normal
    return replace(geometry, positions_mm=geometry.positions_mm[0] + steps)
