"""A classical filter for one scan: its settings, in units of the noise, turned into its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from ctdenoise.config.classical import FilterName, FilterSettings, InnerName
from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.units import AIR_HU
from ctdenoise.inference import bm3d_package
from ctdenoise.inference import classical_filters as filters
from ctdenoise.inference.anscombe import VarianceLine
from ctdenoise.inference.method import Sample, shown
from ctdenoise.inference.network_method import SEEN_HU
from ctdenoise.inference.told_noise import ToldNoise
from ctdenoise.inference.total_variation import (
    ACCURACY,
    NoisySlice,
    discrepancy_weight,
    total_variation,
)
from ctdenoise.metrics.noise_correlation import NoiseCorrelation

WEIGHED_SLICES = 3
"""Slices of the sample in which the weight of a total variation, or a variance, is found."""

_DECIMALS = 4  # of the figures in records: rounding differs in the last bits between processors
_AREA = 8  # pixels on each side of the areas whose variances a straight line is fitted to

Filter = Callable[[HuArray, FloatArray], HuArray]
"""From a slice and the standard deviation of its noise, both [y, x], to the slice without it."""

Built = tuple[Filter, dict[str, JsonValue]]
"""A filter, and what was found for it, for the history."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredNoise:
    """The noise of a scan.

    Args:
        told: Its standard deviation around every pixel.
        correlation: Of neighbouring pixels.
        pixel_spacing_mm: Distance between rows, then between columns.
    """

    told: ToldNoise
    correlation: NoiseCorrelation
    pixel_spacing_mm: tuple[float, float]

    def pixels(self, length_mm: float) -> tuple[float, float]:
        """A length along (y, x), pixels."""
        return length_mm / self.pixel_spacing_mm[0], length_mm / self.pixel_spacing_mm[1]


def built_filter(
    name: FilterName, settings: FilterSettings, noise: MeasuredNoise, sample: Sample
) -> Built:
    """The filter for a scan.

    Args:
        name: Which.
        settings: Of all filters.
        noise: Of the scan.
        sample: Some of its slices.
    """
    slices = _noisy_slices(sample, noise)
    if name == "vst":
        return _stabilising(settings, noise, slices)
    return _plain(name, settings, noise, slices)


def _plain(
    name: InnerName, settings: FilterSettings, noise: MeasuredNoise, slices: Sequence[NoisySlice]
) -> Built:
    match name:
        case "gaussian":
            return _gaussian(settings, noise)
        case "bilateral":
            return _bilateral(settings, noise)
        case "tv":
            return _total_variation(settings, slices)
        case "nlm":
            return _non_local_means(settings, noise)
        case "bm3d":
            return _bm3d(settings, noise)
        case _:
            assert_never(name)


def _gaussian(settings: FilterSettings, noise: MeasuredNoise) -> Built:
    width_mm = settings.gaussian.width_mm or filters.gaussian_width_mm(
        noise.correlation, settings.gaussian.left, noise.pixel_spacing_mm
    )
    width_mm = round(width_mm, _DECIMALS)
    width = noise.pixels(width_mm)

    def blurred(image: HuArray, sd: FloatArray) -> HuArray:
        del sd
        return filters.gaussian(image, width=width)

    return blurred, {"width_mm": width_mm}


def _bilateral(settings: FilterSettings, noise: MeasuredNoise) -> Built:
    own = settings.bilateral
    width = noise.pixels(own.width_mm)

    def averaged(image: HuArray, sd: FloatArray) -> HuArray:
        return filters.bilateral(image, sd, noise.correlation, width=width, tolerance=own.tolerance)

    return averaged, {}


def _total_variation(settings: FilterSettings, slices: Sequence[NoisySlice]) -> Built:
    weight = settings.tv.weight or discrepancy_weight(slices, removed=settings.tv.removed)
    weight = round(weight, _DECIMALS)

    def smoothed(image: HuArray, sd: FloatArray) -> HuArray:
        accuracy = ACCURACY * float(np.median(sd))
        return total_variation(image, np.float32(weight) * sd, accuracy_hu=accuracy)

    return smoothed, {"weight": weight}


