"""Noise of many patches of a scan, drawn together.

As `ImageDomainNoise` draws it, with two savings. The white noise is drawn as a spectrum. And over a
patch the strength of the noise changes in all sectors of direction in much the same way: a few
products of a weight for each sector and a map stand for the maps of all of them, the leading ones
of their singular value decomposition. So a few spectra have to be transformed, not one for each
sector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.image_domain import ImageDomainNoise, period_of
from ctdenoise.simulation.noise import NoiseStatistics
from ctdenoise.simulation.noise_maps import NoiseMaps, strength

LOST_SHARE = 3e-3
"""Share of the variance over a patch that the products may leave out; the others make up for it."""

PATCHES_AT_ONCE = 16
"""Patches whose spectra stay in the cache of a processor."""

SEEDS = 2**64
"""Seeds of noise are whole numbers below this; the number after the last one is 0."""

IndexArray = npt.NDArray[np.int64]


class Places(NamedTuple):
    """Where square patches lie; every array is int64 [patch].

    Args:
        z: Slice.
        row: First row.
        column: First column.
        size: Edge of all of them, pixels.
    """

    z: IndexArray
    row: IndexArray
    column: IndexArray
    size: int


class PatchNoise:
    """Draws noise of patches of the slices of one scan.

    Args:
        drawing: The scan.
        maps: How strong the noise of its slices is.
    """

    def __init__(self, drawing: ImageDomainNoise, maps: NoiseMaps) -> None:
        self._drawing = drawing
        self._maps = maps
        self._covariances: dict[tuple[int, ...], FloatArray] = {}

    def draw(
        self,
        places: Places,
        statistics: Sequence[NoiseStatistics],
        seeds: Sequence[int],
        weights: FloatArray | None = None,
    ) -> FloatArray:
        """Noise of patches, HU, [patch, y, x]; zero outside the scan field.

        Args:
            places: Where they lie.
            statistics: What noise to draw for each, at doses between those of the maps.
            seeds: One for each patch: its noise depends on nothing else.
            weights: Of layers of white noise that a patch is made of, [patch, layer], those of the
                seed and of the numbers that follow it; None for that of the seed alone.
        """
        noise = np.empty((len(seeds), places.size, places.size), np.float32)
        for start in range(0, len(seeds), PATCHES_AT_ONCE):
            part = slice(start, start + PATCHES_AT_ONCE)
            some = Places(places.z[part], places.row[part], places.column[part], places.size)
            shares = None if weights is None else weights[part]
            noise[part] = self._drawn(
                some, statistics[part], _white(seeds[part], places.size, shares)
            )
        return noise

    def deviation(self, places: Places, statistics: Sequence[NoiseStatistics]) -> FloatArray:
        """Standard deviation of what `draw` draws, HU, [patch, y, x].

        The sectors are filtered from the same white noise, so their covariances count as well. It
        is computed where the maps have pixels, and interpolated.

        Args:
            places: Where the patches lie.
            statistics: What noise is drawn for each.
        """
        coarse = self._coarse(places, statistics)
        covariance = np.array([self._covariance(each, places.size) for each in _each(places)])
        variance = ((coarse.roots @ covariance) * coarse.roots).sum(axis=2)
        deviation = np.sqrt(np.maximum(variance, 0)).reshape(len(variance), *coarse.shape)
        fine: FloatArray = coarse.along_y @ deviation @ coarse.along_x.transpose(0, 2, 1)
        return fine * self._drawing.in_field(places.row, places.column, places.size)

    def _drawn(
        self,
        places: Places,
        statistics: Sequence[NoiseStatistics],
        white: npt.NDArray[np.complex64],
    ) -> FloatArray:
        """Noise of patches made of the spectra of white noise, which are changed."""
        size, length = places.size, period_of(places.size)
        sectors = self._drawing.frequencies(length).sectors
        coarse = self._coarse(places, statistics)
        products = _products(coarse.roots)
        white *= np.array([self._drawing.amplitude(place, size) for place in _each(places)])
        spectra = (products.weights @ sectors.reshape(len(sectors), -1)).reshape(
            -1, *sectors.shape[1:]
        ) * white[products.patch]
        lines = fft.ifft(spectra, axis=1, overwrite_x=True)[:, :size]
        drawn = fft.irfft(lines, length, axis=2)[:, :, :size]
        maps = products.maps.reshape(-1, *coarse.shape)
        along_x = coarse.along_x.transpose(0, 2, 1)
        drawn *= coarse.along_y[products.patch] @ maps @ along_x[products.patch]
        noise = np.zeros((len(white), size, size), np.float32)
        for patch, part in zip(products.patch.tolist(), drawn, strict=True):
            noise[patch] += part
        noise *= self._drawing.in_field(places.row, places.column, size)
        return noise

    def _covariance(self, place: tuple[int, int], size: int) -> FloatArray:
        """Covariance of the sectors at unit strength, [sector, sector]."""
        key = self._drawing.spectrum_of(place, size)
        if key not in self._covariances:
            amplitude = self._drawing.amplitude(place, size)
            length = len(amplitude)
            both = np.full(amplitude.shape[1], np.float32(2))  # half of them are not stored
            both[[0, -1]] = 1
            transfer = self._drawing.frequencies(length).sectors * (amplitude * np.sqrt(both))
            flat = transfer.reshape(len(transfer), -1)
            self._covariances[key] = np.asarray(flat @ flat.T / length**2, dtype=np.float32)
        return self._covariances[key]

    def _coarse(self, places: Places, statistics: Sequence[NoiseStatistics]) -> _Coarse:
        """The strength of the sectors around patches, where the maps have pixels."""
        spread, factor = self._maps.spread, self._maps.factor
        rows, lower_y, along_y = _interpolation(places.row, places.size, factor, spread.shape[3])
        columns, lower_x, along_x = _interpolation(
            places.column, places.size, factor, spread.shape[4]
        )
        window = spread[
            places.z[:, None, None],
            :,
            :,
            (lower_y[:, None] + np.arange(rows))[:, :, None],
            (lower_x[:, None] + np.arange(columns))[:, None, :],
        ]  # [patch, y, x, dose, sector]
        power = np.square(window, dtype=np.float32).reshape(
            len(window), rows * columns, *spread.shape[1:3]
        )
        mixed = power[:, :, 0]
        if len(self._maps.statistics) > 1:
            first, last = (1 / each.dose_fraction for each in self._maps.statistics)
            part = [(1 / each.dose_fraction - first) / (last - first) for each in statistics]
            share = np.array(part, np.float32)[:, None, None]
            mixed = mixed + share * (power[:, :, 1] - mixed)
        scale = np.array([strength(each) for each in statistics], np.float32)
        roots = np.sqrt(scale[:, None, None] * np.maximum(mixed, 0))
        return _Coarse(roots, (rows, columns), along_y, along_x)


class _Coarse(NamedTuple):
    """Strength of the sectors on the pixels of the maps, and how to interpolate it.

    Args:
        roots: HU, [patch, pixel, sector].
        shape: Rows and columns of these pixels.
        along_y: Weights of coarse rows in fine ones, [patch, fine, coarse].
        along_x: The same of columns.
    """

    roots: FloatArray
    shape: tuple[int, int]
    along_y: FloatArray
    along_x: FloatArray


class _Products(NamedTuple):
    """Products of weights of the sectors and a map, whose sum stands for all maps of a patch.

    Args:
        patch: To which patch each belongs, [product].
        weights: [product, sector].
        maps: HU, [product, pixel].
    """

    patch: IndexArray
    weights: FloatArray
    maps: FloatArray


def _products(roots: FloatArray) -> _Products:
    """The leading products of maps [patch, pixel, sector]; each patch has at least one."""
    values, vectors = np.linalg.eigh(roots.transpose(0, 2, 1) @ roots)
    values, vectors = np.maximum(values[:, ::-1], 0), vectors[:, :, ::-1]
    total = values.sum(axis=1, keepdims=True)
    before = np.cumsum(values, axis=1) - values
    taken = total - before > LOST_SHARE * total
    taken[:, 0] = True
    patch, which = np.nonzero(taken)
    weights = vectors[patch, :, which]
    kept = np.where(taken, values, 0).sum(axis=1)
    gain = np.sqrt(total[:, 0] / np.where(kept > 0, kept, 1))
    maps = (roots @ vectors).transpose(0, 2, 1)[patch, which] * gain[patch, None]
    return _Products(patch, weights, maps.astype(np.float32))


def _each(places: Places) -> list[tuple[int, int]]:
    """First row and column of every patch."""
    return list(zip(places.row.tolist(), places.column.tolist(), strict=True))


def _interpolation(
    first: IndexArray, size: int, factor: int, pixels: int
) -> tuple[int, IndexArray, FloatArray]:
    """How many coarse pixels patches need along an axis, the first of them, and their weights."""
    at = (first[:, None] + np.arange(size) - (factor - 1) / 2) / factor
    at = np.clip(at, 0, pixels - 1)
    count = min(pixels, -(-(size - 1) // factor) + 2)
    start = np.minimum(at[:, 0].astype(np.int64), pixels - count)
    apart = np.abs((at - start[:, None])[:, :, None] - np.arange(count))
    return count, start, np.maximum(1 - apart, 0).astype(np.float32)


def _white(
    seeds: Sequence[int], size: int, weights: FloatArray | None
) -> npt.NDArray[np.complex64]:
    """Halves of the spectra of white noise for patches of some edge, [patch, fy, fx].

    Args:
        seeds: One for each patch.
        size: Edge of the patches, pixels.
        weights: Of the layers of the seed and of the numbers after it, [patch, layer].
    """
    length = period_of(size)
    white = _white_spectra(seeds, length)
    if weights is None:
        return white
    white *= weights[:, 0, None, None]
    for ahead in range(1, weights.shape[1]):
        layer = _white_spectra([(seed + ahead) % SEEDS for seed in seeds], length)
        white += weights[:, ahead, None, None] * layer
    return white


def _white_spectra(seeds: Sequence[int], length: int) -> npt.NDArray[np.complex64]:
    """Halves of the spectra of white noise of unit variance, [patch, fy, fx].

    A complex Gaussian number has an even phase, and a squared length of exponential distribution.
    The first and the last column would hold pairs of conjugates. Here all their values are
    independent, and half of their power is lost when the real part is taken.
    """
    even = np.empty((len(seeds), 2, length, length // 2 + 1), np.float32)
    for seed, each in zip(seeds, even, strict=True):
        np.random.Generator(np.random.SFC64(seed)).random(dtype=np.float32, out=each)
    radius = np.sqrt(np.float32(-(length**2)) * np.log(1 - even[:, 0]))
    radius[:, :, [0, -1]] *= np.float32(np.sqrt(2))
    phase = np.float32(2 * np.pi) * even[:, 1]
    spectra = np.empty(radius.shape, np.complex64)
    np.multiply(radius, np.cos(phase), out=spectra.real)
    np.multiply(radius, np.sin(phase), out=spectra.imag)
    return spectra
