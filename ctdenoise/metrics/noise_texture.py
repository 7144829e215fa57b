"""How much the texture of the noise changed: mean and peak frequency of its power spectrum.

Noise is looked at in flat patches of soft tissue, which the reference chooses for all. Where the
reference is exact, it is subtracted first, and nothing but noise and error is left; where it is a
scan, patches hold a little anatomy too, in the scan as in what is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.hu_accuracy import SMOOTHING_MM, tissue_masks
from ctdenoise.metrics.nps import (
    FlatPatch,
    PowerSums,
    candidates,
    flattest,
    patches_at,
    power_of,
)
from ctdenoise.metrics.table import Metric

Truth = Literal["scan", "exact"]
"""What a reference is: a full-dose scan, which is noisy itself, or an image without noise."""


@dataclass(frozen=True, slots=True, eq=False)
class FlatAreas:
    """Where noise is measured in a volume.

    Args:
        patches: In the order of their slices; empty where there is too little soft tissue.
        side: Pixels along each side.
        truth: What the reference is.
    """

    patches: tuple[FlatPatch, ...]
    side: int
    truth: Truth


def flat_areas(reference: CTVolume, body: BoolArray, *, side: int, truth: Truth) -> FlatAreas:
    """The flattest patches of soft tissue.

    Args:
        reference: The full-dose volume or the truth.
        body: Its body mask, [z, y, x].
        side: Pixels along each side.
        truth: What the reference is.
    """
    spacing = reference.geometry.pixel_spacing_mm
    size = [max(1, round(SMOOTHING_MM / one)) for one in spacing]
    found: list[FlatPatch] = []
    for index in range(reference.shape[0]):
        if not body[index].any():
            continue
        image = _image(reference, index)
        soft = tissue_masks(image, body[index], pixel_spacing_mm=spacing)["soft"]
        smooth = ndimage.uniform_filter(image, size=size, mode="nearest")
        found += candidates(smooth, soft, index=index, side=side)
    return FlatAreas(flattest(found), side, truth)


def noise_power(volume: CTVolume, reference: CTVolume, areas: FlatAreas) -> tuple[PowerSums, ...]:
    """Summed power of the patches of each slice that has some.

    Args:
        volume: Whose noise.
        reference: Subtracted where it is exact.
        areas: Where to look.
    """
    sums = []
    for index in sorted({patch.index for patch in areas.patches}):
        image = _image(volume, index)
        if areas.truth == "exact":
            image = image - _image(reference, index)
        corners = [patch.corner for patch in areas.patches if patch.index == index]
        cut = patches_at(image, corners, areas.side)
        sums.append(power_of(cut, pixel_spacing_mm=reference.geometry.pixel_spacing_mm))
    return tuple(sums)


def _image(volume: CTVolume, index: int) -> DoubleArray:
    image: DoubleArray = volume.hu[index].astype(np.float64)
    if volume.padding is not None:
        image[volume.padding[index]] = AIR_HU
    return image


@dataclass(frozen=True, slots=True, eq=False)
class TextureFigures:
    """The texture of the noise of a test, and of the noise that it is compared with.

    Args:
        test: Power of each slice.
        standard: The same of the full dose; of the low dose where the full dose has no noise.
        truth: What the reference is.
        side: Pixels along each side of a patch.
    """

    test: tuple[PowerSums, ...]
    standard: tuple[PowerSums, ...]
    truth: Truth
    side: int

    def figures(self) -> Iterator[tuple[Metric, DoubleArray]]:
        """Each number with its values without each slice."""
        against = "the full dose" if self.truth == "scan" else "the low dose"
        what = "" if self.truth == "scan" else " of the difference from the truth"
        tests = self._frequencies(self.test)
        standards = self._frequencies(self.standard)
        for number, (key, title) in enumerate((("fav", "Mean"), ("fpeak", "Peak"))):
            values, others = tests[number], standards[number]
            yield (
                self._metric(
                    f"nps_{key}",
                    f"{title} frequency of the noise",
                    values[0],
                    "1/mm",
                    f"{title} frequency of the noise power spectrum{what}.",
                ),
                values[1:],
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                change = 100 * (values / others - 1)
            yield (
                self._metric(
                    f"nps_{key}_change",
                    f"Shift of the {title.lower()} frequency of the noise",
                    change[0],
                    "%",
                    f"{title} frequency of the noise power spectrum{what} against that of "
                    f"{against}; negative is coarser noise.",
                ),
                change[1:],
            )

    @staticmethod
    def _frequencies(slices: tuple[PowerSums, ...]) -> tuple[DoubleArray, DoubleArray]:
        """Mean and peak frequency of all slices and, after that, without each of them."""
        if not slices:
            nothing = np.full(1, np.nan)
            return nothing, nothing
        total = slices[0]
        for one in slices[1:]:
            total = total + one
        parts = [total, *(total - one for one in slices if len(slices) > 1)]
        spectra = [part.radial() for part in parts]
        means = [spectrum.mean_frequency_per_mm for spectrum in spectra]
        peaks = [spectrum.peak_frequency_per_mm for spectrum in spectra]
        return _numbers(means), _numbers(peaks)

    def _metric(self, key: str, title: str, value: float, unit: str, description: str) -> Metric:
        patches = sum(one.count for one in self.test)
        known = bool(np.isfinite(value))
        note = "" if known else "no noise" if patches else "too few flat patches of soft tissue"
        return Metric(
            key,
            title,
            float(value) if known else None,
            unit,
            window="none",
            mask=f"the flattest {self.side} x {self.side} patches of soft tissue of the reference",
            reduction=f"mean spectrum of {patches} patches less a quadratic surface each, rings",
            better="near zero" if key.endswith("_change") else "neither",
            description=description,
            note=note,
        )


def _numbers(values: list[float | None]) -> DoubleArray:
    return np.array([np.nan if value is None else value for value in values])
