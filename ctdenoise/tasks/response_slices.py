"""Slices of a scan, whether it is in memory or in files."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.method import Sample
from ctdenoise.io.read import SeriesReader
from ctdenoise.tasks.infer_blocks import read_sample


@dataclass(frozen=True, slots=True)
class Slices:
    """A scan from which some slices are taken; the last ones are kept.

    Args:
        scan: In memory, or open for reading.
    """

    scan: CTVolume | SeriesReader
    _last: dict[tuple[int, int], CTVolume] = field(default_factory=dict, repr=False)

    @property
    def geometry(self) -> Geometry:
        """The grid of the whole scan."""
        return self.scan.geometry

    @property
    def count(self) -> int:
        """How many slices there are."""
        return self.scan.shape[0]

    def sample(self, context: int) -> Sample:
        """The slices that are measured before it is denoised.

        Args:
            context: Slices on either side that the denoiser looks at.
        """
        if isinstance(self.scan, CTVolume):
            return Sample.of(self.scan, context)
        return read_sample(self.scan, context)

    def stretch(self, first: int, stop: int) -> CTVolume:
        """Neighbouring slices.

        Args:
            first: The first one.
            stop: The one after the last.
        """
        if isinstance(self.scan, CTVolume):
            return self.scan.select(slice(first, stop))
        if (first, stop) not in self._last:
            self._last.clear()
            self._last[first, stop] = self.scan.read(slice(first, stop))
        return self._last[first, stop]


def shown_slice(volume: CTVolume, number: int) -> tuple[HuArray, BoolArray | None]:
    """A slice with air at padding, HU, [y, x], and where its padding is.

    Args:
        volume: Some slices.
        number: Which.
    """
    image: HuArray = volume.hu[number]
    if volume.padding is None:
        return image, None
    padding = volume.padding[number]
    shown: HuArray = np.where(padding, np.float32(AIR_HU), image)
    return shown, padding
