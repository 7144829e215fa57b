"""Values by distance across an edge, sampled ten times as finely as by the pixels.

Pixels along a circular or a slanted edge lie at many distances from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError

BINS_PER_PIXEL = 10
"""Distances are gathered in bins of a tenth of a pixel."""

_FEWEST_DISTANCES = 8


@dataclass(frozen=True, slots=True, eq=False)
class EdgeProfile:
    """Mean value by distance across an edge.

    Args:
        x_mm: Centres of the bins, distance from the edge.
        sums: Of the pixels in each bin that has some, [sample, bin with pixels].
        counts: Pixels of a sample in each of these bins.
        mean_mm: Their mean distance from the edge.
    """

    x_mm: DoubleArray
    sums: DoubleArray
    counts: DoubleArray
    mean_mm: DoubleArray

    @property
    def widest_gap_mm(self) -> float:
        """The widest stretch of the nearer half without a pixel."""
        reach_mm = -1.5 * self.x_mm[0] + 0.5 * self.x_mm[1]
        ends = np.concatenate([[-reach_mm], self.mean_mm, [reach_mm]])
        near = np.minimum(np.abs(ends[:-1]), np.abs(ends[1:])) < reach_mm / 2
        return float(np.diff(ends)[near].max())

    def edge_spread(self, weights: DoubleArray) -> DoubleArray:
        """The edge spread function of weighted samples at the centres of the bins, [..., bin].

        A bin's mean is taken to lie at the mean distance of its pixels, and the curve between
        these is a straight line.

        Args:
            weights: Of each sample, [..., sample].
        """
        total = weights.sum(axis=-1, keepdims=True)
        means = (weights @ self.sums) / (self.counts * total)
        right = np.clip(np.searchsorted(self.mean_mm, self.x_mm), 1, len(self.mean_mm) - 1)
        left = right - 1
        share = (self.x_mm - self.mean_mm[left]) / (self.mean_mm[right] - self.mean_mm[left])
        share = np.clip(share, 0.0, 1.0)
        return np.asarray(means[..., left] * (1 - share) + means[..., right] * share)


def profile_across(
    values: DoubleArray, from_edge_mm: DoubleArray, *, reach_mm: float, pixel_mm: float
) -> EdgeProfile:
    """The profile across an edge in each of several samples.

    Args:
        values: Pixels of slices or repeats, [sample, pixel].
        from_edge_mm: Distance of each pixel from the edge, negative on one side, [pixel].
        reach_mm: How far on either side pixels count.
        pixel_mm: Distance of neighbouring pixels across the edge.

    Raises:
        InputError: If there are hardly any.
    """
    bins = max(4, round(2 * reach_mm * BINS_PER_PIXEL / pixel_mm))
    width = 2 * reach_mm / bins
    number = np.floor((from_edge_mm + reach_mm) / width).astype(np.intp)
    used = (number >= 0) & (number < bins)
    number = number[used]
    counts = np.bincount(number, minlength=bins)
    filled = counts > 0
    distances = np.bincount(number, from_edge_mm[used], minlength=bins)[filled]
    mean_mm = np.asarray(distances / counts[filled], dtype=np.float64)
    if len(mean_mm) < _FEWEST_DISTANCES:
        raise InputError(
            "The pixels around an edge lie at too few distances from it.",
            fix="Look at a longer edge, farther on either side, or one that is slanted.",
        )
    sums = np.zeros((len(values), len(mean_mm)))
    for row, one in zip(sums, values[:, used], strict=True):
        row[:] = np.bincount(number, one, minlength=bins)[filled]
    x_mm = np.asarray((np.arange(bins) + 0.5) * width - reach_mm, dtype=np.float64)
    return EdgeProfile(x_mm, sums, counts[filled].astype(np.float64), mean_mm)
