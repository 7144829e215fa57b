"""Where in a scan the noise is stronger or weaker than simulated.

It differs from slice to slice, with the tube current, and with the distance from the isocentre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.simulation.model import TREND_UNIT_MM, RadialTrend
from ctdenoise.simulation.patch_spectra import Patches

IndexArray = npt.NDArray[np.intp]

RING_MM = 30.0
"""Width of the rings around the isocentre in which patches are compared."""

FEWEST_IN_CELL = 6
"""Patches of one pair of slices and one ring."""

_FLAT_IN_PAIR = 0.4
"""The patches of a pair with the least anatomy. The rings of the spectrum used here hold little of
it, so more patches serve than for the spectrum."""

_SIGNIFICANT = 3.0
"""Standard errors that a trend must exceed to be followed."""

_STEEPEST = 0.5
"""Largest slope that is believed: between geometries and bowties the noise differs by less."""

_REACH_QUANTILE = 0.98


@dataclass(frozen=True, eq=False)
class NoiseByPlace:
    """Measured over simulated noise by place, as ratios of standard deviations.

    Args:
        pair: Ratio of each pair of slices at the isocentre, [pair]; not a number where unknown.
        pair_error: Their relative standard errors, [pair].
        radius_mm: Middle of each ring, [ring].
        ring: Ratio in each ring, the ratios of the pairs taken out, [ring].
        ring_spread: Standard deviation of the ratio between the pairs in a ring, [ring].
        ring_patches: Number of patches in each ring, [ring].
        slope: Of the logarithm with the square of the radius over 100 mm.
        slope_error: Its standard error.
        reach_mm: Largest radius with patches.
        spread: Standard deviation of the ratio over all pairs and rings, after the fit.
    """

    pair: DoubleArray
    pair_error: DoubleArray
    radius_mm: DoubleArray
    ring: DoubleArray
    ring_spread: DoubleArray
    ring_patches: DoubleArray
    slope: float
    slope_error: float
    reach_mm: float
    spread: float

    def trend(self, so_far: RadialTrend | None) -> RadialTrend | None:
        """The trend that a simulation lacked, on top of the one it had; None where unclear."""
        before = 0.0 if so_far is None else so_far.slope
        slope = float(np.clip(before + self.slope, -_STEEPEST, _STEEPEST))
        if abs(slope) < _SIGNIFICANT * self.slope_error:
            return None
        return RadialTrend(slope, self.reach_mm)


def noise_by_place(
    variance_ratio: DoubleArray, excess: DoubleArray, patches: Patches
) -> NoiseByPlace | None:
    """Compare measured with simulated noise by pairs of slices and rings around the isocentre.

    ln ratio = g(pair) + slope (r / 100 mm)^2, fitted to the medians of cells by least squares.

    Args:
        variance_ratio: Measured over expected variance of each patch, [patch].
        excess: Low-frequency power of each patch over its expected noise, which tells anatomy.
        patches: Where the patches lie.
    """
    pair, radius = patches.pair, patches.radius_mm
    flat = _flat_in_each_pair(excess, pair)
    ring = (radius // RING_MM).astype(int)
    cells: list[tuple[float, ...]] = []
    for j, i in sorted(set(zip(pair[flat].tolist(), ring[flat].tolist(), strict=True))):
        inside = flat & (pair == j) & (ring == i)
        if np.count_nonzero(inside) >= FEWEST_IN_CELL:
            value = 0.5 * np.log(np.median(variance_ratio[inside]))
            square = np.mean((radius[inside] / TREND_UNIT_MM) ** 2)
            cells.append((j, i, value, square, float(np.count_nonzero(inside))))
    if len(cells) < 3:
        return None
    return _fitted(
        np.array(cells), len(patches.chosen), float(np.quantile(radius, _REACH_QUANTILE))
    )


def _flat_in_each_pair(excess: DoubleArray, pair: IndexArray) -> BoolArray:
    flat = np.zeros(len(excess), dtype=np.bool_)
    for j in np.unique(pair):
        own = pair == j
        flat[own] = excess[own] <= np.quantile(excess[own], _FLAT_IN_PAIR)
    return flat


def _fitted(cells: DoubleArray, pairs: int, reach_mm: float) -> NoiseByPlace:
    """Least squares over cells (pair, ring, value, squared radius, patches)."""
    of_pair, of_ring = cells[:, 0].astype(int), cells[:, 1].astype(int)
    values, squares, counts = cells[:, 2], cells[:, 3], cells[:, 4]
    known = np.unique(of_pair)
    has_rings = len(np.unique(of_ring)) > 1 and len(cells) > len(known) + 1
    design = (of_pair[:, None] == known).astype(float)
    if has_rings:
        design = np.column_stack([design, squares])
    root = np.sqrt(counts)[:, None]
    inverse = np.linalg.pinv((design * root).T @ (design * root))
    solution = inverse @ (design.T @ (counts * values))
    rest = values - design @ solution
    freedom = max(1, len(cells) - design.shape[1])
    errors = np.sqrt(np.diag(inverse) * np.sum(counts * rest**2) / freedom)
    pair, pair_error = np.full(pairs, np.nan), np.full(pairs, np.nan)
    pair[known], pair_error[known] = np.exp(solution[: len(known)]), errors[: len(known)]
    rings = np.unique(of_ring)
    without_pair = values - np.log(pair[of_pair])
    means, spreads, numbers = [], [], []
    for ring in rings:
        inside = of_ring == ring
        mean = np.average(without_pair[inside], weights=counts[inside])
        square = np.average((without_pair[inside] - mean) ** 2, weights=counts[inside])
        means.append(np.exp(mean))
        spreads.append(np.sqrt(square))
        numbers.append(counts[inside].sum())
    return NoiseByPlace(
        pair,
        pair_error,
        (rings + 0.5) * RING_MM,
        np.array(means),
        np.array(spreads),
        np.array(numbers),
        float(solution[-1]) if has_rings else 0.0,
        float(errors[-1]) if has_rings else np.inf,
        reach_mm,
        float(np.sqrt(np.average(rest**2, weights=counts))),
    )
