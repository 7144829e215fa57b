"""A scanner of its own kind: counts, rebinning, kernels, and objects to scan."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy import fft, ndimage

from ctdenoise.config.phantom import GridSettings, PhantomSettings, TorsoSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.io.read import read_volume
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.projection import JosephProjector
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import aligned_zeros

DOSE = 0.25
LOWEST_HU = -1024.0
LANES = 16

SMOOTH = ((0.0, 0.1, 0.2, 0.33, 0.45, 0.6, 0.7), (1.0, 0.97, 0.82, 0.5, 0.22, 0.03, 0.0))
MEDIUM = ((0.0, 0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 0.8), (1.0, 0.99, 0.93, 0.76, 0.5, 0.17, 0.02, 0.0))
STANDARD = ((0.0, 0.15, 0.3, 0.42, 0.55, 0.65, 0.75), (1.0, 1.03, 0.86, 0.5, 0.18, 0.05, 0.0))
SHARP = (
    (0.0, 0.1, 0.25, 0.38, 0.5, 0.65, 0.8, 0.95, 1.05),
    (1.0, 1.04, 1.16, 1.2, 1.02, 0.5, 0.17, 0.03, 0.0),
)
"""Frequencies, 1/mm, and heights over the ramp."""

Kernel = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class NativeScanner:
    """A scanner that counts photons and sorts its rays.

    Args:
        distance_mm: Focal spot to isocentre.
        channel_mm: Width of a channel at the isocentre.
        channels: Channels of a row.
        views: Views of a turn.
        has_flying_spot: Two samples for each channel.
        electronic_quanta: Standard deviation of the electronic noise of a reading: of a sample in
            a layer of 1 mm or 0.6 mm.
        mu_water: Attenuation of water, 1/mm.
        bowtie_mm: Water that the filter is worth at 200 mm from the isocentre, more than there.
        power: Tube current goes as this power of the attenuation of a view.
    """

    distance_mm: float = 595.0
    channel_mm: float = 0.7
    channels: int = 720
    views: int = 768
    has_flying_spot: bool = True
    electronic_quanta: float = 7.0
    mu_water: float = 0.0196
    bowtie_mm: float = 90.0
    power: float = 0.4

    @property
    def fan(self) -> Fan:
        """Its rays."""
        samples = 2 if self.has_flying_spot else 1
        angle = self.channel_mm / self.distance_mm / samples
        return Fan(self.distance_mm, angle, self.channels * samples, self.views)

    def bowtie(self, distance_mm: DoubleArray) -> DoubleArray:
        """Relative flux of rays: behind a parabola of water that ends at 240 mm."""
        inside = np.minimum(np.abs(distance_mm), 240.0)
        return np.asarray(np.exp(-self.mu_water * self.bowtie_mm * (inside / 200.0) ** 2))


@dataclass(frozen=True)
class Case:
    """One scan.

    Args:
        name: In the table.
        object: Slices without noise, and their spacing along z: HU [layer, y, x] by position.
        kernel: Height over the ramp by frequency.
        photons: N0 of a sample for 1 mm of slice, at the tube current of a body of 260 mm.
        thickness_mm: Of a slice.
        spacing_mm: Of slices.
        header: What a scanner would write.
        has_header: Whether the simulator may see that.
        scanner: What it is made with.
        slices: How many.
    """

    name: str
    object: Callable[[DoubleArray], tuple[HuArray, float]]
    kernel: Kernel
    photons: float
    thickness_mm: float
    spacing_mm: float
    header: Acquisition
    has_header: bool = True
    scanner: NativeScanner = NativeScanner()
    slices: int = 12


def _spread(function: Callable[[Any], None], items: list[Any]) -> None:
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        list(pool.map(function, items))


def line_integrals(hu: HuArray, scanner: NativeScanner, spacing_mm: float) -> FloatArray:
    """Line integrals, [view, channel, layer], of layers [layer, y, x]."""
    grid = _grid(hu.shape[1], spacing_mm)
    projector = JosephProjector(scanner.fan, grid)
    images = aligned_zeros(hu.shape[1], hu.shape[2], LANES)
    relative = np.maximum(1 + hu.transpose(1, 2, 0) / 1000, 0)
    images[:, :, : len(hu)] = relative * scanner.mu_water
    return projector.project(images)


def _grid(size: int, spacing_mm: float) -> PixelGrid:
    middle = (size - 1) / 2
    return PixelGrid(size, size, spacing_mm, spacing_mm, middle, middle)


def counted(
    integrals: FloatArray, scanner: NativeScanner, photons: DoubleArray, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Log data at full and at quarter dose, [view, channel, layer]; the photons of the quarter are
    a part of those of the whole."""
    fan = scanner.fan
    flux = scanner.bowtie(fan.distance_mm * np.sin(fan.fan_angles))
    densest = integrals.max(axis=1).astype(np.float64)
    current = np.maximum(np.exp(scanner.power * (densest - densest.max(axis=0))), 0.12)
    current /= current.mean(axis=0)
    full, low = np.empty_like(integrals), np.empty_like(integrals)

    def measure(view: int) -> None:
        rng = np.random.default_rng([seed, view])
        emitted = flux[:, None] * (current[view] * photons)
        counts = rng.poisson(emitted * np.exp(-integrals[view].astype(np.float64)))
        kept = rng.binomial(counts, DOSE)
        # The low dose holds the electronic noise of the full one, scaled with the counts.
        electronic = rng.normal(0, scanner.electronic_quanta, (2, *counts.shape))
        of_low = DOSE * electronic[0] + np.sqrt(1 - DOSE**2) * electronic[1]
        for data, reading, dose in (
            (full, counts + electronic[0], 1.0),
            (low, kept + of_low, DOSE),
        ):
            data[view] = -np.log(np.maximum(reading, 1.0) / (dose * emitted))

    _spread(measure, list(range(fan.views)))
    return full, low


