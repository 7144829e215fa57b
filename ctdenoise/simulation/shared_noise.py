"""How much of their noise two slices of a scan share."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.calibration import MOST_PAIRS, without_padding
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise_comparison import (
    FEWEST_FLAT_PATCHES,
    FLAT_FRACTION,
    LEAST_POWER,
    NOISE_ABOVE_PER_MM,
    measure,
)


def indices_apart(slices: int, distance: int) -> list[int]:
    """Pairs of slices of a scan, evenly spread, one pair after the other.

    Args:
        slices: How many the scan has.
        distance: From the first to the second of a pair, in slices.
    """
    count = min(MOST_PAIRS, slices // (distance + 1))
    first = np.linspace(0, slices - distance - 1, count).astype(int)
    return [int(index) for pair in zip(first, first + distance, strict=True) for index in pair]


def noise_correlation(
    pairs: CTVolume, *, geometry: Geometry, acquisition: Acquisition
) -> float | None:
    """Correlation of the noise of pairs of slices; None where there is too little soft tissue.

    Of two slices the difference has the noise power 1 - r and the sum 1 + r, for the correlation r;
    in flat patches and at high frequencies, anatomy adds next to nothing to either. What it does
    add to the sum makes the result too large, not too small.

    Args:
        pairs: The slices that `indices_apart` names.
        geometry: Grid of the whole scan.
        acquisition: Header facts of the whole scan.
    """
    model = ScanModel.of(geometry, acquisition, SimulateSettings())
    measured = measure(without_padding(pairs), pairs, model)
    if measured is None or not measured.is_paired:
        return None
    k = measured.frequency_per_mm
    low = measured.total[:, k <= 0.2].mean(axis=1)
    part = max(FLAT_FRACTION, FEWEST_FLAT_PATCHES / len(low))
    flat = low <= np.quantile(low, min(1.0, part))
    total, difference = (
        np.median(power[flat], axis=0) - measured.rounding
        for power in (measured.total, measured.difference)
    )
    trusted = total > np.maximum(LEAST_POWER * total.max(), 3 * measured.rounding)
    if not trusted.any():
        return None
    high = trusted & (k > min(NOISE_ABOVE_PER_MM, k[trusted].max() / 2))
    share = np.maximum(difference[high], 0) / total[high]
    ratio = float(np.average(share, weights=measured.modes[high]))
    return (1 - ratio) / (1 + ratio)
