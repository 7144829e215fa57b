"""How much noise each training patch has to lose, for networks that are told.

The noise of a low-dose image is that which was added to the full-dose one, and its own: their
variances add up. Where the target is the full dose as it is, only what was added can be learnt to
be removed, and only that is told. A network that was told all of it would learn what share of its
noise a scan of so much noise keeps, which is another one for every scanner; a network that is told
what to remove also removes the own noise of a scan when it is told that.

What was added is known exactly where the simulator draws it for the patch, and is measured from the
difference of the twins otherwise; the scan's own noise is measured from its pixels, as that of any
scan is when the network is put to work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.metrics.noise_map import SLICES_BESIDE, NoiseMap, difference_map, measured_noise
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.own_noise import MoreOwnNoise


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedNoise:
    """The noise of patches of some slices of one series.

    Args:
        own: Noise of the full dose; None where it has none, or the target shows it, too.
        added: What each stored low dose has more; empty where noise is fresh, or none is added.
        fresh: Draws the noise of every patch; None where the stored low doses are used.
    """

    own: NoiseMap | None
    added: tuple[NoiseMap, ...]
    fresh: FreshNoise | MoreOwnNoise | None = None

    def of(
        self, index: int, place: tuple[int, int], size: int, *, low: int, dose: float
    ) -> FloatArray:
        """Standard deviation of the noise to remove of a square patch, HU, float32 [y, x].

        Args:
            index: Slice.
            place: First row and column.
            size: Edge, pixels.
            low: Which of the stored low doses.
            dose: Dose of fresh noise over that of the scan.
        """
        own, added = self.parts(index, place, size, low=low, dose=dose)
        deviation: FloatArray = np.hypot(own, added)
        return deviation

    def parts(
        self, index: int, place: tuple[int, int], size: int, *, low: int, dose: float
    ) -> tuple[FloatArray, FloatArray]:
        """Standard deviation of the own noise and of the added one; arguments as for `of`."""
        shape = (size, size)
        own = np.zeros(shape, np.float32)
        if self.own is not None:
            own = self.own.at(index, place, shape)
        if self.fresh is not None:
            return own, self.fresh.deviation(index, place, size, dose=dose)
        if not self.added:
            return own, np.zeros(shape, np.float32)
        return own, self.added[low].at(index, place, shape)


def expected_noise(
    full: StoredArray,
    low: tuple[StoredArray, ...],
    pixel_spacing_mm: tuple[float, float],
    fresh: FreshNoise | MoreOwnNoise | None,
    *,
    own_counts: bool,
    along_mm: DoubleArray | None = None,
) -> ExpectedNoise:
    """The noise of some slices, measured once.

    Args:
        full: Full dose, int16 HU [z, y, x].
        low: Low doses, like `full`.
        pixel_spacing_mm: Distance between rows, then between columns.
        fresh: Draws the noise of every patch; None where the low doses are used.
        own_counts: Whether the full dose has noise, and its removal can be learnt: not where the
            target shows it, too.
        along_mm: Place of each slice along the normal, mm, ascending; None where all are near.
    """
    padding = full == PADDING_HU
    own = measured_noise(full, padding, pixel_spacing_mm, along_mm) if own_counts else None
    stored = () if fresh is not None else low
    added = tuple(
        difference_map(each, full, padding, pixel_spacing_mm, along_mm) for each in stored
    )
    return ExpectedNoise(own, added, fresh)


def noise_beyond(
    low: StoredArray,
    full: StoredArray,
    index: int,
    pixel_spacing_mm: tuple[float, float],
    along_mm: DoubleArray,
) -> FloatArray:
    """The noise that one slice has more than its full-dose twin, HU, [y, x].

    Both are measured as it is done when a network is put to work; their variances are subtracted.

    Args:
        low: HU, int16 [z, y, x].
        full: Like it.
        index: Which slice; its neighbours count too.
        pixel_spacing_mm: Distance between rows, then between columns.
        along_mm: Place of each slice along the normal, mm, ascending [z].
    """
    first = max(0, index - SLICES_BESIDE)
    near = slice(first, index + SLICES_BESIDE + 1)
    more, own = (
        measured_noise(each[near], each[near] == PADDING_HU, pixel_spacing_mm, along_mm[near]).at(
            index - first, (0, 0), (low.shape[1], low.shape[2])
        )
        for each in (low, full)
    )
    beyond: FloatArray = np.sqrt(np.maximum(more**2 - own**2, 0))
    return beyond
