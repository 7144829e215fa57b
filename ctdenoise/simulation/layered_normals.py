"""Normal numbers of rays, shared by slices that overlap.

A function of the words of a layer and of the number of the ray alone. The loops compute on whole
vectors in a small buffer of their own, see `noise`.
"""

from __future__ import annotations

import numpy as np
from numba import float32, uint32

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.elementary import Scalar, normal_pair, scramble
from ctdenoise.simulation.overlap import Layers, RandomWords
from ctdenoise.simulation.vectors import LANES, exactly_inlined, multiply_add

Numbers = tuple[FloatArray, FloatArray]
"""Normal numbers of a pair of rays: of every layer, and of every lane."""

_SECOND = np.uint32(0x9E3779B9)
"""An odd constant that separates the random words of one ray."""


@exactly_inlined
def _draw_layers(words: tuple[Scalar, Scalar], keys: RandomWords, normals: FloatArray) -> None:
    """Two normal numbers of each layer for a pair of rays, [ray of the pair, layer] flat."""
    layers = keys.shape[0] // 2
    work = np.empty(2 * LANES, np.float32)
    for block in range(0, layers, LANES):
        for lane in range(LANES):
            one = scramble(words[0] + keys[2 * block + lane])
            two = scramble(words[1] + keys[2 * block + LANES + lane])
            work[lane], work[LANES + lane] = normal_pair(one, two)
        for lane in range(LANES):
            normals[block + lane] = work[lane]
            normals[layers + block + lane] = work[LANES + lane]


@exactly_inlined
def _mix_layers(
    normals: FloatArray, weights: FloatArray, layers: int, lanes: int, mixed: FloatArray
) -> None:
    """Weighted sums of neighbouring layers, [ray of the pair, lane] flat."""
    reach = weights.shape[0] // lanes
    work = np.empty(3 * LANES, np.float32)
    for part in range(2):
        for block in range(0, lanes, LANES):
            at = part * layers + block
            for lane in range(LANES):
                work[lane] = float32(0.0)
            for ahead in range(reach):
                for lane in range(LANES):
                    work[LANES + lane] = weights[ahead * lanes + block + lane]
                    work[2 * LANES + lane] = normals[at + lane + ahead]
                for lane in range(LANES):
                    work[lane] = multiply_add(
                        work[LANES + lane], work[2 * LANES + lane], work[lane]
                    )
            for lane in range(LANES):
                mixed[part * lanes + block + lane] = work[lane]


@exactly_inlined
def draw_normals(ray: int, layers: Layers, numbers: Numbers) -> None:
    """Standard normal numbers of a pair of rays in every lane, into the second of `numbers`."""
    keys, weights = layers
    drawn, mixed = numbers
    words = scramble(uint32(ray)), scramble(uint32(ray) ^ _SECOND)
    lanes = mixed.shape[0] // 2
    if weights.shape[0] == lanes:
        _draw_layers(words, keys, mixed)
    else:
        _draw_layers(words, keys, drawn)
        _mix_layers(drawn, weights, keys.shape[0] // 2, lanes, mixed)
