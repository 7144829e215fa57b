"""Noise of any dose of a range for patches of a scan, drawn while a network trains."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.units import AIR_HU
from ctdenoise.errors import OutputError
from ctdenoise.simulation.dose_noise import noise_statistics
from ctdenoise.simulation.image_domain import ImageDomainNoise
from ctdenoise.simulation.noise import NoiseStatistics
from ctdenoise.simulation.noise_maps import NoiseMaps, Spread
from ctdenoise.simulation.patch_noise import SEEDS, IndexArray, PatchNoise, Places
from ctdenoise.simulation.recorded import RecordedScan

SLICES_AT_ONCE = 32
"""Slices that are projected together."""


class FreshNoise:
    """Draws noise for patches of the slices of one scan.

    The maps of the noise lie in an unnamed file, of which the system keeps in memory what is used.

    Args:
        scan: What the scan was calibrated to.
        stored: Slices of it, HU, [slice, y, x].
        padding: Value of pixels outside the reconstruction circle, which count as air.
        first: Index of the first of the slices in the scan.
        doses: Ends of the range of doses over that of the scan, in (0, 1).

    Raises:
        OutputError: If the maps find no room where temporary files are kept.
    """

    def __init__(
        self,
        scan: RecordedScan,
        stored: npt.NDArray[np.int16],
        *,
        padding: int,
        first: int,
        doses: tuple[float, float],
    ) -> None:
        self._settings, self._rows = scan.settings, scan.model.rows
        drawing = ImageDomainNoise(scan.model)
        rows = scan.model.rows
        ends = tuple(
            noise_statistics(dose, scan.settings, rows=rows) for dose in dict.fromkeys(doses)
        )
        spread = _unnamed_file((len(stored), *drawing.map_shape(len(ends))))
        for start in range(0, len(stored), SLICES_AT_ONCE):
            block = stored[start : start + SLICES_AT_ONCE]
            hu = np.where(block == padding, AIR_HU, block).astype(np.float32)
            photons = scan.photons[first + start : first + start + len(hu)]
            maps = drawing.maps(drawing.project(hu), ends, photons=photons)
            spread[start : start + len(hu)] = maps.spread
        self._patches = PatchNoise(drawing, NoiseMaps(spread, ends, drawing.factor))
        shared = scan.layer_weights
        self._weights: FloatArray | None = None
        if shared is not None and shared.shape[1] > 1:
            self._weights = shared[first : first + len(stored)]

    def draw(
        self, index: int, place: tuple[int, int], size: int, *, dose: float, seed: int
    ) -> HuArray:
        """Noise of a square patch, HU, [y, x].

        Args:
            index: Slice, counted from the first of those given.
            place: First row and column.
            size: Edge of the patch, pixels.
            dose: Dose over that of the scan, within the range.
            seed: Same seed, same noise.
        """
        return np.asarray(self.draw_all(_one(index, place, size), [dose], [seed])[0])

    def draw_all(self, places: Places, doses: Sequence[float], seeds: Sequence[int]) -> HuArray:
        """Noise of many patches at once, HU, [patch, y, x].

        Args:
            places: Where they lie; slices are counted from the first of those given.
            doses: Dose of each over that of the scan, within the range.
            seeds: One for each: same seed, same noise.
        """
        return self._patches.draw(places, self._statistics(doses), seeds)

    def draw_around(
        self,
        places: Places,
        around: IndexArray,
        doses: Sequence[float],
        seeds: Sequence[int],
    ) -> HuArray:
        """Noise of patches in neighbouring slices, HU, [patch, slice, y, x].

        It is independent from slice to slice, but for what slices of the scan share because they
        overlap. A slice that is named twice has the same noise twice.

        Args:
            places: Where they lie; slices are counted from the first of those given.
            around: The slices of each, [patch, slice], counted like them.
            doses: Dose of each patch over that of the scan, within the range.
            seeds: One for each patch: same seed, same noise of all its slices.
        """
        slices = around.shape[1]
        row, column = (np.repeat(each, slices) for each in (places.row, places.column))
        every = Places(around.reshape(-1), row, column, places.size)
        apart = (around - places.z[:, None]).tolist()
        layers = [
            (seed + away) % SEEDS
            for seed, of_patch in zip(seeds, apart, strict=True)
            for away in of_patch
        ]
        weights = None if self._weights is None else self._weights[every.z]
        statistics = [each for each in self._statistics(doses) for _ in range(slices)]
        drawn = self._patches.draw(every, statistics, layers, weights)
        return drawn.reshape(*around.shape, places.size, places.size)

    def deviation(
        self, index: int, place: tuple[int, int], size: int, *, dose: float
    ) -> FloatArray:
        """Standard deviation of what `draw` draws, HU, [y, x].

        Args:
            index: Slice, counted from the first of those given.
            place: First row and column.
            size: Edge of the patch, pixels.
            dose: Dose over that of the scan, within the range.
        """
        place_alone = _one(index, place, size)
        return np.asarray(self._patches.deviation(place_alone, self._statistics([dose]))[0])

    def _statistics(self, doses: Sequence[float]) -> list[NoiseStatistics]:
        return [noise_statistics(dose, self._settings, rows=self._rows) for dose in doses]


def _one(index: int, place: tuple[int, int], size: int) -> Places:
    return Places(np.array([index]), np.array([place[0]]), np.array([place[1]]), size)


def _unnamed_file(shape: tuple[int, ...]) -> Spread:
    """An array in a temporary file that goes with it."""
    size = int(np.prod(shape)) * np.dtype(np.float16).itemsize
    with tempfile.TemporaryFile() as file:
        try:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                # Without room set aside, a full disk kills the process where a map is written.
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OutputError(
                f"there is no room for {size / 2**20:.0f} MB of noise maps.",
                where=tempfile.gettempdir(),
                fix="Free some space, or set TMPDIR to a folder on another disk.",
            ) from error
        mapped = np.memmap(file, np.float16, mode="r+", shape=shape)
    # A plain view: indexing np.memmap itself costs microseconds more each time.
    return np.asarray(mapped)
