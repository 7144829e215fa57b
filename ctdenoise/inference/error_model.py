"""From what is seen around a pixel to the standard deviation of its error.

A model has two parts. The first is a sum of variances with weights: of the noise that was there, of
edges, of what a network states. Its weights, none below zero, are those with the largest likelihood
of normal errors whose variance the sum is: least squares of the squared errors, in which each
counts by the inverse square of the variance that the last round gave it. The second part is a table
from the square root of that sum to the error actually met, which never falls (pool adjacent
violators; Barlow et al., "Statistical Inference under Order Restrictions", 1972): where the table
was made, of the pixels with a stated standard deviation s the errors have the standard deviation s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray

LEAST_SD_HU = 0.05
"""No error is stated smaller than this, HU: stored values are steps of 1 HU."""

BINS = 24
"""Entries of the table: equal numbers of pixels, and fewer in each towards the largest errors."""

_ROUNDS = 8
_FITTED_PIXELS = 60_000
"""Weights are found on this many pixels, evenly drawn: more change nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorModel:
    """The standard deviation of the error of a pixel, from what is seen around it.

    Args:
        weights: Of each variance.
        raw_hu: Square roots of the weighted sum, HU, ascending: the entries of the table.
        met_hu: Standard deviation of the errors met there, HU, not falling.
    """

    weights: tuple[float, ...]
    raw_hu: DoubleArray
    met_hu: DoubleArray

    @classmethod
    def of_noise(cls) -> ErrorModel:
        """The model of an image that nothing was taken from: the first variance, as it is."""
        return cls((1.0,), np.ones(1), np.ones(1))

    def sd_hu(self, variances: Sequence[FloatArray]) -> HuArray:
        """Standard deviation of the error of every pixel, HU, float32.

        Between entries of the table its logarithm is linear in that of the raw value; beyond them
        the ratio of the two is that of the last entry.

        Args:
            variances: HU^2, arrays of one shape, in the order of the weights.
        """
        raw = np.sqrt(_weighted(self.weights, variances))
        log_raw = np.log(np.maximum(raw, LEAST_SD_HU))
        ratio = np.log(self.met_hu / self.raw_hu)
        met = np.exp(log_raw + np.interp(log_raw, np.log(self.raw_hu), ratio))
        stated: HuArray = met.astype(np.float32)
        return stated


def fit_error_model(
    squared_errors: DoubleArray, variances: Sequence[DoubleArray], rng: np.random.Generator
) -> ErrorModel:
    """A model of errors that were met.

    Args:
        squared_errors: Squared error of each pixel, or its expected value, HU^2, [pixel].
        variances: What is seen around each pixel, HU^2, each [pixel].
        rng: Draws the pixels that decide the weights.
    """
    count = len(squared_errors)
    some = np.arange(count)
    if count > _FITTED_PIXELS:
        some = rng.choice(count, _FITTED_PIXELS, replace=False)
    weights = _weights(squared_errors[some], np.stack([one[some] for one in variances], axis=1))
    raw = np.maximum(_weighted(weights, variances), LEAST_SD_HU**2)
    order = np.argsort(raw, kind="stable")
    parts = [part for part in np.split(order, _cuts(count)) if part.size]
    raw_in = np.array([raw[part].mean() for part in parts])
    met_in = np.array([squared_errors[part].mean() for part in parts])
    sizes = np.array([float(part.size) for part in parts])
    raw_hu, first = np.unique(np.sqrt(raw_in), return_index=True)
    met = np.maximum(not_falling(met_in, sizes), LEAST_SD_HU**2)
    return ErrorModel(weights, raw_hu, np.sqrt(met)[first])


def not_falling(values: DoubleArray, weights: DoubleArray) -> DoubleArray:
    """The sequence that never falls and is nearest to a given one, in weighted least squares.

    Args:
        values: Any sequence.
        weights: Of each value, positive.
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, total, count = value, weight, 1
        while blocks and blocks[-1][0] >= mean:
            before, its_weight, its_count = blocks.pop()
            mean = (before * its_weight + mean * total) / (its_weight + total)
            total, count = total + its_weight, count + its_count
        blocks.append((mean, total, count))
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks])


def _cuts(count: int) -> list[int]:
    """Where sorted pixels are cut into the bins of the table."""
    shares = np.concatenate([np.linspace(0, 0.9, BINS - 4)[1:], [0.95, 0.975, 0.99, 0.996]])
    return [int(cut) for cut in shares * count]


def _weights(squared: DoubleArray, variances: DoubleArray) -> tuple[float, ...]:
    """Weights with the largest likelihood of normal errors, by reweighted least squares."""
    least = max(LEAST_SD_HU**2, 1e-3 * float(squared.mean()))
    expected = np.full(len(squared), max(least, float(squared.mean())))
    found = np.zeros(variances.shape[1])
    for _ in range(_ROUNDS):
        found, _ = optimize.nnls(variances / expected[:, None], squared / expected)
        expected = np.maximum(variances @ found, least)
    if not found.any():
        found[0] = 1.0
    return tuple(float(weight) for weight in found)


def _weighted(
    weights: Sequence[float], variances: Sequence[FloatArray | DoubleArray]
) -> DoubleArray:
    total = np.zeros(np.shape(variances[0]))
    for weight, variance in zip(weights, variances, strict=False):
        if weight:
            total += weight * variance
    return total
