"""Noise measured in a scan against noise simulated for it, in the same patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.patch_spectra import (
    PATCH_SIDES_MM,
    Patches,
    pairs_of,
    patches_of,
    smoothed,
    spectra_of,
)

FLAT_FRACTION = 0.25
"""The patches with the least anatomy, which the spectrum is measured in."""

ANATOMY_BELOW_PER_MM = 0.2
"""Where anatomy shows in a patch."""

NOISE_ABOVE_PER_MM = 0.28
"""Flat patches hold next to no anatomy above: their spectra of sum and difference have one shape
there."""

LEAST_POWER = 2e-3
"""Rings with less power, over the highest, hold what leaks from others."""

_ROUNDING_VARIANCE = 1 / 12
"""Of whole Hounsfield units."""

_CORRELATION_LIMITS = (-0.4, 0.9)
"""What is believed of neighbouring slices: some scanners sharpen along z, some slices overlap."""

_ANATOMY_SHOWS = 1.15
"""Ratio of the sum to the difference, over that of noise, from which anatomy is taken out."""

_MOST_SHARED = 0.5
"""Largest part of the anatomy that the difference is taken to keep, over the part of noise."""


_LEAST_LEFT = 0.3
"""Part of the difference that is noise at least."""


class MeasuredNoise(NamedTuple):
    """Spectra of a scan in pairs of slices, each scaled so that noise has that of one slice.

    Args:
        patches: Where they were taken.
        total: Of the sum, [patch, frequency], HU^2 mm^2.
        difference: Of the difference; of the slice itself where it has no neighbour.
        frequency_per_mm: [frequency].
        modes: Independent Fourier modes in each ring, [frequency].
        is_paired: Whether the slices have neighbours.
        rounding: Power that rounding to whole HU adds, HU^2 mm^2.
    """

    patches: Patches
    total: FloatArray
    difference: FloatArray
    frequency_per_mm: DoubleArray
    modes: DoubleArray
    is_paired: bool
    rounding: float


FEWEST_FLAT_PATCHES = 40
"""With fewer no spectrum is measured: its rings would be uncertain by more than ten per cent."""


def measure(hu: HuArray, sample: CTVolume, model: ScanModel) -> MeasuredNoise | None:
    """Spectra of the patches of soft tissue in a scan; None where there are too few of them.

    Args:
        hu: Slices without padding, two and two neighbours, or a single one.
        sample: The same slices with their padding.
        model: The scanner.
    """
    patches = _most_useful_patches(sample, model)
    if patches is None:
        return None
    first, second = pairs_of(hu)
    is_paired = len(hu) > 1
    total = spectra_of(_over_root_two(first + second) if is_paired else first, patches, model.grid)
    difference = total
    if is_paired:
        difference = spectra_of(_over_root_two(first - second), patches, model.grid)
    is_rounded = bool((first == np.rint(first)).all())
    cell = model.grid.row_spacing_mm * model.grid.column_spacing_mm
    return MeasuredNoise(
        patches,
        total.power,
        difference.power,
        total.frequency_per_mm,
        total.modes,
        is_paired,
        _ROUNDING_VARIANCE * cell if is_rounded else 0.0,
    )


def _over_root_two(images: HuArray) -> HuArray:
    return np.asarray(images * np.float32(np.sqrt(0.5)), dtype=np.float32)


def _most_useful_patches(sample: CTVolume, model: ScanModel) -> Patches | None:
    """The largest patches of which there are enough."""
    enough = FEWEST_FLAT_PATCHES / FLAT_FRACTION
    smallest = PATCH_SIDES_MM[-1]
    for side_mm in PATCH_SIDES_MM:
        patches = patches_of(
            sample, model.grid, side_mm=side_mm, radius_mm=model.fan.field_radius_mm
        )
        fewest = FEWEST_FLAT_PATCHES if side_mm == smallest else enough
        if np.count_nonzero(patches.chosen) >= fewest:
            return patches
    return None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Measured against simulated noise.

    Args:
        measured: Noise power of the flat patches, each over its expected noise, [frequency].
        simulated: The same of simulated noise, [frequency].
        trusted: Rings in which the noise of the scan shows, [frequency].
        high: Those of them that hold no anatomy, [frequency].
        has_anatomy: Rings that anatomy had to be taken out of, [frequency].
        correlation: Of the noise in neighbouring slices.
        flat: Patches with little anatomy, [patch].
        excess: Low-frequency power over expected noise, [patch].
        variance_ratio: Measured over expected variance of each patch, [patch].
        scale: Expected noise of each patch, relative to the mean, [patch].
    """

    measured: DoubleArray
    simulated: DoubleArray
    trusted: BoolArray
    high: BoolArray
    has_anatomy: BoolArray
    correlation: float
    flat: BoolArray
    excess: DoubleArray
    variance_ratio: DoubleArray
    scale: DoubleArray


