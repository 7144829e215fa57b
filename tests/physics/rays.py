"""Noise of single rays and of small patches of pixels, without a picture of the object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from ctdenoise.config.kernels import FixedKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.insertion import COARSE_CHANNELS, COARSE_VIEWS, NoiseInsertion
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import (
    NoiseStatistics,
    draw_log_noise,
    slice_keys,
    upsampling,
)
from ctdenoise.simulation.overlap import lane_layers
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import aligned_zeros, lanes_for
from tests.physics.fan_scan import kernel_shape, settings

Array = npt.NDArray[np.float64]

LANES = 32
RAYS = Fan(595.0, 0.004, 201, 512)
"""As many rays as a moment needs: 3.3 million with the lanes."""


def ray_noise(statistics: NoiseStatistics, counts: float, name: str = "ray") -> Array:
    """Log noise of rays that all count the same at full dose, flat."""
    coarse = RAYS.coarse(views=16, channels=26)
    out = aligned_zeros(RAYS.views, RAYS.channels, LANES)
    draw_log_noise(
        aligned_zeros(coarse.views, coarse.channels, LANES),
        upsampling(coarse, RAYS),
        np.full(LANES, counts, np.float32),
        statistics,
        lane_layers(slice_keys([f"{name} {index}".encode() for index in range(LANES)]), LANES),
        np.ones(RAYS.channels, np.float32),
        out,
    )
    return out.astype(np.float64).ravel()


def expected_log_change(counts: float, electronic_noise: float, floor: float = 1.0) -> float:
    """Mean of -ln(max(Poisson + Gaussian, floor) / counts)."""
    return log_change_moments(counts, electronic_noise, floor)[0]


@cache
def log_change_moments(
    counts: float, electronic_noise: float, floor: float = 1.0
) -> tuple[float, float, float]:
    """Mean, variance, third cumulant of -ln(max(Poisson + Gaussian, floor) / counts), by summing.

    Args:
        counts: Mean of the Poisson part.
        electronic_noise: Standard deviation of the Gaussian part.
        floor: Least reading.
    """
    reach = 8 * np.sqrt(counts) + 30
    k = np.arange(max(0, int(counts - reach)), int(counts + reach) + 1)
    z = np.linspace(-8, 8, 1001) if electronic_noise else np.zeros(1)
    weight = stats.poisson.pmf(k, counts)[:, None] * np.exp(-(z**2) / 2)[None]
    weight /= weight.sum()
    readings = k[:, None] + electronic_noise * z[None]
    change = -np.log(np.maximum(readings, floor) / counts)
    mean = float((weight * change).sum())
    change -= mean
    return mean, float((weight * change**2).sum()), float((weight * change**3).sum())


@dataclass(frozen=True)
class Patch:
    """A square of pixels somewhere in the field of a scanner.

    Args:
        fan: The scanner.
        kernel: Reconstruction kernel.
        centre_mm: x and y of the middle of the patch.
        pixels: Along a side.
        spacing_mm: Of the pixels.
        mu_per_mm: Attenuation of water.
    """

    fan: Fan
    kernel: FixedKernelSettings
    centre_mm: tuple[float, float] = (0.0, 0.0)
    pixels: int = 48
    spacing_mm: float = 0.78
    mu_per_mm: float = 0.02

    def noise(
        self,
        lengths_mm: Callable[[Fan], Array],
        statistics: NoiseStatistics,
        *,
        photons: float,
        slices: int,
    ) -> Array:
        """What the simulator adds here, HU, [slice, y, x].

        Args:
            lengths_mm: Path in water of every ray of a fan, [view, channel].
            statistics: What noise to draw.
            photons: N0.
            slices: Independent draws.
        """
        middle, (x, y) = (self.pixels - 1) / 2, self.centre_mm
        grid = PixelGrid(
            self.pixels,
            self.pixels,
            self.spacing_mm,
            self.spacing_mm,
            middle - y / self.spacing_mm,
            middle - x / self.spacing_mm,
        )
        insertion = NoiseInsertion(self._model(grid))
        coarse = self.fan.coarse(views=COARSE_VIEWS, channels=COARSE_CHANNELS)
        lengths = self.mu_per_mm * lengths_mm(coarse)
        images = []
        for first in range(0, slices, 16):
            line_integrals = aligned_zeros(*lengths.shape, lanes_for(16))
            line_integrals[...] = lengths[:, :, None]
            image = insertion.draw(
                line_integrals,
                statistics,
                photons=np.full(16, photons, np.float32),
                keys=slice_keys([f"patch {first + index}".encode() for index in range(16)]),
            )
            images.append(image[:, :, :16].transpose(2, 0, 1).astype(np.float64))
        return np.concatenate(images)[:slices]

    def _model(self, grid: PixelGrid) -> ScanModel:
        chosen = settings(mu_water_per_mm=self.mu_per_mm, kernel=self.kernel)
        geometry = Geometry.axial((1, 8, 8), pixel_spacing_mm=40.0, slice_spacing_mm=1.0)
        return replace(ScanModel.of(geometry, Acquisition(), chosen), fan=self.fan, grid=grid)


def isocentre_variance(fan: Fan, kernel: FixedKernelSettings, mu_per_mm: float) -> float:
    """Variance at the isocentre, HU^2, over that of the log data.

    sigma^2 = (pi^2 / V) dt 2 int_0^(1/2dt) k^2 A^2 (2 + cos 2 pi k dt) / 3 dk for V fan views in a
    turn; the last factor is linear interpolation between channels at random places.
    """
    dt = fan.channel_width_mm
    k = np.linspace(0, 0.5 / dt, 4001)
    shape = kernel_shape(kernel, k, 0.5 / dt)
    integral = np.trapezoid((k * shape) ** 2 * (2 + np.cos(2 * np.pi * k * dt)) / 3, k)
    return float(np.pi**2 / fan.views * dt * 2 * integral * (1000 / mu_per_mm) ** 2)


def rays_through(fan: Fan, x_mm: Array, y_mm: Array) -> tuple[Array, Array]:
    """Fan angle and distance from the source of points in every view, [view, point]."""
    beta = fan.view_angles[:, None]
    across = x_mm[None] * np.cos(beta) + y_mm[None] * np.sin(beta)
    along = fan.distance_mm + x_mm[None] * np.sin(beta) - y_mm[None] * np.cos(beta)
    return np.arctan2(across, along), np.hypot(across, along)


def disc_chord(fan: Fan, fan_angles: Array, radius_mm: float) -> Array:
    """Path, mm, through a disc at the isocentre of rays with given fan angles."""
    distance = fan.distance_mm * np.sin(fan_angles)
    return np.asarray(2 * np.sqrt(np.maximum(radius_mm**2 - distance**2, 0)))


def disc_lengths(radius_mm: float) -> Callable[[Fan], Array]:
    """Path through a disc of every ray of a fan, [view, channel]."""

    def lengths(fan: Fan) -> Array:
        chord = disc_chord(fan, fan.fan_angles, radius_mm)
        return np.broadcast_to(chord, (fan.views, fan.channels)).copy()

    return lengths
