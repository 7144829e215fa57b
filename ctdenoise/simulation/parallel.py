"""Noise images by way of parallel rays: what a rebinning scanner shows, and a fast stand-in.

A scanner that rebins sorts the rays of the fan by their direction. The ray with normal theta at the
distance s from the isocentre is measured twice in a turn, from either side, and both are averaged.
The rays of a fan lie closer in s towards its edges, by cos(gamma); spread evenly, their variance
falls by as much:

    noise of the ray = sqrt(cos gamma) / 2 * (noise from one side + noise from the other).

The filtered back-projection of a fan gives a ray the more weight the nearer its focal spot is to
the pixel. In the directions theta of the rays, with L the distance of the focal spot,

    variance(x) ~ sum over a turn of cos(gamma) sigma_p^2 (D / L)^3

where rebinned rays miss the last factor: the noise is the same at the isocentre, and up to a fifth
less far from it. The ratio of the two is smooth, so that a coarse sum gives it, and an image of
parallel rays times its root has the strength of the fan's noise everywhere. What remains is a small
difference in texture: the fan's noise is finer on the side of the focal spot, coarser beyond.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, assert_never

import numpy as np

from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.units import HU_PER_RELATIVE_ATTENUATION
from ctdenoise.simulation.few_counts import LEAST_COUNTS
from ctdenoise.simulation.filters import parallel_filter
from ctdenoise.simulation.insertion import COARSE_CHANNELS, COARSE_VIEWS, NoiseInsertion
from ctdenoise.simulation.lane_transforms import circle_length, circular_filter
from ctdenoise.simulation.log_variance import LogVariance
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import (
    Keys,
    NoiseStatistics,
    draw_log_noise,
    upsampling,
)
from ctdenoise.simulation.overlap import lane_layers
from ctdenoise.simulation.pair_kernels import filter_to_pairs
from ctdenoise.simulation.parallel_kernels import (
    Detector,
    Directions,
    back_project_parallel,
    multiply_smooth,
    sum_variances,
)
from ctdenoise.simulation.scanner import Fan
from ctdenoise.simulation.vectors import PAIR_TAPS, aligned_zeros

CORRECTION_PIXELS = 64
"""The ratio of both geometries is worked out on about this many pixels across."""


class Insertion(Protocol):
    """Draws the noise that slices of one scan lack.

    Contract: a slice gets the same noise whatever stands beside it; noise is zero outside the scan
    field; line integrals serve any number of draws and are not changed.
    """

    def project(self, hu: HuArray) -> FloatArray:
        """Coarse line integrals of the fan, [view, channel, lane], of slices [slice, y, x]."""
        ...

    def draw(
        self,
        line_integrals: FloatArray,
        statistics: NoiseStatistics,
        *,
        photons: FloatArray,
        keys: Keys,
        weights: FloatArray | None = None,
    ) -> FloatArray:
        """Noise images in HU, [y, x, lane]; arguments as in `NoiseInsertion.draw`."""
        ...


def insertion_of(model: ScanModel) -> Insertion:
    """What draws the noise in the geometry of a scan.

    Args:
        model: What to simulate with.
    """
    match model.geometry:
        case "fan":
            return NoiseInsertion(model)
        case "parallel":
            return ParallelInsertion(model, as_fan=True)
        case "rebinned":
            return ParallelInsertion(model, as_fan=False)
        case _:
            assert_never(model.geometry)


@dataclass(frozen=True)
class ParallelRays:
    """The rays of a turn, sorted by direction: x cos(theta) + y sin(theta) = s.

    Args:
        distance_mm: Focal spot to isocentre of the fan they come from.
        spacing_mm: Distance of neighbouring rays.
        channels: Rays of a view.
        views: Views in a whole turn; the second half sees the rays of the first from behind.
    """

    distance_mm: float
    spacing_mm: float
    channels: int
    views: int

    @classmethod
    def of(cls, fan: Fan) -> ParallelRays:
        """Rays as close as those of a fan at its isocentre, as many as the fan covers."""
        reach = fan.distance_mm * np.sin(fan.fan_angles[-1])
        spacing = fan.channel_width_mm
        return cls(fan.distance_mm, spacing, 2 * int(reach / spacing) + 1, fan.views)

    def coarse(self, *, views: int, channels: int) -> ParallelRays:
        """At most this many views and channels from edge to edge."""
        channels = min(channels, self.channels)
        spacing = self.spacing_mm * (self.channels - 1) / (channels - 1)
        return replace(self, spacing_mm=spacing, channels=channels, views=min(views, self.views))

    @cached_property
    def distances_mm(self) -> DoubleArray:
        """Distance s of each channel from the isocentre, [channel]."""
        channel = np.arange(self.channels, dtype=np.float64)
        return (channel - (self.channels - 1) / 2) * self.spacing_mm

    @cached_property
    def fan_angles(self) -> DoubleArray:
        """Angle of each ray in its fan, radians, [channel]."""
        return np.asarray(np.arcsin(self.distances_mm / self.distance_mm))

    def directions(self, views: int | None = None) -> Directions:
        """Cosine and sine of the normals of the first views, all by default."""
        angles = np.linspace(0, 2 * np.pi, self.views, endpoint=False)[:views]
        return np.cos(angles), np.sin(angles)

    @property
    def detector(self) -> Detector:
        """Channels per mm, and the channel of the ray through the isocentre."""
        return 1 / self.spacing_mm, (self.channels - 1) / 2


class ParallelInsertion:
    """Draws noise images by way of parallel rays. An `Insertion`.

    Args:
        model: What to simulate with.
        as_fan: Give the noise the strength it has without rebinning.
    """

    def __init__(self, model: ScanModel, *, as_fan: bool) -> None:
        self.model = model
        self._as_fan = as_fan
        self._fan = NoiseInsertion(model)
        fan = model.fan
        self._coarse_fan = fan.coarse(views=COARSE_VIEWS, channels=COARSE_CHANNELS)
        self._rays = ParallelRays.of(fan)
        self._coarse = self._rays.coarse(views=COARSE_VIEWS, channels=COARSE_CHANNELS)
        self._sampling = upsampling(self._coarse, self._rays)
        response = parallel_filter(
            model.kernel,
            spacing_mm=self._rays.spacing_mm,
            views=fan.views // 2,
            length=circle_length(self._rays.channels + self._rays.channels // 4),
        )
        self._circular = circular_filter(response)
        self._pixel_factor = model.pixel_factor()
        largest = max(model.grid.rows, model.grid.columns)
        self._factor = max(1, -(-largest // CORRECTION_PIXELS))

    def project(self, hu: HuArray) -> FloatArray:
        """Coarse line integrals of the fan, [view, channel, lane], of slices [slice, y, x]."""
        return self._fan.project(hu)

    def draw(
        self,
        line_integrals: FloatArray,
        statistics: NoiseStatistics,
        *,
        photons: FloatArray,
        keys: Keys,
        weights: FloatArray | None = None,
    ) -> FloatArray:
        """Noise images in HU, [y, x, lane], zero outside the scan field.

        Args:
            line_integrals: From `project`.
            statistics: What noise to draw.
            photons: N0 at full dose of each slice, per channel and view, [slice].
            keys: Two random words for each slice, [2, slice], and for those after it that
                overlap it.
            weights: How slices share noise, [slice, slice ahead], see `overlap.layer_weights`; None
                if they do not.
        """
        model, rays, lanes = self.model, self._rays, line_integrals.shape[2]
        statistics = model.of_sample(statistics)
        padded_photons = np.ones(lanes, np.float32)
        padded_photons[: len(photons)] = photons / np.float32(model.samples_per_channel)
        rebinned = self._rebinned(line_integrals)
        noise = aligned_zeros(rays.views, rays.channels, lanes)
        draw_log_noise(
            rebinned,
            self._sampling,
            padded_photons,
            statistics,
            lane_layers(keys, lanes, weights),
            (np.sqrt(np.cos(rays.fan_angles)) / 2).astype(np.float32),
            noise,
        )
        image = self._back_projected(noise, HU_PER_RELATIVE_ATTENUATION / model.mu_water_per_mm)
        if self._as_fan:
            multiply_smooth(image, self._ratio(rebinned, statistics, padded_photons), self._factor)
        if self._pixel_factor is not None:
            image *= self._pixel_factor
        return image

    def _back_projected(self, noise: FloatArray, scale: float) -> FloatArray:
        """Image of the noise of a whole turn, [view, channel, lane], which is overwritten."""
        rays, grid = self._rays, self.model.grid
        half = rays.views // 2
        noise[:half] += noise[half:, ::-1]
        views = -(-half // PAIR_TAPS) * PAIR_TAPS
        noise[half:views] = 0.0
        folded = noise[:views]
        pairs = folded.view(np.int32)  # each view is read before its pairs take its place
        scales = aligned_zeros(views // PAIR_TAPS, noise.shape[2])
        filter_to_pairs(folded, self._circular, pairs, scales)
        scales *= np.float32(scale)
        image = aligned_zeros(grid.rows, grid.columns, noise.shape[2])
        pixels = grid.arrays(self.model.fan.field_radius_mm)
        directions = rays.directions(views)
        back_project_parallel(pairs, scales, directions, rays.detector, pixels, image)
        return image

    def _rebinned(self, line_integrals: FloatArray) -> FloatArray:
        """Coarse line integrals of parallel rays of a whole turn, [view, channel, lane]."""
        fan, rays = self._coarse_fan, self._coarse
        channel = np.clip(
            rays.fan_angles / fan.channel_angle + (fan.channels - 1) / 2, 0, fan.channels - 1.001
        )
        turn = rays.fan_angles / (2 * np.pi)
        view = (np.arange(rays.views)[:, None] / rays.views - turn) * fan.views
        above, left = np.floor(view).astype(int), channel.astype(int)
        low = (view - above).astype(np.float32)[:, :, None]
        right = (channel - left).astype(np.float32)[:, None]
        first, second = above % fan.views, (above + 1) % fan.views
        result = aligned_zeros(rays.views, rays.channels, line_integrals.shape[2])
        for views, weight in ((first, 1 - low), (second, low)):
            result += weight * (1 - right) * line_integrals[views, left]
            result += weight * right * line_integrals[views, left + 1]
        return result

    def _ratio(
        self, rebinned: FloatArray, statistics: NoiseStatistics, photons: FloatArray
    ) -> FloatArray:
        """Noise of the fan over that of parallel rays, coarse, [y, x, lane]."""
        model, rays = self.model, self._coarse
        counts = np.maximum(photons * np.exp(-rebinned), LEAST_COUNTS)
        variance = LogVariance(statistics)(counts)
        variance *= np.cos(rays.fan_angles).astype(np.float32)[:, None]
        grid = model.grid.binned(self._factor)
        sums = aligned_zeros(2, grid.rows, grid.columns, rebinned.shape[2])
        # A coarse pixel beyond the field may have fine ones inside.
        radius = model.fan.field_radius_mm + 2 * max(grid.row_spacing_mm, grid.column_spacing_mm)
        pixels = grid.arrays(min(radius, 0.95 * rays.distance_mm))
        sum_variances(variance, rays.directions(), rays.detector, rays.distance_mm, pixels, sums)
        known = sums[1] > 0
        ratio = np.divide(sums[0], sums[1], out=np.ones_like(sums[0]), where=known)
        return np.asarray(np.sqrt(ratio))