def compare(scan: MeasuredNoise, simulated: FloatArray) -> Comparison:
    """Compare the noise of a scan with simulated noise.

    Args:
        scan: Spectra of the scan.
        simulated: Spectra of simulated noise in the same patches of some slices,
            [slice of a pair, patch, frequency]. They are kept apart, since the median of a mean of
            two lies above that of one.
    """
    k, modes = scan.frequency_per_mm, scan.modes
    mean = simulated.mean(axis=0)
    relative = mean / mean.mean(axis=0)
    scale = smoothed(relative[:, k < 0.6 * k[-1]].mean(axis=1), scan.patches)
    excess = scan.total[:, k <= max(ANATOMY_BELOW_PER_MM, k[0])].mean(axis=1) / scale
    flat = excess <= np.quantile(excess, max(FLAT_FRACTION, FEWEST_FLAT_PATCHES / len(excess)))
    expected = np.median(simulated[:, flat] / scale[flat, None], axis=(0, 1))
    difference = scan.difference[flat] / scale[flat, None]
    total = scan.total[flat] / scale[flat, None]
    power = np.median(difference, axis=0)
    trusted = (power > LEAST_POWER * power.max()) & (power > 3 * scan.rounding)
    high = trusted & (k > min(NOISE_ABOVE_PER_MM, k[trusted].max() / 2))
    correlation = 0.0
    if scan.is_paired:
        sum_over_difference = np.median(total, axis=0)[high] / power[high]
        ratio = float(np.average(sum_over_difference, weights=modes[high]))
        correlation = float(np.clip((ratio - 1) / (ratio + 1), *_CORRELATION_LIMITS))
    measured, has_anatomy = _without_anatomy(difference, total, excess[flat], correlation)
    measured = np.maximum(measured - scan.rounding, 1e-3 * measured)
    if not scan.is_paired:
        has_anatomy = k <= max(ANATOMY_BELOW_PER_MM, k[0])
    weights = (modes * high / np.maximum(measured, 1e-30)).astype(np.float32)
    weights /= weights @ measured.astype(np.float32)
    own = scan.difference @ weights / np.float32(1 - correlation)
    simulated_own = simulated @ weights
    here = smoothed(simulated_own.mean(axis=0), scan.patches)
    # The median of a patch's power lies below its mean, in the scan as in the simulation.
    unbiased = float(np.median(simulated_own / here))
    return Comparison(
        measured,
        expected,
        trusted,
        high,
        has_anatomy,
        correlation,
        flat,
        excess,
        own / here / unbiased,
        scale,
    )


def _without_anatomy(
    difference: DoubleArray, total: DoubleArray, excess: DoubleArray, correlation: float
) -> tuple[DoubleArray, BoolArray]:
    """Noise power by ring, and in which rings anatomy was taken out of it.

    What anatomy adds to the difference is a fraction of what it adds to the sum; that fraction
    shows between the flatter and the less flat half of the patches, which are told by the sum.

    Args:
        difference: Spectra of the difference of neighbours, [patch, frequency].
        total: Of their sum.
        excess: Low-frequency power of each patch.
        correlation: Of the noise of neighbours.
    """
    flatter = excess <= np.median(excess)
    below, above = (np.median(difference[which], axis=0) for which in (flatter, ~flatter))
    low, high = (np.median(total[which], axis=0) for which in (flatter, ~flatter))
    mean_difference, mean_total = np.median(difference, axis=0), np.median(total, axis=0)
    of_noise = (1 + correlation) / (1 - correlation)
    shows = mean_total > _ANATOMY_SHOWS * of_noise * mean_difference
    rise = np.maximum(high - low, 1e-30)
    shared = np.clip((above - below) / rise, 0, _MOST_SHARED / of_noise)
    shared = np.where(shows, shared, 0.0)
    noise = (mean_difference - shared * mean_total) / (
        (1 - correlation) - shared * (1 + correlation)
    )
    return np.maximum(noise, _LEAST_LEFT * mean_difference), shows
