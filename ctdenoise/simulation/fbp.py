"""Filtered back-projection of an equiangular fan beam."""

from __future__ import annotations

import numba
import numpy as np
from scipy import fft

from ctdenoise.config.kernels import FixedKernelSettings
from ctdenoise.config.scanner import VIEW_MULTIPLE
from ctdenoise.core.arrays import FloatArray
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.filters import fan_filter
from ctdenoise.simulation.kernels import back_project_fan
from ctdenoise.simulation.lane_transforms import circle_length, circular_filter
from ctdenoise.simulation.pair_kernels import LARGEST_WEIGHT, back_project_pairs, filter_to_pairs
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import PAIR_TAPS, aligned_zeros, require_whole_vectors

_VIEWS_PER_TRANSFORM = 64
"""Views filtered together: their spectra stay in the cache."""


def channel_weights(fan: Fan) -> FloatArray:
    """Factor D cos(gamma) on the line integrals of each channel before they are filtered, mm."""
    return np.asarray(fan.distance_mm * np.cos(fan.fan_angles), dtype=np.float32)


class FilteredBackProjection:
    """From line integrals to images, for many slices at a time.

    Weight D cos(gamma), filter along the channels, back-project with 1 / L^2.

    Args:
        fan: The fan beam.
        grid: The pixels.
        kernel: The reconstruction kernel.

    Raises:
        SimulationError: If the views of the fan are not a multiple of eight.
    """

    def __init__(self, fan: Fan, grid: PixelGrid, kernel: FixedKernelSettings) -> None:
        if fan.views % VIEW_MULTIPLE:
            raise SimulationError(
                f"{fan.views} views cannot be back-projected.",
                fix=f"Use a multiple of {VIEW_MULTIPLE}.",
            )
        self.fan = fan
        self.grid = grid
        self._length = int(fft.next_fast_len(2 * fan.channels - 1, real=True))
        self._response = fan_filter(fan, kernel, length=self._length).astype(np.float32)
        circle = circle_length(fan.channels + fan.channels // 4)
        self._circular = circular_filter(fan_filter(fan, kernel, length=circle))
        self.channel_weights = channel_weights(fan)

    def reconstruct(self, sinogram: FloatArray) -> FloatArray:
        """Images, [y, x, lane], of line integrals, [view, channel, lane]; 1/mm from no unit.

        Pixels outside the scan field are zero.
        """
        weighted = aligned_zeros(*sinogram.shape)
        np.multiply(sinogram, self.channel_weights[None, :, None], out=weighted)
        return self.filter_and_back_project(weighted)

    def filter_and_back_project(self, weighted: FloatArray, scale: float = 1.0) -> FloatArray:
        """The same for line integrals that hold their channel weights; these are overwritten.

        Args:
            weighted: Line integrals times `channel_weights`, [view, channel, lane], aligned.
            scale: Factor on the result.

        Raises:
            SimulationError: If the sinogram is not one of this fan, or its lanes are not a multiple
                of `vectors.LANES`: the compiled loops do not check.
        """
        self._check(weighted)
        filter_channels(weighted, self._response * np.float32(scale), self._length)
        image = aligned_zeros(self.grid.rows, self.grid.columns, weighted.shape[2])
        pixels = self.grid.arrays(self.fan.field_radius_mm)
        back_project_fan(weighted, self.fan.arrays(), pixels, image)
        return image

    def _check(self, weighted: FloatArray) -> None:
        """Refuse what is no sinogram of this fan."""
        if weighted.shape[:2] != (self.fan.views, self.fan.channels):
            raise SimulationError(
                f"A sinogram of {weighted.shape[0]} views of {weighted.shape[1]} channels is not "
                f"one of this fan, which has {self.fan.views} of {self.fan.channels}."
            )
        require_whole_vectors(weighted.shape[2])

    def noise_image(self, weighted: FloatArray, scale: float) -> FloatArray:
        """Like `filter_and_back_project`, faster, for noise: data without edges.

        Channels are filtered on a circle a quarter longer than the detector, so that its two ends
        see a little of each other (4e-4 of a value); filtered values are rounded (`pair_kernels`).

        Args:
            weighted: Noise times `channel_weights`, [view, channel, lane], aligned; overwritten.
            scale: Factor on the result.

        Raises:
            SimulationError: As `filter_and_back_project`, and if there are 2^31 values or more.
        """
        self._check(weighted)
        if weighted.size > np.iinfo(np.int32).max:
            raise SimulationError(
                f"{weighted.shape[2]} slices of this scanner are too many to work on together.",
                fix="Set slices_per_batch to less.",
            )
        views, _, lanes = weighted.shape
        pairs = weighted.view(np.int32)  # each view is read before its pairs take its place
        scales = aligned_zeros(views // PAIR_TAPS, lanes)
        filter_to_pairs(weighted, self._circular, pairs, scales)
        nearest_mm = self.fan.distance_mm - self.fan.field_radius_mm
        scales *= np.float32(scale / nearest_mm**2)
        image = aligned_zeros(self.grid.rows, self.grid.columns, lanes)
        pixels = self.grid.arrays(self.fan.field_radius_mm)
        unit = LARGEST_WEIGHT * nearest_mm**2
        back_project_pairs(pairs, scales, self.fan.arrays(), pixels, unit, image)
        return image


def filter_channels(sinogram: FloatArray, response: FloatArray, length: int) -> None:
    """Filter every view in place.

    Args:
        sinogram: [view, channel, lane].
        response: Transfer function, real, [length // 2 + 1].
        length: Channels after zero padding.
    """
    threads = numba.get_num_threads()
    transfer, channels = response[None, :, None], sinogram.shape[1]
    for first in range(0, len(sinogram), _VIEWS_PER_TRANSFORM):
        views = sinogram[first : first + _VIEWS_PER_TRANSFORM]
        spectrum = fft.rfft(views, n=length, axis=1, workers=threads)
        spectrum *= transfer
        filtered = fft.irfft(spectrum, n=length, axis=1, workers=threads, overwrite_x=True)
        views[...] = filtered[:, :channels]
