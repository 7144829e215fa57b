"""Noise that slices share because they overlap.

A slice of thickness T is a mean over its profile, so that slices closer than T see some of the same
photons. With a box profile, the noise of slices a distance x apart correlates by

    c(x) = max(0, 1 - x / T).

The noise of slice i is drawn as a weighted sum of independent layers, one for each slice:
``sum_k w[i, k] g[i + k]``, with the weights of a row squaring up to one. They are the Cholesky
factor of the matrix of correlations, taken from the last slice backwards, so that no slice needs
layers beyond the end of the scan. The matrix is one of scalar products of boxes, so the factor
exists for any positions: a gap wider than T ends the correlation of itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.simulation.vectors import LANES, lanes_for

RandomWords = npt.NDArray[np.uint32]

MOST_SHARING = 16
"""No slice is taken to be thicker than this many usual spacings: the header would be wrong."""

_NEGLIGIBLE_OVERLAP = 0.01
"""Neighbours that overlap less do so by the rounding of positions and thickness."""

_LEAST_SHARED = 0.05
"""Measured correlation of the noise of neighbours below which they count as independent."""

_LEAST_PIVOT = 1e-6
"""Below this a layer adds nothing: its slice lies at the place of another."""


def layer_weights(positions_mm: DoubleArray, thickness_mm: float | None) -> FloatArray:
    """Weights of the layers whose sum is the noise of each slice, [slice, layer ahead].

    One column, all ones, where no slices overlap. Weights of layers beyond the last are zero.

    Args:
        positions_mm: Of all slices of a scan along their normal, in order.
        thickness_mm: Of a slice; None where it is not known, and taken as no overlap.
    """
    slices = len(positions_mm)
    if thickness_mm is None or slices < 2:
        return np.ones((slices, 1), np.float32)
    spacing = float(np.median(np.abs(np.diff(positions_mm))))
    thickness_mm = min(thickness_mm, MOST_SHARING * spacing)
    reach = _reach(positions_mm, thickness_mm)
    weights = np.zeros((slices, reach))
    weights[:, 0] = 1.0
    if reach == 1:
        return weights.astype(np.float32)
    for index in range(slices - 2, -1, -1):
        row = weights[index]
        last = min(reach, slices - index) - 1
        for ahead in range(last, 0, -1):
            distance = abs(positions_mm[index + ahead] - positions_mm[index])
            shared = max(0.0, 1 - distance / thickness_mm)
            other = weights[index + ahead]
            shared -= row[ahead + 1 :] @ other[1 : reach - ahead]
            row[ahead] = shared / other[0] if other[0] > _LEAST_PIVOT else 0.0
        row[0] = np.sqrt(max(0.0, 1 - row[1:] @ row[1:]))
    return weights.astype(np.float32)


def thickness_of(positions_mm: DoubleArray, correlation: float | None) -> float | None:
    """Thickness, mm, at which neighbouring slices share as much noise as was measured.

    Args:
        positions_mm: Of all slices of a scan along their normal, in order.
        correlation: Of the noise in neighbouring slices; None where not known.

    Returns:
        None where they share none.
    """
    if correlation is None or correlation < _LEAST_SHARED or len(positions_mm) < 2:
        return None
    return float(np.median(np.abs(np.diff(positions_mm)))) / (1 - correlation)


def _reach(positions_mm: DoubleArray, thickness_mm: float) -> int:
    """How many slices in a row overlap the first of them, itself included."""
    nearest = np.abs(np.diff(positions_mm)).min()
    if nearest >= (1 - _NEGLIGIBLE_OVERLAP) * thickness_mm:
        return 1
    reach = 1
    while reach < len(positions_mm):
        distances = np.abs(positions_mm[reach:] - positions_mm[:-reach])
        if distances.min() >= thickness_mm:
            break
        reach += 1
    return reach


class Layers(NamedTuple):
    """Where the random numbers of each lane come from."""

    keys: RandomWords
    """Two random words for each layer, laid out for vectors: [vector, 2, LANES], flat."""
    weights: FloatArray
    """Weights of a lane's own layer and of the following ones, [layer ahead, lane], flat."""


def lane_layers(keys: RandomWords, lanes: int, weights: FloatArray | None = None) -> Layers:
    """The random numbers of slices that are simulated side by side.

    Args:
        keys: Two random words for each layer, [2, layer].
        lanes: Slices side by side, a multiple of `vectors.LANES`.
        weights: Of the layers that each slice takes, from its own onwards, [slice, layer ahead];
            None for slices of independent noise. See `layer_weights`.
    """
    if weights is None or weights.shape[1] == 1:
        keys, reach = keys[:, :lanes], 1
    else:
        reach = weights.shape[1]
    padded = np.zeros((2, lanes + lanes_for(reach - 1)), np.uint32)
    padded[:, : keys.shape[1]] = keys
    of_lanes = np.zeros((reach, lanes), np.float32)
    of_lanes[0] = 1.0
    if weights is not None and reach > 1:
        of_lanes[:, : len(weights)] = weights.T
    words = np.ascontiguousarray(padded.reshape(2, -1, LANES).swapaxes(0, 1)).reshape(-1)
    return Layers(words, of_lanes.reshape(-1))
