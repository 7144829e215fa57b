"""Noise of a low-dose scan drawn in the image: local strength, direction and texture.

Noise of filtered back-projection is locally stationary. At a pixel x its power spectrum in the
direction theta comes from the two rays through x whose normal is theta, one from the near and one
from the far side. With L the distance from the focal spot to x,

    NPS(k, theta; x) = V_theta(x) / k * sum over the two of g L Q(k L),   g ~ L^-3

where Q is the power of the filtered and interpolated channels, V_theta dtheta the variance that
the rays of these directions bring, ``sum of C (D cos gamma)^2 sigma_p^2 / L^4``. A coarse forward
projection gives sigma_p and V. So white noise is filtered by the spectrum around a patch in a few
sectors of direction, each is multiplied by the root of its V_theta(x), and the sectors are added.

Nothing is fitted: the scale is that of the theory. Not in it: streaks of single rays, and the mean
shift of starved rays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft

from ctdenoise.core.arrays import BoolArray, FloatArray, HuArray
from ctdenoise.core.units import HU_PER_RELATIVE_ATTENUATION
from ctdenoise.simulation.directions import (
    back_project_variance,
    fill_amplitudes,
    filtered_power,
    sector_weights,
)
from ctdenoise.simulation.few_counts import LEAST_COUNTS
from ctdenoise.simulation.filters import fan_filter
from ctdenoise.simulation.insertion import NoiseInsertion
from ctdenoise.simulation.log_variance import LogVariance
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import Keys, NoiseStatistics
from ctdenoise.simulation.noise_maps import NoiseMaps, strength
from ctdenoise.simulation.vectors import aligned_zeros

SECTORS = 12
"""Directions that the noise is made of; between them it is interpolated."""

MAP_PIXELS = 64
"""Maps of the variance are at most about this many pixels across."""

TILE = 128
OVERLAP = 32
"""A slice is drawn in square tiles that fade into each other over this many pixels."""

_SAME_SPECTRUM = 32
"""Patches whose middles are nearer than this many pixels share a spectrum: in it, the distance from
the focal spot, which it stretches by, changes by about 2 %."""

_MARGIN = 16
"""Pixels beyond a patch: filtered noise is periodic, and this much of the period is left out."""

_TABLE_REACH = 2
"""Sampling frequencies of the channels that the spectrum is followed to."""

_ALIAS_SHARE = 3e-3
_MOST_ALIASES = 3
_NEAREST = 0.5
"""Least distance from the focal spot over that of the isocentre, where noise is finest."""


IndexArray = npt.NDArray[np.int64]


class Frequencies(NamedTuple):
    """Frequencies of a patch along y and along x, 1/mm, and the sectors, [sector, fy, fx]."""

    along_y: FloatArray
    along_x: FloatArray
    sectors: FloatArray


class ImageDomainNoise:
    """Draws noise of slices of one scan.

    Args:
        model: What to simulate with.
        insertion: Projects the slices; one of its own by default.
    """

    def __init__(self, model: ScanModel, insertion: NoiseInsertion | None = None) -> None:
        self.model = model
        grid, fan = model.grid, model.fan
        self._insertion = insertion or NoiseInsertion(model)
        self.factor = max(1, -(-max(grid.rows, grid.columns) // MAP_PIXELS))
        length = 2 * int(fft.next_fast_len(fan.channels))
        response = fan_filter(fan, model.kernel, length=length).astype(np.float32)
        density = filtered_power(response, _TABLE_REACH)
        self._filtered_power = 2 * float(np.trapezoid(density)) / length
        entries_per_mm = np.float32(fan.channel_width_mm * length)
        self._table = np.append(entries_per_mm, density / self._filtered_power).astype(np.float32)
        self._share = np.cumsum(density) / density.sum()
        self._variances: dict[NoiseStatistics, LogVariance] = {}
        self._lengths: dict[int, Frequencies] = {}
        self._amplitudes: dict[tuple[int, ...], FloatArray] = {}
        self._inside: BoolArray = grid.radius_mm() <= fan.field_radius_mm

    def _aliases(self, radius_mm: float) -> int:
        """How many multiples of the pixels' sampling frequency the spectrum around a point has.

        Noise is finest where it is nearest to the focal spot.
        """
        grid, fan = self.model.grid, self.model.fan
        sampling = 1 / max(grid.row_spacing_mm, grid.column_spacing_mm)
        nearest = max(1 - radius_mm / fan.distance_mm, _NEAREST)
        reach = (np.arange(_MOST_ALIASES) + 0.5) * sampling * nearest * fan.channel_width_mm
        cut = self._share[
            np.minimum(reach * self._table[0] / fan.channel_width_mm, len(self._share) - 1).astype(
                int
            )
        ]
        return int((cut < 1 - _ALIAS_SHARE).sum())

    def map_shape(self, doses: int) -> tuple[int, int, int, int]:
        """Shape of the maps of a slice, [dose, sector, y, x]."""
        coarse = self.model.grid.binned(self.factor)
        return doses, SECTORS, coarse.rows, coarse.columns

    def project(self, hu: HuArray) -> FloatArray:
        """Coarse line integrals, [view, channel, lane], of slices [slice, y, x]."""
        return self._insertion.project(hu)

    def maps(
        self,
        line_integrals: FloatArray,
        statistics: tuple[NoiseStatistics, ...],
        *,
        photons: FloatArray,
    ) -> NoiseMaps:
        """Strength of the noise of slices.

        Args:
            line_integrals: From `project`.
            statistics: One dose, or the two ends of a range of doses.
            photons: N0 at full dose of each slice, [slice].
        """
        padded = np.ones(line_integrals.shape[2], np.float32)
        padded[: len(photons)] = photons / np.float32(self.model.samples_per_channel)
        counts = np.maximum(padded * np.exp(-line_integrals), LEAST_COUNTS)
        for each in statistics:
            if each not in self._variances:
                self._variances[each] = LogVariance(self.model.of_sample(each))
        parts = [self._spread(self._variances[each], counts) for each in statistics]
        spread = np.stack(parts, axis=1)[: len(photons)]
        return NoiseMaps(spread.astype(np.float16), statistics, self.factor)

    def _spread(self, log_variance: LogVariance, counts: FloatArray) -> FloatArray:
        """Root of V_theta over the strength, HU, [lane, sector, y, x]."""
        fan, grid = self.model.fan, self.model.grid.binned(self.factor)
        coarse = fan.coarse(views=counts.shape[0], channels=counts.shape[1])
        scale = (HU_PER_RELATIVE_ATTENUATION / self.model.mu_water_per_mm) ** 2
        scale *= self._filtered_power * fan.views / coarse.views
        scale /= strength(log_variance.statistics)
        weights = scale * (fan.distance_mm * np.cos(coarse.fan_angles)) ** 2
        variance = log_variance(counts) * weights.astype(np.float32)[None, :, None]
        sums = aligned_zeros(grid.rows, grid.columns, SECTORS, counts.shape[2])
        # A coarse pixel beyond the field may have fine ones inside.
        radius = fan.field_radius_mm + 2 * max(grid.row_spacing_mm, grid.column_spacing_mm)
        back_project_variance(variance, coarse.arrays(), grid.arrays(radius), sums)
        density = sums.transpose(3, 2, 0, 1) * np.float32(SECTORS / np.pi)
        root = np.sqrt(density)
        # The roots are interpolated between sectors; the variance of all of them is kept:
        # the integral of the square of triangles is 2/3 s_j^2 + 1/3 s_j s_(j+1).
        drawn = (2 * density + root * np.roll(root, -1, axis=1)).sum(axis=1, keepdims=True) / 3
        total = density.sum(axis=1, keepdims=True)
        root *= np.sqrt(total / np.maximum(drawn, 1e-30))
        if self.model.radial_trend is not None:
            root *= self.model.radial_trend.factor(grid.radius_mm())
        return np.asarray(root, dtype=np.float32)

    def draw(
        self,
        line_integrals: FloatArray,
        statistics: NoiseStatistics,
        *,
        photons: FloatArray,
        keys: Keys,
        weights: FloatArray | None = None,
    ) -> FloatArray:
        """Noise of whole slices in one go, HU, [slice, y, x].

        Args:
            line_integrals: From `project`.
            statistics: What noise to draw.
            photons: N0 at full dose of each slice, [slice].
            keys: Two random words for each slice and for those after it that overlap it.
            weights: How slices share noise, see `overlap.layer_weights`; None if they do not.
        """
        maps = self.maps(line_integrals, (statistics,), photons=photons)
        return self.draw_slices(maps, statistics, keys, weights)

    def draw_slices(
        self,
        maps: NoiseMaps,
        statistics: NoiseStatistics,
        keys: Keys,
        weights: FloatArray | None = None,
    ) -> FloatArray:
        """Noise of whole slices, HU, [slice, y, x]; zero outside the scan field.

        Args:
            maps: Of these slices.
            statistics: What noise to draw.
            keys: Two random words for each slice, [2, slice], and for those after it.
            weights: How slices share noise, [slice, slice ahead]; None if they do not.
        """
        grid, slices = self.model.grid, len(maps.spread)
        shared = np.ones((slices, 1), np.float32) if weights is None else weights
        words = keys.T[: slices + shared.shape[1] - 1]
        rngs = [np.random.Generator(np.random.SFC64(each.tolist())) for each in words]
        noise = np.zeros((slices, grid.rows, grid.columns), np.float32)
        for row, window_y in _tiles(grid.rows):
            for column, window_x in _tiles(grid.columns):
                place, size = (row, column), max(len(window_y), len(window_x))
                transfer = self._transfer(place, size)
                window = window_y[:, None] * window_x
                part = (slice(row, row + len(window_y)), slice(column, column + len(window_x)))
                layers: list[FloatArray] = []
                for index in range(slices):
                    while len(layers) < min(shared.shape[1], len(rngs) - index):
                        layers.append(_white(rngs[index + len(layers)], period_of(size)))
                    white = np.einsum("k,kyx->yx", shared[index, : len(layers)], np.array(layers))
                    spread = maps.at(index, statistics, place, (size, size))
                    patch = self._patch(spread, place, transfer, white)
                    noise[(index, *part)] += window * patch[: len(window_y), : len(window_x)]
                    del layers[0]
        return noise

    def spectrum_of(self, place: tuple[int, int], size: int) -> tuple[int, int, int]:
        """Patches for which this is equal have one spectrum: middle row and column, and size."""
        step = _SAME_SPECTRUM
        row, column = (round((first + (size - 1) / 2) / step) * step for first in place)
        return row, column, size

    def amplitude(self, place: tuple[int, int], size: int) -> FloatArray:
        """Root of the power around the middle of a patch, over all directions, [fy, fx].

        Args:
            place: First row and column of the patch.
            size: Edge, pixels.
        """
        key = self.spectrum_of(place, size)
        if key not in self._amplitudes:
            grid, frequencies = self.model.grid, self.frequencies(period_of(size))
            y_mm = (key[0] - grid.isocentre_row) * grid.row_spacing_mm
            x_mm = (key[1] - grid.isocentre_column) * grid.column_spacing_mm
            amplitude = np.empty(frequencies.sectors.shape[1:], np.float32)
            fill_amplitudes(
                (frequencies.along_y, frequencies.along_x),
                (x_mm, y_mm),
                self.model.fan.distance_mm,
                self._table,
                self._aliases(float(np.hypot(y_mm, x_mm))),
                amplitude,
            )
            self._amplitudes[key] = amplitude
        return self._amplitudes[key]

    def _transfer(self, place: tuple[int, int], size: int) -> FloatArray:
        """Transfer function of each sector around the middle of a patch, [sector, fy, fx]."""
        return self.frequencies(period_of(size)).sectors * self.amplitude(place, size)

    def frequencies(self, length: int) -> Frequencies:
        """Frequencies of patches with a period of some length, and their sectors."""
        if length not in self._lengths:
            grid, fan = self.model.grid, self.model.fan
            along_y = np.fft.fftfreq(length, grid.row_spacing_mm).astype(np.float32)
            along_x = np.fft.rfftfreq(length, grid.column_spacing_mm).astype(np.float32)
            sectors = sector_weights((along_y, along_x), SECTORS)
            # Of the density of the channels' frequency and of the pixels.
            density = fan.channel_angle / (grid.row_spacing_mm * grid.column_spacing_mm)
            sectors *= np.float32(np.sqrt(density))
            self._lengths[length] = Frequencies(along_y, along_x, sectors)
        return self._lengths[length]

    def _patch(
        self,
        spread: FloatArray,
        place: tuple[int, int],
        transfer: FloatArray,
        white: FloatArray,
    ) -> FloatArray:
        """Filtered white noise of every sector, times its local strength, added up."""
        length, size = transfer.shape[1], spread.shape[1]
        drawn = fft.irfft2(fft.rfft2(white) * transfer, (length, length), overwrite_x=True)
        noise: FloatArray = np.einsum("jyx,jyx->yx", spread, drawn[:, :size, :size])
        noise *= self.in_field(np.array([place[0]]), np.array([place[1]]), size)[0]
        return noise

    def in_field(self, row: IndexArray, column: IndexArray, size: int) -> BoolArray:
        """Which pixels of square patches lie inside the scan field, [patch, y, x].

        Args:
            row: First row of each patch.
            column: First column.
            size: Edge, pixels.
        """
        grid, steps = self.model.grid, np.arange(size)
        rows = np.clip(row[:, None] + steps, 0, grid.rows - 1)
        columns = np.clip(column[:, None] + steps, 0, grid.columns - 1)
        return np.asarray(self._inside[rows[:, :, None], columns[:, None, :]])


def _white(rng: np.random.Generator, length: int) -> FloatArray:
    """White noise of unit variance, [y, x]."""
    return rng.standard_normal((length, length), np.float32)


def period_of(size: int) -> int:
    """An even length with fast transforms that holds a patch and its margin."""
    length = int(fft.next_fast_len(size + _MARGIN, real=True))
    while length % 2:
        length = int(fft.next_fast_len(length + 1, real=True))
    return length


def _tiles(pixels: int) -> list[tuple[int, FloatArray]]:
    """First pixel and window of the tiles along an axis; the squares of the windows add to one."""
    if pixels <= TILE:
        return [(0, np.ones(pixels, np.float32))]
    count = -(-(pixels - OVERLAP) // (TILE - OVERLAP))
    starts = np.linspace(0, pixels - TILE, count).round().astype(int)
    tiles = []
    for number, start in enumerate(starts):
        window = np.ones(TILE, np.float32)
        if number > 0:
            shared = starts[number - 1] + TILE - start
            window[:shared] = np.sin(np.pi / 2 * (np.arange(shared) + 0.5) / shared)
        if number < count - 1:
            shared = start + TILE - starts[number + 1]
            window[TILE - shared :] *= np.cos(np.pi / 2 * (np.arange(shared) + 0.5) / shared)
        tiles.append((int(start), window))
    return tiles
