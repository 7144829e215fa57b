"""What a patch teaches where no full dose is free of noise.

A lesson takes the two gathered patches of a place and gives what the network sees, what it should
say and how much each pixel counts. All of them make the noise of input and target uncorrelated, so
that the squared error learns the image without noise: with Gaussian noise n_in and n_out of zero
covariance, E[x + n_out | x + n_in] = E[x | x + n_in].
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.units import AIR_HU
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.metrics.noise_map import NoiseMap
from ctdenoise.training.expected_noise import ExpectedNoise
from ctdenoise.training.symmetries import turned

Indices = npt.NDArray[np.int64]

_LEAST_ADDED_HU = 1e-3
"""Outside the scan field nothing is added: nothing is divided by less."""


class Place(NamedTuple):
    """Where a patch lies and what was drawn for it.

    Args:
        z: Slice.
        corner: First row and column.
        size: Edge, pixels.
        low: Which of the stored low doses.
        dose: Dose of fresh noise; NaN without.
        symmetry: How the patch is turned, see `symmetries`.
        seed: For what else is random about it.
    """

    z: int
    corner: tuple[int, int]
    size: int
    low: int
    dose: float
    symmetry: int
    seed: int


class Taught(NamedTuple):
    """What is learnt from a patch.

    Args:
        low: What the network sees, int16 HU [y, x].
        target_hu: What it should say, float32 HU [y, x].
        weight: How much each pixel counts, float32 [y, x].
    """

    low: StoredArray
    target_hu: FloatArray
    weight: FloatArray


class Lesson(Protocol):
    """Makes an input and a target of two patches; the same place gives the same."""

    def taught(self, low: StoredArray, full: StoredArray, place: Place) -> Taught:
        """What is learnt from a patch.

        Args:
            low: The patch of the low dose, int16 HU [y, x], turned.
            full: That of the full dose, like it.
            place: Where it lies.
        """
        ...


class CorrectedTarget:
    """Takes from the full dose what makes its noise uncorrelated with that of the low dose.

    With full = x + n_f and low = full + n_a, the target full - k (low - full) = x + n_f - k n_a has
    the covariance var(n_f) - k var(n_a) with low, none for k = var(n_f) / var(n_a): recorrupted to
    recorrupted (Pang et al., CVPR 2021) with noise that a pair has already. It vanishes between all
    pixels where both noises have one texture. A pixel counts 1/(1 + k), in proportion to the
    inverse of its variance var(n_f) (1 + k).

    Args:
        expected: Own and added noise of every patch.
        largest_factor: Largest k.
    """

    def __init__(self, expected: ExpectedNoise, largest_factor: float) -> None:
        self.expected = expected
        self.largest_factor = largest_factor

    def taught(self, low: StoredArray, full: StoredArray, place: Place) -> Taught:
        """See `Lesson`."""
        k = turned(self.factor(place), place.symmetry)
        added = np.subtract(low, full, dtype=np.float32)
        return Taught(low, _in_hu(full) - k * added, np.float32(1) / (1 + k))

    def factor(self, place: Place) -> FloatArray:
        """The factor k of each pixel, not turned, [y, x]."""
        own, added = self.expected.parts(
            place.z, place.corner, place.size, low=place.low, dose=place.dose
        )
        ratio = np.square(own / np.maximum(added, np.float32(_LEAST_ADDED_HU)))
        k: FloatArray = np.minimum(ratio, np.float32(self.largest_factor))
        return k


class AgreeingPixels:
    """Counts the pixels of two slices that show the same anatomy, as far as noise lets one see.

    The difference of the slices, averaged over a square, is compared with its standard deviation.

    Args:
        own: Noise of the slices.
        window: Edge of the square, pixels.
        spread: Standard deviation of the averaged difference over that of the noise of a pixel.
        limit: Standard deviations that are still the same.
    """

    def __init__(self, own: NoiseMap, *, window: int, spread: float, limit: float) -> None:
        self._own = own
        self._window = window
        self._limit = limit * spread

    def taught(self, low: StoredArray, full: StoredArray, place: Place) -> Taught:
        """See `Lesson`."""
        own = self._own.at(place.z, place.corner, (place.size, place.size))
        alike = averaged_difference(low, full, self._window) <= self._limit * turned(
            own, place.symmetry
        )
        counted = alike & (low != PADDING_HU) & (full != PADDING_HU)
        return Taught(low, _in_hu(full), counted.astype(np.float32))


def averaged_difference(one: StoredArray, other: StoredArray, window: int) -> FloatArray:
    """Absolute value of the difference of two slices, averaged over a square, HU [y, x].

    Args:
        one: int16 HU [y, x].
        other: Like it.
        window: Edge of the square, pixels.
    """
    difference = _in_hu(one) - _in_hu(other)
    averaged: FloatArray = np.abs(ndimage.uniform_filter(difference, window))
    return averaged


class BlindSpots:
    """Hides single pixels, which the network should guess from those around them.

    One pixel in each square of a grid takes the value of another one nearby; only these count.

    Args:
        share: Share of the pixels that are hidden.
        reach: Pixels in each direction from which the value is taken.
    """

    def __init__(self, share: float, reach: int) -> None:
        self._edge = max(2, round(share**-0.5))
        self._reach = reach

    def taught(self, low: StoredArray, full: StoredArray, place: Place) -> Taught:
        """See `Lesson`."""
        rng = np.random.default_rng(place.seed)
        hidden = self._drawn(rng, low.shape)
        rows, columns = np.nonzero(hidden)
        offset = _offsets(rng, len(rows), self._reach)
        seen = low.copy()
        seen[rows, columns] = low[
            _moved(rows, offset[0], low.shape[0]), _moved(columns, offset[1], low.shape[1])
        ]
        weight = hidden * np.float32(hidden.size / max(1, len(rows)))
        return Taught(seen, _in_hu(full), weight.astype(np.float32))

    def _drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> BoolArray:
        """Which pixels are hidden: as many in every patch, so that pieces of a batch add up."""
        rows, columns = (size // self._edge for size in shape)
        hidden = np.zeros(shape, np.bool_)
        at = rng.integers(0, self._edge, (2, rows, columns))
        row = at[0] + self._edge * np.arange(rows)[:, None]
        column = at[1] + self._edge * np.arange(columns)
        hidden[row, column] = True
        return hidden


def _offsets(rng: np.random.Generator, count: int, reach: int) -> tuple[Indices, Indices]:
    """Rows and columns to another pixel within a square, never the same one."""
    edge = 2 * reach + 1
    cell = rng.integers(0, edge * edge - 1, count)
    cell += cell >= edge * edge // 2  # the middle is left out
    return cell // edge - reach, cell % edge - reach


def _moved(at: Indices, offset: Indices, size: int) -> Indices:
    """Moved by an offset, to the other side where it would leave the patch."""
    there = at + offset
    return np.where((there < 0) | (there >= size), at - offset, there)


def _in_hu(stored: StoredArray) -> FloatArray:
    """Padding as air, as everywhere in training."""
    return np.where(stored == PADDING_HU, np.float32(AIR_HU), stored).astype(np.float32)