def _non_local_means(settings: FilterSettings, noise: MeasuredNoise) -> Built:
    own = settings.nlm
    table = filters.likeness_table(noise.correlation, patch=own.patch, reach=own.reach)

    def averaged(image: HuArray, sd: FloatArray) -> HuArray:
        return filters.non_local_means(image, sd, table, tolerance=own.tolerance)

    return averaged, {}


def _bm3d(settings: FilterSettings, noise: MeasuredNoise) -> Built:
    factor = settings.bm3d.factor

    def collaborative(image: HuArray, sd: FloatArray) -> HuArray:
        found = bm3d_package.filtered((image / sd).astype(np.float32), noise.correlation, factor)
        return np.asarray(found * sd, dtype=np.float32)

    return collaborative, {}


def _stabilising(
    settings: FilterSettings, noise: MeasuredNoise, slices: Sequence[NoisySlice]
) -> Built:
    """Another filter on an image whose noise has the variance 1, by place or by value."""
    if settings.vst.by == "place":
        unit = [_of_unit_noise(one.image / one.sd_hu, one) for one in slices]
        inner, found = _plain(settings.vst.inner, settings, noise, unit)

        def divided(image: HuArray, sd: FloatArray) -> HuArray:
            return np.asarray(inner(image / sd, np.ones_like(sd)) * sd, dtype=np.float32)

        return divided, found

    line = _variance_line(slices)
    unit = [_of_unit_noise(line.stabilised(one.image - AIR_HU), one) for one in slices]
    inner, found = _plain(settings.vst.inner, settings, noise, unit)

    def transformed(image: HuArray, sd: FloatArray) -> HuArray:
        stabilised = line.stabilised(image - np.float32(AIR_HU))
        restored = line.restored(inner(stabilised, np.ones_like(sd)))
        return np.asarray(restored + np.float32(AIR_HU), dtype=np.float32)

    return transformed, {
        **found,
        "variance_gain": round(line.gain, _DECIMALS),
        "variance_offset": round(line.offset, _DECIMALS),
    }


def _of_unit_noise(image: FloatArray, one: NoisySlice) -> NoisySlice:
    return NoisySlice(image.astype(np.float32), np.ones_like(one.sd_hu), one.counted)


def _variance_line(slices: Sequence[NoisySlice]) -> VarianceLine:
    """Variance over HU + 1000, from the means of small areas of the body."""
    values: list[DoubleArray] = []
    variances: list[DoubleArray] = []
    for one in slices:
        rows, columns = (n // _AREA for n in one.image.shape)
        cut = np.s_[: rows * _AREA, : columns * _AREA]
        inside = one.counted[cut].reshape(rows, _AREA, columns, _AREA).all(axis=(1, 3))
        for image, kept in ((one.image - AIR_HU, values), (np.square(one.sd_hu), variances)):
            blocks = image[cut].astype(np.float64).reshape(rows, _AREA, columns, _AREA)
            kept.append(blocks.mean(axis=(1, 3))[inside])
    return VarianceLine.fitted(np.concatenate(values), np.concatenate(variances))


def _noisy_slices(sample: Sample, noise: MeasuredNoise) -> list[NoisySlice]:
    """Some slices of the sample, evenly spread; the body counts, or all where there is none."""
    volume = sample.volume
    count = min(WEIGHED_SLICES, volume.shape[0])
    places = ((np.arange(count) + 0.5) * volume.shape[0] / count).astype(int).tolist()
    chosen = volume.select(places)
    seen = shown(chosen, SEEN_HU)
    found = []
    for index, place in enumerate(places):
        padding = None if chosen.padding is None else chosen.padding[index]
        body = body_mask(seen[index], padding)
        sd_hu = noise.told.map.at(place, (0, 0), volume.shape[1:])
        sd_hu = np.maximum(sd_hu, np.float32(filters.LEAST_NOISE_HU))
        found.append(NoisySlice(seen[index], sd_hu, body if body.any() else np.ones_like(body)))
    return found
