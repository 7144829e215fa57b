"""Which slices of a scan are near enough to show the same anatomy and share no noise."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from ctdenoise.config.supervision import NeighboursSettings
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.body import body_mask
from ctdenoise.errors import SettingsError
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.staged_scan import StagedScan
from ctdenoise.metrics.noise_map import measured_noise
from ctdenoise.simulation.calibration import MOST_PAIRS
from ctdenoise.simulation.shared_noise import indices_apart, noise_correlation
from ctdenoise.training.lessons import averaged_difference

_log = logging.getLogger(__name__)

MOST_SHARED = 0.1
"""Correlation of the noise of two slices up to which one is a target for the other: so much of the
noise is learnt as if it were anatomy."""

_TOUCHING = 0.95
"""Distance over thickness from which slices do not overlap, but for the rounding of both."""

_MAD_OF_NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


class Neighbours(NamedTuple):
    """How slices of a scan are compared.

    Args:
        distance: In slices.
        distance_mm: The same, median over the scan.
        correlation: Of the noise at this distance; None where it could not be measured.
        window: Edge of the square of averaged differences, pixels.
        spread: Standard deviation of the averaged difference over that of the noise of a pixel.
    """

    distance: int
    distance_mm: float
    correlation: float | None
    window: int
    spread: float


def neighbours_of(scan: StagedScan, settings: NeighboursSettings) -> Neighbours:
    """The nearest slices that share no noise.

    Both the geometry and the pixels must say so: slices nearer than their thickness see the same
    photons, and interpolation along z mixes even those that do not overlap.

    Args:
        scan: The whole series.
        settings: How far apart they may be, and how they are compared.

    Raises:
        SettingsError: If there are none near enough.
    """
    positions_mm = scan.geometry.along_normal_mm()
    thickness_mm = scan.slice_thickness_mm or 0.0
    shared: float | None = None
    for distance in range(1, max(1, (scan.shape[0] - 1) // 2) + 1):
        if scan.shape[0] <= 2 * distance:
            break
        apart_mm = float(np.median(positions_mm[distance:] - positions_mm[:-distance]))
        if apart_mm > settings.furthest_mm:
            break
        if apart_mm < _TOUCHING * thickness_mm:
            continue
        pairs = scan.sample(indices_apart(scan.shape[0], distance))
        shared = noise_correlation(pairs, geometry=scan.geometry, acquisition=scan.acquisition)
        if shared is None or shared <= MOST_SHARED:
            if shared is None:
                _log.warning(
                    "%s shows too little soft tissue to see whether neighbouring slices share "
                    "noise; its header decides.",
                    scan.folder,
                )
            window = _window(scan, settings)
            spread = _spread(scan, distance, window)
            return Neighbours(distance, apart_mm, shared, window, spread)
    seen = "" if shared is None else f" (the nearest that do not overlap share {shared:.0%} of it)"
    raise SettingsError(
        f"no two slices of {scan.folder} within {settings.furthest_mm:g} mm have independent "
        f"noise{seen}: a network would learn what they share as if it were anatomy.",
        where="supervision.furthest_mm",
        fix="Allow slices that are further apart, if the anatomy between them changes little, or "
        "train with supervision.name=recorrupted.",
    )


def _window(scan: StagedScan, settings: NeighboursSettings) -> int:
    spacing = float(np.sqrt(np.prod(scan.pixel_spacing_mm)))
    return max(3, 2 * round((settings.window_mm / spacing - 1) / 2) + 1)


def _spread(scan: StagedScan, distance: int, window: int) -> float:
    """Averaged difference of slices over their noise, by a median that anatomy hardly moves."""
    slices = len(scan.stored) - distance
    ratios: list[FloatArray] = []
    for first in np.linspace(0, slices - 1, min(MOST_PAIRS, slices)).astype(int):
        pair = np.asarray(scan.stored[[first, first + distance]])
        outside = pair == PADDING_HU
        noise = measured_noise(pair, outside, scan.pixel_spacing_mm)
        own = noise.at(0, (0, 0), (pair.shape[1], pair.shape[2]))
        body = body_mask(pair[0].astype(np.float32), outside[0]) & ~outside[1]
        averaged = averaged_difference(pair[0], pair[1], window)
        ratios.append((averaged / np.maximum(own, np.float32(1e-3)))[body])
    joined = np.concatenate(ratios)
    return float(_MAD_OF_NORMAL * np.median(joined)) if joined.size else 1.0