@numba.njit(parallel=True, fastmath=True, cache=True)
def _back_project(
    data: FloatArray,
    cosines: DoubleArray,
    sines: DoubleArray,
    at_mm: DoubleArray,
    rays_per_mm: float,
    image: FloatArray,
) -> None:
    """Sum over views of linear interpolations between parallel rays."""
    views, rays, lanes = data.shape
    for row in numba.prange(len(at_mm)):
        for view in range(views):
            for column in range(len(at_mm)):
                distance = at_mm[column] * cosines[view] + at_mm[row] * sines[view]
                ray = distance * rays_per_mm + rays // 2
                left = min(max(int(ray), 0), rays - 2)
                share = np.float32(ray - left)
                for lane in range(lanes):
                    low, high = data[view, left, lane], data[view, left + 1, lane]
                    image[row, column, lane] += low + share * (high - low)


def reconstructed(
    data: FloatArray, scanner: NativeScanner, kernel: Kernel, size: int, spacing_mm: float
) -> HuArray:
    """Images in HU, [slice, y, x], of fan data, [view, channel, slice]."""
    fan = scanner.fan
    half = fan.views // 2
    spacing = fan.channel_width_mm
    reach = fan.distance_mm * np.sin(fan.fan_angles[-1])
    count = 2 * int(reach / spacing) + 1
    distance = (np.arange(count) - count // 2) * spacing
    gamma = np.arcsin(distance / fan.distance_mm)
    channel = np.clip(gamma / fan.channel_angle + (fan.channels - 1) / 2, 0, fan.channels - 1.001)
    left = channel.astype(int)
    right = (channel - left).astype(np.float32)[:, None]
    length = int(fft.next_fast_len(2 * count))
    lag = np.minimum(np.arange(length), length - np.arange(length))
    ramp = np.where(lag % 2, -1 / (np.pi * np.maximum(lag, 1) * spacing) ** 2, 0.0)
    ramp[0] = 1 / (4 * spacing**2)
    frequency = fft.rfftfreq(length, spacing)
    height = np.interp(frequency, *kernel, right=0.0)
    response = fft.rfft(ramp).real * spacing * height * np.pi / half
    folded = aligned_zeros(half, count, data.shape[2])

    def sort(view: int) -> None:
        total = np.zeros((count, data.shape[2]), np.float32)
        for side, turn in ((1, 0), (-1, half)):
            beta = view + turn - gamma * fan.views / (2 * np.pi)
            above = np.floor(beta).astype(int)
            late = (beta - above).astype(np.float32)[:, None]
            rays = np.zeros_like(total)
            for at, weight in ((above % fan.views, 1 - late), ((above + 1) % fan.views, late)):
                rays += weight * ((1 - right) * data[at, left] + right * data[at, left + 1])
            total += 0.5 * rays[::side]
        spectrum = fft.rfft(total, n=length, axis=0) * response[:, None]
        folded[view] = fft.irfft(spectrum, n=length, axis=0)[:count]

    _spread(sort, list(range(half)))
    angles = np.arange(half) * (np.pi / half)
    image = np.zeros((size, size, data.shape[2]), np.float32)
    at = (np.arange(size) - (size - 1) / 2) * spacing_mm
    _back_project(folded, np.cos(angles), np.sin(angles), at, 1 / spacing, image)
    image[np.hypot(at[:, None], at) > fan.field_radius_mm] = 0.0
    return np.asarray(image.transpose(2, 0, 1) * (1000 / scanner.mu_water) - 1000)


def scanned(case: Case) -> tuple[HuArray, HuArray, float]:
    """Images at full and quarter dose, [slice, y, x], whole HU, and their pixel spacing."""
    layer_mm = 1.0 if case.thickness_mm > 2 else 0.6
    layers_in_slice = round(case.thickness_mm / layer_mm)
    starts = np.arange(case.slices) * case.spacing_mm / layer_mm
    first = np.rint(starts).astype(int)
    layers = int(first[-1]) + layers_in_slice
    positions = (np.arange(layers) + 0.5) * layer_mm
    hu, spacing_mm = case.object(positions)
    shares = np.zeros((layers, case.slices), np.float32)
    for index, start in enumerate(first):
        shares[start : start + layers_in_slice, index] = 1 / layers_in_slice
    fan = case.scanner.fan
    sums = [aligned_zeros(fan.views, fan.channels, LANES) for _ in range(2)]
    for start in range(0, layers, LANES):
        part = slice(start, start + LANES)
        integrals = line_integrals(hu[part], case.scanner, spacing_mm)
        central = integrals[:, fan.channels // 2].mean(axis=0, dtype=np.float64)
        # The current follows the table as it follows the angle, around a body of 260 mm.
        along = np.exp(case.scanner.power * (central - 260 * case.scanner.mu_water))
        photons = case.photons * layer_mm * np.maximum(along, 0.2)
        logs = counted(integrals, case.scanner, photons, seed=start)
        lanes = min(LANES, layers - start)
        for total, log in zip(sums, logs, strict=True):
            total[..., : case.slices] += log[..., :lanes] @ shares[part]
    images = [
        reconstructed(total, case.scanner, case.kernel, hu.shape[1], spacing_mm)[: case.slices]
        for total in sums
    ]
    full, low = (np.maximum(np.rint(image), LOWEST_HU).astype(np.float32) for image in images)
    return full, low, spacing_mm


def torso(level_mm: float, half_width_mm: float, field_mm: float, size: int = 512) -> Any:
    """A torso phantom by position."""

    def layers(positions: DoubleArray) -> tuple[HuArray, float]:
        step = 1.0
        span = positions[-1] - positions[0]
        count = int(np.ceil(span / step)) + 2
        grid = GridSettings(
            size=size, field_of_view_mm=field_mm, slices=count, slice_spacing_mm=step
        )
        phantom = TorsoSettings(level_mm=level_mm, half_width_mm=half_width_mm, texture=0.5)
        hu = build_phantom(PhantomSettings(phantom=phantom, grid=grid, seed=5)).volume.hu
        return _between(hu, (positions - positions[0]) / step), field_mm / size

    return layers


def _between(hu: HuArray, index: DoubleArray) -> HuArray:
    low = np.clip(np.floor(index).astype(int), 0, len(hu) - 2)
    part = (index - low).astype(np.float32)[:, None, None]
    return np.asarray(hu[low] * (1 - part) + hu[low + 1] * part)


@numba.njit(parallel=True, fastmath=True, cache=True)
def _edge_preserving(hu: HuArray, sigma_hu: float, reach: int) -> HuArray:  # type: ignore[no-untyped-def]
    slices, rows, columns = hu.shape
    result = hu.copy()
    for row in numba.prange(rows):
        for z in range(slices):
            for column in range(columns):
                here, total, weights = hu[z, row, column], 0.0, 0.0
                for dz in range(-1, 2):
                    if z + dz < 0 or z + dz >= slices:
                        continue
                    for dy in range(-reach, reach + 1):
                        for dx in range(-reach, reach + 1):
                            y = min(max(row + dy, 0), rows - 1)
                            x = min(max(column + dx, 0), columns - 1)
                            value = hu[z + dz, y, x]
                            unlike = (value - here) / sigma_hu
                            weight = np.exp(-0.5 * unlike * unlike - 0.06 * (dy * dy + dx * dx))
                            weights += weight
                            total += weight * value
                result[z, row, column] = total / weights
    return result


def patient(folder: Path, first: int, noise_hu: float) -> Any:
    """A real series without most of its noise, by position."""

    def layers(positions: DoubleArray) -> tuple[HuArray, float]:
        volume = read_volume(folder)
        spacing = volume.geometry.slice_spacing_mm
        count = int(np.ceil((positions[-1] - positions[0]) / spacing)) + 2
        part = volume.select(slice(max(first - 1, 0), first + count + 1))
        hu = np.where(part.padding, -1000, part.hu) if part.padding is not None else part.hu
        hu = np.maximum(hu, -1000).astype(np.float32)
        smooth = ndimage.gaussian_filter1d(hu, max(0.7, 2.0 / spacing), axis=0)
        for sigma in (2.5 * noise_hu, 1.5 * noise_hu):
            smooth = _edge_preserving(smooth, sigma, 4)
        inside = body_mask(smooth)
        smooth = np.where(inside, smooth, np.float32(-1000))
        return (
            _between(smooth.astype(np.float32)[1:], (positions - positions[0]) / spacing),
            part.geometry.pixel_spacing_mm[0],
        )

    return layers
