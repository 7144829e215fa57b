"""From a series to its denoised twin, block by block: read ahead, denoise, write behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ctdenoise.core.arrays import HuArray
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.overlap import Busy, in_lanes, read_ahead, write_behind
from ctdenoise.core.progress import Advance
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoised, Denoising
from ctdenoise.inference.method import Block, Sample
from ctdenoise.inference.network_method import lanes_of

Write = Callable[[Block, Denoised], None]
"""Does something with a block that is denoised; called in the order of the slices."""


def stream(
    blocks: Iterable[Block], denoising: Denoising, write: Write, *, busy: Busy, advance: Advance
) -> None:
    """Denoise blocks while the next ones are read and the last ones are written.

    Memory holds a few blocks, however many there are.

    Args:
        blocks: What is read, in a thread of its own.
        denoising: Denoises them, in the thread of the caller, or in several threads on a GPU.
        write: Called in a thread of its own.
        busy: Told the seconds of "read", "denoise" and "write", and those in which the denoiser
            waited for the others ("wait").
        advance: Told about every slice that is written.
    """

    def finish(item: tuple[Block, Denoised]) -> None:
        with busy.at("write"):
            write(*item)
        advance(len(item[0].places))

    def denoise(block: Block) -> Denoised:
        with busy.at("denoise"):
            return denoising.denoise(block)

    start, before = time.perf_counter(), busy.seconds["denoise"]
    with read_ahead(_timed(blocks, busy)) as read, write_behind(finish) as hand_over:
        for done in in_lanes(denoise, read, lanes=lanes_of(denoising.method)):
            hand_over(done)
    busy.seconds["wait"] += time.perf_counter() - start - (busy.seconds["denoise"] - before)


def _timed(blocks: Iterable[Block], busy: Busy) -> Iterator[Block]:
    wanted = iter(blocks)
    while True:
        with busy.at("read"):
            block = next(wanted, None)
        if block is None:
            return
        yield block


class Figures:
    """What a denoiser did to a scan, measured while its slices go by.

    The change is that of every image voxel, the noise that of the slices of the sample.

    Args:
        sample: Slices of the scan, before.
    """

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._places = {place: at for at, place in enumerate(sample.places)}
        self._after: HuArray = np.empty(sample.volume.shape, dtype=np.float32)
        self._total, self._count = 0.0, 0
        self.largest_change_hu = 0.0
        """Largest absolute change of a voxel so far."""

    def add(self, before: CTVolume, after: CTVolume, places: range) -> None:
        """Measure some slices.

        Args:
            before: The slices.
            after: The same, denoised.
            places: Where in the scan they are.
        """
        for index, place in enumerate(places):
            change = after.hu[index] - before.hu[index]
            if before.padding is not None:
                change = change[~before.padding[index]]
            if change.size:
                self._total += float(change.sum(dtype=np.float64))
                self._count += change.size
                self.largest_change_hu = max(self.largest_change_hu, float(np.abs(change).max()))
            if place in self._places:
                self._after[self._places[place]] = after.hu[index]

    @property
    def mean_change_hu(self) -> float:
        """Mean change over the image voxels so far: a shift of all values."""
        return self._total / self._count if self._count else 0.0

    @property
    def after_hu(self) -> HuArray:
        """The slices of the sample, denoised; whole when all slices went by."""
        return self._after

    def noise_before_hu(self) -> float | None:
        """Noise in the soft tissue of the sample; None where there is too little."""
        return self._noise_hu(self.sample.volume.hu)

    def noise_after_hu(self) -> float | None:
        """The same after denoising."""
        return self._noise_hu(self._after)

    def _noise_hu(self, hu: HuArray) -> float | None:
        volume = self.sample.volume
        return noise_level_hu(hu, volume.padding, volume.geometry.pixel_spacing_mm)
