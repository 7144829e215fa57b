"""Whether the scale of Hounsfield units is right: linearity, uniformity, contrast against noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.units import HU_PER_RELATIVE_ATTENUATION
from ctdenoise.errors import InputError


@dataclass(frozen=True, slots=True)
class Linearity:
    """The straight line through measured against true Hounsfield units.

    Args:
        slope: HU for each HU; 1 is right.
        intercept_hu: Measured where 0 is true.
        r_squared: Share of the variance of the measured values that the line explains.
        largest_residual_hu: Largest distance of a measured value from the line.
    """

    slope: float
    intercept_hu: float
    r_squared: float
    largest_residual_hu: float


def linearity(true_hu: Sequence[float], measured_hu: Sequence[float]) -> Linearity:
    """The least-squares line of measured against true Hounsfield units.

    Args:
        true_hu: Of each insert.
        measured_hu: Mean inside each insert.

    Raises:
        InputError: If there are fewer than three inserts, or all are alike.
    """
    x, y = np.asarray(true_hu, dtype=np.float64), np.asarray(measured_hu, dtype=np.float64)
    if x.shape != y.shape or x.size < 3 or not np.ptp(x) > 0:
        raise InputError("Linearity needs three inserts of different Hounsfield units.")
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - (slope * x + intercept)
    spread = float(np.square(y - y.mean()).sum())
    explained = 1 - float(np.square(residual).sum()) / spread if spread > 0 else 0.0
    return Linearity(float(slope), float(intercept), explained, float(np.abs(residual).max()))


@dataclass(frozen=True, slots=True)
class Uniformity:
    """How even a phantom of one material looks.

    Args:
        largest_difference_hu: Largest abs(edge - centre), HU (ACR: at most 5).
        index_percent: Of the edge that differs most, 100 (edge - centre) / (centre + 1000), %; NaN
            where the centre is as empty as a vacuum.
        integral: (highest - lowest) / (highest + lowest + 2000) over all regions, CatPhan's
            integral nonuniformity; NaN likewise.
    """

    largest_difference_hu: float
    index_percent: float
    integral: float


def uniformity(centre_hu: float, edges_hu: Sequence[float]) -> Uniformity:
    """How even a phantom of one material looks.

    Args:
        centre_hu: Mean of the region in the middle.
        edges_hu: Means of the regions near the edge.

    Raises:
        InputError: If there is no region near the edge.
    """
    if not len(edges_hu):
        raise InputError("Uniformity needs regions near the edge.")
    edges = np.asarray(edges_hu, dtype=np.float64)
    most = float((edges - centre_hu)[np.argmax(np.abs(edges - centre_hu))])
    everything = np.append(edges, centre_hu)
    high, low = float(everything.max()), float(everything.min())
    scale = HU_PER_RELATIVE_ATTENUATION
    return Uniformity(
        abs(most),
        _share(100 * most, centre_hu + scale),
        _share(high - low, high + low + 2 * scale),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def contrast_to_noise(insert_hu: float, background_hu: float, noise_hu: float) -> float:
    """CNR = abs(insert - background) / noise (ACR).

    Args:
        insert_hu: Mean inside the insert.
        background_hu: Mean beside it.
        noise_hu: Standard deviation beside it.

    Raises:
        InputError: If the noise is not positive.
    """
    if not noise_hu > 0:
        raise InputError(f"A contrast-to-noise ratio needs noise, not {noise_hu} HU.")
    return abs(insert_hu - background_hu) / noise_hu
