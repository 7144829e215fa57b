"""Twins of full-dose images against native quarter-dose scans of another scanner.

Run it as ``python tests/perf/study_native.py [folder of real CT] [words of the cases wanted]``.
The scanner here shares next to nothing with the simulator: full-resolution line integrals with a
flying focal spot, counted photons, a quarter dose that keeps every photon with a chance of one
quarter (so that its difference to the full dose is exactly the noise to be added), rebinning to
parallel rays by linear interpolation, kernels and a bowtie of its own, tube current that follows
the angle and the table, slices as means over thin layers, whole HU that end at -1024. Objects are
torso phantoms and real series without most of their noise. The simulator sees the full-dose image
and what a header would say, or not even that. Nothing is asserted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy import fft, ndimage

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, TorsoSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import Plan, Simulator, plan_simulation
from ctdenoise.simulation.parallel_kernels import back_project_parallel
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
    image = aligned_zeros(size, size, data.shape[2])
    pixels = _grid(size, spacing_mm).arrays(fan.field_radius_mm)
    detector = (1 / spacing, float(count // 2))
    back_project_parallel(folded, (np.cos(angles), np.sin(angles)), detector, pixels, image)
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


def siemens(kernel: str, thickness_mm: float) -> Acquisition:
    """What a Siemens scanner would say of itself."""
    return Acquisition(
        manufacturer="SIEMENS",
        manufacturer_model_name="SOMATOM Definition AS+",
        kvp=120.0,
        slice_thickness_mm=thickness_mm,
        convolution_kernel=kernel,
        distance_source_to_patient_mm=595.0,
        distance_source_to_detector_mm=1085.6,
        reconstruction_centre_offset_mm=(0.0, 0.0),
        body_part_examined="CHEST",
        exposure_modulation_type="XYZ_EC",
    )


def ge(kernel: str, thickness_mm: float) -> Acquisition:
    """What a GE scanner would say of itself."""
    return Acquisition(
        manufacturer="GE MEDICAL SYSTEMS",
        kvp=120.0,
        slice_thickness_mm=thickness_mm,
        convolution_kernel=kernel,
        distance_source_to_patient_mm=541.0,
        distance_source_to_detector_mm=949.0,
        reconstruction_centre_offset_mm=(0.0, 0.0),
        filter_type="BODY FILTER",
    )


GE_SCANNER = NativeScanner(
    distance_mm=541.0,
    channel_mm=0.58,
    channels=888,
    views=992,
    has_flying_spot=False,
    electronic_quanta=6.0,
    bowtie_mm=130.0,
    power=0.0,
)


def cases(data: Path) -> Iterator[Case]:
    """The scans of the table."""
    chest = torso(0.0, 170.0, 380.0)
    belly = torso(-110.0, 200.0, 460.0)
    shoulders = torso(130.0, 190.0, 500.0)
    small = torso(-60.0, 140.0, 320.0)
    abdomen = patient(data / "series/ge_abdomen", 12, 7.5)
    thorax = patient(data / "series/siemens_chest", 25, 14.0)
    lungs = patient(data / "series/philips_chest", 20, 20.0)
    b30, b30_thin = siemens("B30f", 3.0), siemens("B30f", 1.2)
    d45, d45_thin = siemens("B50f", 3.0), siemens("B50f", 1.2)
    yield Case("torso chest, smooth 3/2", chest, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("torso chest, sharp 1.2/0.6", chest, SHARP, 2e5, 1.2, 0.6, d45_thin)
    yield Case("torso belly, smooth 3/2", belly, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("torso small, medium 3/3", small, MEDIUM, 1.2e5, 3.0, 3.0, siemens("B40f", 3.0))
    yield Case("torso shoulders, medium 3/2", shoulders, MEDIUM, 2.5e5, 3.0, 2.0, b30)
    yield Case("abdomen, smooth 3/2", abdomen, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("abdomen, smooth 1.2/0.6", abdomen, SMOOTH, 1.5e5, 1.2, 0.6, b30_thin)
    yield Case("abdomen, sharp 3/2", abdomen, SHARP, 2e5, 3.0, 2.0, d45)
    yield Case("abdomen, GE standard 5/5", abdomen, STANDARD, 1.5e5, 5.0, 5.0, ge("STANDARD", 5.0),
               scanner=GE_SCANNER)  # fmt: skip
    yield Case("thorax, smooth 3/2", thorax, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("thorax, sharp 1.2/0.6", thorax, SHARP, 2e5, 1.2, 0.6, d45_thin)
    yield Case("lungs, medium 3/3", lungs, MEDIUM, 1.2e5, 3.0, 3.0, siemens("B40f", 3.0))
    yield Case("abdomen, smooth 3/2, no header", abdomen, SMOOTH, 1.5e5, 3.0, 2.0, b30, False)
    yield Case("thorax, sharp 1.2/0.6, no header", thorax, SHARP, 2e5, 1.2, 0.6, d45_thin, False)


def places(hu: HuArray, spacing_mm: float) -> dict[str, BoolArray]:
    """Where noise is compared, [y, x] each: what holds for most slices."""
    body = body_mask(hu).mean(axis=0) > 0.99
    smooth = ndimage.gaussian_filter(hu.mean(axis=0), 2)
    depth = ndimage.distance_transform_edt(body) * spacing_mm
    row, column = (axis.mean() for axis in np.nonzero(body))
    y, x = np.ogrid[: hu.shape[1], : hu.shape[2]]
    radius = np.hypot(y - row, x - column) * spacing_mm
    isocentre = np.hypot(y - hu.shape[1] / 2, x - hu.shape[2] / 2) * spacing_mm
    lung = smooth < -600
    return {
        "centre": body & ~lung & (radius < 60),
        "rim": body & ~lung & (depth < 45) & (depth > 2),
        "sides": body & ~lung & (np.abs(x - column) * spacing_mm > 110),
        "lung": body & lung & (depth > 10),
        "air": ~ndimage.binary_dilation(body_mask(hu).any(axis=0), iterations=8)
        & (isocentre < 0.48 * spacing_mm * hu.shape[1]),
        "body": body,
    }


def block_sd(noise: HuArray, inside: BoolArray, spacing_mm: float) -> DoubleArray:
    """Standard deviation in blocks of 20 mm that lie inside, all slices, [block]."""
    side = max(4, round(20 / spacing_mm))
    rows, columns = (n // side for n in inside.shape)
    area = np.s_[: rows * side, : columns * side]
    share = inside[area].reshape(rows, side, columns, side).mean(axis=(1, 3))
    cut = noise[:, : rows * side, : columns * side]
    blocks = cut.reshape(len(noise), rows, side, columns, side)
    return np.asarray(blocks.std(axis=(2, 4), dtype=np.float64).mean(axis=0)[share > 0.95])


def radial_nps(noise: HuArray, inside: BoolArray, spacing_mm: float) -> tuple[Any, Any]:
    """Radial spectrum of patches of 36 mm inside, by frequency; None where there are none."""
    side = max(16, round(36 / spacing_mm))
    window = np.hanning(side + 2)[1:-1]
    window = window[:, None] * window
    total, count = np.zeros((side, side)), 0
    for row in range(0, inside.shape[0] - side, side // 3):
        for column in range(0, inside.shape[1] - side, side // 3):
            part = np.s_[row : row + side, column : column + side]
            if inside[part].mean() > 0.9:
                patches = noise[:, row : row + side, column : column + side]
                patches = patches - patches.mean(axis=(1, 2), keepdims=True)
                total += (np.abs(np.fft.fft2(patches * window)) ** 2).sum(axis=0)
                count += 1
    frequency = np.fft.fftfreq(side, spacing_mm)
    ring = np.rint(np.hypot(frequency[:, None], frequency) * side * spacing_mm).astype(int)
    rings = np.arange(1, side // 2 + 1)
    if not count:
        return rings, None
    return rings / side / spacing_mm, np.array([total[ring == index].mean() for index in rings])


def nps_distance(twin: HuArray, native: HuArray, inside: BoolArray, spacing_mm: float) -> float:
    """Mean |ln ratio| of the spectra where the native one holds 1 % of its peak at least, and of
    shapes of one area."""
    _, own = radial_nps(twin, inside, spacing_mm)
    _, true = radial_nps(native, inside, spacing_mm)
    if own is None or true is None:
        return float("nan")
    shown = true > 0.01 * true.max()
    return float(np.abs(np.log(own[shown] / true[shown])).mean())


def neighbour_correlation(noise: HuArray, inside: BoolArray) -> float:
    """Correlation of the noise of neighbouring slices."""
    cut = noise[:, inside] - noise[:, inside].mean(axis=1, keepdims=True)
    return float((cut[1:] * cut[:-1]).mean() / (cut**2).mean())


def blind(case: Case, full: HuArray, spacing_mm: float, settings: SimulateSettings) -> Any:
    """The plan made from the full-dose image, and the twin as it would be written."""
    geometry = Geometry.axial(
        full.shape, pixel_spacing_mm=spacing_mm, slice_spacing_mm=case.spacing_mm
    )
    volume = CTVolume(full, geometry, case.header if case.has_header else Acquisition())
    plan = plan_simulation(
        volume.select(sample_indices(geometry)),
        settings,
        7,
        geometry=geometry,
        acquisition=volume.acquisition,
    )
    (twin,) = Simulator(plan).twins(volume, first=0)
    twin = np.rint(twin)
    return plan, np.maximum(twin, LOWEST_HU) if case.has_header else twin


def show(case: Case, plan: Plan, full: HuArray, low: HuArray, twin: HuArray, mm: float) -> None:
    """The lines of a case."""
    native, added = low - full, twin - full
    where = places(full, mm)
    parts = []
    for name, inside in where.items():
        true = block_sd(native, inside, mm)
        if not len(true):
            continue
        ratio = block_sd(added, inside, mm) / true
        bias = (added - native)[:, inside].mean()
        part5, part95 = np.percentile(ratio, [5, 95])
        text = f"{name} {np.median(ratio):.3f} ({part5:.2f}-{part95:.2f}) {bias:+.1f}"
        if name in {"centre", "rim", "lung", "body"}:
            text += f" nps {nps_distance(added, native, inside, mm):.3f}"
        parts.append(text)
    body = where["body"]
    bias = ndimage.uniform_filter((added - native).mean(axis=0), round(20 / mm))[body]
    calibration = plan.calibration
    trend = calibration.model.radial_trend
    level = np.sqrt((added[:, body] ** 2).mean() / (native[:, body] ** 2).mean())
    print(
        f"{case.name}\n  level {level:.3f}, native {native[:, body].std():.1f} HU, "
        f"correlation {neighbour_correlation(added, body):.2f} of "
        f"{neighbour_correlation(native, body):.2f}, bias map rms {bias.std():.2f}; "
        f"N0 {calibration.photons:.3g} by {calibration.calibrated_by}, f50 "
        f"{calibration.kernel_f50_per_mm:.3f} by {calibration.kernel_by}, "
        f"{calibration.model.geometry}, x{calibration.model.samples_per_channel}, bowtie "
        f"{calibration.model.bowtie}, modulation {calibration.model.modulation}, trend "
        f"{0 if trend is None else trend.slope:.3f}, z by {calibration.exposure_by}, shared "
        f"{getattr(calibration.evidence, 'slice_correlation', None)}\n  " + "; ".join(parts),
        flush=True,
    )


def main() -> None:
    """Print the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/ctdata")
    words = sys.argv[2:]
    for case in cases(data):
        if words and not any(word in case.name for word in words):
            continue
        start = time.perf_counter()
        full, low, spacing_mm = scanned(case)
        made = time.perf_counter()
        plan, twin = blind(case, full, spacing_mm, SimulateSettings())
        show(case, plan, full, low, twin, spacing_mm)
        print(f"  {made - start:.0f} + {time.perf_counter() - made:.0f} s", flush=True)


if __name__ == "__main__":
    main()
