"""From a series to its denoised twin, block by block: read ahead, denoise, write behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.overlap import Busy, in_lanes, read_ahead, write_behind
from ctdenoise.core.progress import Advance
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoised, Denoising
from ctdenoise.inference.method import Block, Sample
from ctdenoise.inference.network_method import lanes_of
from ctdenoise.inference.region import Region

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

    The change is that of every image voxel, the noise that of the slices of the sample; both only
    where a region, if there is one, is wholly inside.

    Args:
        sample: Slices of the scan, before.
        region: Where anything may be changed; None for everywhere.
    """

    def __init__(self, sample: Sample, region: Region | None = None) -> None:
        self.sample = sample
        self._region = region
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
            padding = None if before.padding is None else before.padding[index]
            aside = self._aside(padding, place)
            change = after.hu[index] - before.hu[index]
            if aside is not None:
                change = change[~aside]
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
        volume, region = self.sample.volume, self._region
        spacing = volume.geometry.pixel_spacing_mm
        if region is None:
            return noise_level_hu(hu, volume.padding, spacing)
        inside = [(n, at) for n, at in enumerate(self.sample.places) if region.touches(at)]
        if not inside:
            return None
        numbers = [number for number, _ in inside]
        padding = None if volume.padding is None else volume.padding[numbers]
        body = body_mask(volume.hu[numbers], padding)
        body &= np.stack([region.weights(place) == 1 for _, place in inside])
        return noise_level_hu(hu[numbers], padding, spacing, body=body)

    def _aside(self, padding: BoolArray | None, place: int) -> BoolArray | None:
        """Pixels of a slice that are not measured; None for none."""
        if self._region is None:
            return padding
        outside = self._region.weights(place) < 1
        return outside if padding is None else outside | padding
