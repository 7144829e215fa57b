"""How strong the noise of each direction is around every point of a slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.noise import NoiseStatistics

Spread = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class NoiseMaps:
    """How strong the noise of each direction is around every point of some slices.

    Over the dose a, ``V a^2 / linear(a)`` is a straight line in 1/a as long as counts are many, so
    two doses tell those between them.

    Args:
        spread: Root of ``V_theta a^2 / linear(a)``, HU, [slice, dose, sector, y, x], coarse pixels.
        statistics: What noise is drawn at each of these doses, one or two.
        factor: Fine pixels in a coarse one, along each axis.
    """

    spread: Spread
    statistics: tuple[NoiseStatistics, ...]
    factor: int

    def at(
        self,
        index: int,
        statistics: NoiseStatistics,
        place: tuple[int, int],
        shape: tuple[int, int],
    ) -> FloatArray:
        """Root of V_theta in a part of a slice, HU, [sector, y, x], fine pixels.

        Args:
            index: Slice.
            statistics: What noise to draw, at a dose between those of the maps.
            place: First row and column.
            shape: Rows and columns; pixels beyond the slice are as those at its edge.
        """
        _, _, _, rows, columns = self.spread.shape
        along_y = _Interpolation.of(place[0], shape[0], self.factor, rows)
        along_x = _Interpolation.of(place[1], shape[1], self.factor, columns)
        window = self.spread[index, :, :, along_y.window, along_x.window].astype(np.float32)
        power = np.square(window)
        mixed = power[0]
        if len(self.statistics) > 1:
            first, last = (1 / each.dose_fraction for each in self.statistics)
            part = np.float32((1 / statistics.dose_fraction - first) / (last - first))
            mixed = (1 - part) * power[0] + part * power[1]
        root = np.sqrt(np.float32(strength(statistics)) * np.maximum(mixed, 0))
        below, above = root[:, along_y.lower], root[:, along_y.upper]
        root = below + along_y.part[:, None] * (above - below)
        below, above = root[:, :, along_x.lower], root[:, :, along_x.upper]
        return np.asarray(below + along_x.part * (above - below), dtype=np.float32)


class _Interpolation(NamedTuple):
    """Where fine pixels lie between coarse ones; indices within a window of the coarse ones."""

    window: slice
    lower: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    part: FloatArray

    @classmethod
    def of(cls, first: int, count: int, factor: int, pixels: int) -> _Interpolation:
        at = (np.arange(first, first + count) - (factor - 1) / 2) / factor
        at = np.clip(at, 0, pixels - 1)
        lower = at.astype(np.int64)
        upper = np.minimum(lower + 1, pixels - 1)
        start = int(lower[0])
        window = slice(start, int(upper[-1]) + 1)
        return cls(window, lower - start, upper - start, (at - lower).astype(np.float32))


def strength(statistics: NoiseStatistics) -> float:
    """How the variance of log data of many counts goes with the dose."""
    return statistics.linear / statistics.dose_fraction**2
