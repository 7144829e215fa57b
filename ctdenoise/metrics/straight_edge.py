"""The modulation transfer function of a straight edge, slanted against the pixels (ISO 12233).

Pixels along a slanted edge lie at many distances from it and sample its profile ten times as finely
as they are apart: the function is the presampled one, known beyond the Nyquist frequency. Two
planes of an image serve as well: the edge of a slab that is tilted against the slices, seen in the
plane [z, x], gives the function along z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.edge_profile import EdgeProfile, profile_across
from ctdenoise.metrics.transfer import (
    Transfer,
    frequencies,
    measured_transfer,
    transfer_of_edge,
)

_WIDEST_GAP = 0.34  # of a pixel: an edge along the rows of pixels has gaps of a whole one


@dataclass(frozen=True, slots=True)
class StraightEdge:
    """A straight line through an image, crossed along the first axis.

    The line is first = intercept_mm + slope * second, both in mm from the first pixel.

    Args:
        intercept_mm: Where it meets the first column.
        slope: Its rise, mm along the first axis for each along the second; not steeper than one.
        reach_mm: How far on either side pixels are looked at.

    Raises:
        InputError: If it is too steep or the reach is not positive.
    """

    intercept_mm: float
    slope: float
    reach_mm: float = 5.0

    def __post_init__(self) -> None:
        if not self.reach_mm > 0 or not abs(self.slope) <= 1:
            raise InputError(
                f"An edge of slope {self.slope} and reach {self.reach_mm} mm cannot be looked at.",
                fix="Exchange the axes where an edge is steep; give a positive reach.",
            )

    def distance_mm(self, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> DoubleArray:
        """Distance of each pixel from the line, at right angles to it, mm, signed.

        Args:
            shape: Pixels along both axes.
            spacing_mm: Of the pixels along both axes.
        """
        first = np.arange(shape[0]) * spacing_mm[0]
        second = np.arange(shape[1]) * spacing_mm[1]
        above = first[:, None] - self.intercept_mm - self.slope * second
        return np.asarray(above / np.hypot(1.0, self.slope))


def found_straight_edge(
    image: DoubleArray, *, spacing_mm: tuple[float, float], reach_mm: float = 5.0
) -> StraightEdge:
    """The line that fits an image best, by least squares of a step with a Gaussian edge.

    Args:
        image: Two plateaus with an edge between them that is crossed along the first axis.
        spacing_mm: Of the pixels along both axes.
        reach_mm: How far on either side pixels are to be looked at later.

    Raises:
        InputError: If there is no such edge.
    """
    first = np.arange(image.shape[0]) * spacing_mm[0]
    second = np.arange(image.shape[1]) * spacing_mm[1]
    height = float(image[-1].mean() - image[0].mean())
    if height == 0 or min(image.shape) < 4:
        raise InputError("An image without a step along its first axis has no edge.")
    wanted = (image - image[0].mean()) / height
    # Where a column crosses the middle: its plateaus' share of it.
    crossings = first[-1] + spacing_mm[0] / 2 - wanted.sum(axis=0) * spacing_mm[0]
    slope, intercept = np.polyfit(second, crossings, 1)

    def residual(free: DoubleArray) -> DoubleArray:
        away = first[:, None] - free[0] - free[1] * second
        step = special.erfc(-away / (np.sqrt(2) * free[2]))
        return np.asarray(free[3] + free[4] / 2 * step - wanted).ravel()

    start = np.array([intercept, slope, spacing_mm[0], 0.0, 1.0])
    low = np.array([-np.inf, -np.inf, spacing_mm[0] / 50, -np.inf, -np.inf])
    high = np.array([np.inf, np.inf, first[-1] + spacing_mm[0], np.inf, np.inf])
    fit = optimize.least_squares(residual, start, bounds=(low, high))
    middle = float(fit.x[0] + fit.x[1] * second.mean())
    if not first[0] < middle < first[-1]:
        raise InputError("No edge was found that crosses the image along its first axis.")
    return StraightEdge(float(fit.x[0]), float(fit.x[1]), reach_mm)


def straight_edge_profile(
    stack: DoubleArray, edge: StraightEdge, *, spacing_mm: tuple[float, float]
) -> EdgeProfile:
    """The profile across a straight edge in each image of a stack.

    Args:
        stack: Indexed [sample, first, second].
        edge: The line.
        spacing_mm: Of the pixels along both axes.

    Raises:
        InputError: If the edge is not slanted enough for the pixels to fill its profile.
    """
    if stack.ndim != 3 or not len(stack) or not np.isfinite(stack).all():
        raise InputError("An edge needs a stack of images [sample, first, second] of numbers.")
    shape: tuple[int, int] = stack.shape[1:]
    distance = edge.distance_mm(shape, spacing_mm).ravel()
    pixels = np.flatnonzero(np.abs(distance) < edge.reach_mm)
    values = stack.reshape(len(stack), -1)[:, pixels].astype(np.float64)
    across = spacing_mm[0]
    profile = profile_across(values, distance[pixels], reach_mm=edge.reach_mm, pixel_mm=across)
    if profile.widest_gap_mm > _WIDEST_GAP * across:
        raise InputError(
            "The pixels along an edge lie at too few distances from it.",
            fix="Look at an edge that is slanted by two to ten degrees against the pixels.",
        )
    return profile


def straight_edge_transfer(
    stack: DoubleArray,
    edge: StraightEdge,
    *,
    spacing_mm: tuple[float, float],
    resamplings: DoubleArray | None = None,
) -> Transfer:
    """The modulation transfer function across a straight edge, up to twice Nyquist.

    Args:
        stack: Slices, repeats or neighbouring parts of the same edge, [sample, first, second].
        edge: The line, as by `found_straight_edge`.
        spacing_mm: Of the pixels along both axes.
        resamplings: How often each sample counts in each resampling, as by `transfer.resampled`.

    Raises:
        InputError: If the edge is not slanted enough for the pixels to fill its profile.
    """
    profile = straight_edge_profile(stack, edge, spacing_mm=spacing_mm)
    frequency = frequencies(1 / spacing_mm[0])

    def of_weights(weights: DoubleArray) -> DoubleArray:
        spread = profile.edge_spread(weights)
        return transfer_of_edge(spread, profile.x_mm, frequency, half_width_mm=edge.reach_mm)

    return measured_transfer(frequency, of_weights, samples=len(stack), resamplings=resamplings)
