"""Judge a denoiser by what it makes of lesions that are put into a scan, and of places without.

The scan is settled on once, without lesions: with them it is denoised by the same settled method,
told the same noise. So what is measured is what the method does to lesions, and not what lesions do
to the measurement of noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.config.response import ResponseSettings
from ctdenoise.core.arrays import DoubleArray, HuArray, LabelArray
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError
from ctdenoise.inference.denoiser import Denoiser, Denoising
from ctdenoise.inference.method import Block, Sample
from ctdenoise.metrics.hallucination import Background, signal_absent
from ctdenoise.metrics.insertion import core_of, response
from ctdenoise.metrics.insertion_places import Site
from ctdenoise.metrics.lesions import (
    TYPICAL_F50_PER_MM,
    Lesion,
    SystemBlur,
    f50_of_noise_per_mm,
    lesion_image,
)
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.scan_character import scan_character
from ctdenoise.tasks.response_figures import Inserted, absent_figures, insertion_figures
from ctdenoise.tasks.response_places import Group, Layout, groups_of, layouts_of, shown_slice

_F50_LIMITS = (0.15, 1.2)
"""What is believed of an estimate, 1/mm."""

_AROUND_MM = (4.0, 8.0)
"""How far around a lesion its response is looked at: half the distance of two lesions, within
these limits."""


def measure_response(
    denoiser: Denoiser,
    volume: CTVolume,
    settings: ResponseSettings,
    *,
    labels: LabelArray | None = None,
    names: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Measured:
    """What a denoiser makes of lesions in a scan, and of places where there are none.

    Args:
        denoiser: Any.
        volume: The scan.
        settings: Which lesions, how many, where.
        labels: Organ of every voxel, [z, y, x]; None for lesions by tissue alone.
        names: Name of each organ, background first.
        progress: Told about every slice that is denoised.

    Raises:
        InputError: If no slice has room for a lesion.
        GeometryError: If the labels do not fit the scan.
    """
    if labels is not None and labels.shape != volume.shape:
        raise GeometryError(
            f"Labels of {labels.shape} voxels do not fit a scan of {volume.shape} [z, y, x]."
        )
    blur, estimated = system_blur(volume, settings)
    groups = groups_of(settings, names if labels is not None else ())
    around_mm = min(max(settings.apart_mm / 2, _AROUND_MM[0]), _AROUND_MM[1])
    layouts = layouts_of(volume, settings, groups, labels, rim_mm=around_mm)
    if not layouts:
        raise InputError(
            "no slice has flat soft tissue or lung for a lesion.",
            fix="Give a scan of a body or of a phantom, or labels of its organs.",
        )
    sample = Sample.of(volume, denoiser.context)
    study = _Study(
        volume,
        denoiser.settle(sample, volume),
        denoiser.context,
        groups,
        blur,
        around_mm,
    )
    passes = max((len(group.settings.contrasts_hu) for group in groups), default=0)
    inserted: list[Inserted] = []
    backgrounds = []
    crowding = None
    total = sum(passes + 1 if layout.sites else 1 for layout in layouts) + 1
    with progress.stage("Inserting lesions", total) as advance:
        for layout in layouts:
            plain = study.denoised(layout.place, ())
            advance()
            backgrounds.append(study.background(layout, plain))
            for number in range(passes if layout.sites else 0):
                inserted += study.inserted(layout, plain, number)
                advance()
        crowding = study.crowding(max(layouts, key=lambda one: len(one.sites)), passes)
        advance()
    absent = signal_absent(
        backgrounds,
        blur,
        volume.geometry.pixel_spacing_mm,
        diameters_mm=settings.absent.diameters_mm,
        least_deviations=settings.absent.least_deviations,
    )
    conditions: dict[str, JsonValue] = {
        "slices": [layout.place + 1 for layout in layouts],
        "lesions": sum(len(layout.sites) for layout in layouts),
        "slices_denoised": total,
        "f50_per_mm": round(blur.f50_per_mm, 3),
        "f50_by": estimated,
        "slice_thickness_mm": round(blur.slice_thickness_mm, 3),
        "apart_mm": settings.apart_mm,
        "change_by_neighbours": crowding,
        "seed": settings.seed,
        "settled": "once, on the scan without lesions",
    }
    found = Measured(conditions=(("response", conditions),))
    if inserted:
        found += insertion_figures(inserted, groups, draws=settings.draws, seed=settings.seed)
    return found + absent_figures(absent)


def system_blur(volume: CTVolume, settings: ResponseSettings) -> tuple[SystemBlur, str]:
    """What the scanner makes of a point, and how it is known.

    Args:
        volume: The scan.
        settings: What is stated of it.
    """
    thickness_mm = (
        settings.slice_thickness_mm
        or volume.acquisition.slice_thickness_mm
        or volume.geometry.slice_spacing_mm
        or 1.0
    )
    if settings.f50_per_mm is not None:
        return SystemBlur(settings.f50_per_mm, thickness_mm), "stated"
    frequency = scan_character(volume).noise_frequency_per_mm
    if frequency is None:
        return SystemBlur(TYPICAL_F50_PER_MM, thickness_mm), "typical: noise cannot be measured"
    f50 = float(np.clip(f50_of_noise_per_mm(frequency), *_F50_LIMITS))
    return SystemBlur(f50, thickness_mm), f"mean frequency of the noise, {frequency:.3f} /mm"


@dataclass(frozen=True, slots=True, eq=False)
class _Put:
    """A lesion of a contrast at a place.

    Args:
        site: Where.
        group: Its group.
        contrast_hu: Its contrast.
    """

    site: Site
    group: Group
    contrast_hu: float

    @property
    def lesion(self) -> Lesion:
        """The lesion."""
        settings = self.group.settings
        return Lesion(
            self.site.diameter_mm,
            settings.elongation,
            self.site.angle_degrees,
            settings.softness_mm,
        )

    @property
    def away(self) -> tuple[float, float]:
        """Distance of its centre from that of the middle pixel, pixels."""
        return self.site.row - round(self.site.row), self.site.column - round(self.site.column)


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """A denoiser that is settled on a scan, and lesions for it."""

    volume: CTVolume
    denoising: Denoising
    context: int
    groups: tuple[Group, ...]
    blur: SystemBlur
    around_mm: float

    @property
    def _spacing(self) -> tuple[float, float]:
        return self.volume.geometry.pixel_spacing_mm

    def denoised(self, place: int, put: Sequence[_Put]) -> HuArray:
        """A slice denoised with some lesions in it, HU, [y, x]."""
        first = max(0, place - self.context)
        stop = min(self.volume.shape[0], place + self.context + 1)
        part = self.volume.select(slice(first, stop))
        if put:
            away_mm = self.volume.geometry.along_normal_mm()[first:stop]
            away_mm = away_mm - self.volume.geometry.along_normal_mm()[place]
            hu = part.hu.copy()
            for one in put:
                for image, offset_mm in zip(hu, away_mm, strict=True):
                    window = self._window(one)
                    image[window] += self._image(one, float(offset_mm)).astype(np.float32)
            part = part.with_hu(hu, Step("insert_lesions"))
        inner = slice(place - first, place - first + 1)
        shown: HuArray = self.denoising.denoise(Block(part, first, inner)).volume.hu[0]
        return shown

    def inserted(self, layout: Layout, plain: HuArray, number: int) -> Iterator[Inserted]:
        """What becomes of the lesions of a slice with the contrast of a number in their lists."""
        put = list(self._put(layout, number))
        if not put:
            return
        image = self.denoised(layout.place, put)
        for one in put:
            yield self._inserted(one, layout.place, image, plain)

    def _put(self, layout: Layout, number: int) -> Iterator[_Put]:
        for site in layout.sites:
            group = self.groups[site.group]
            if number < len(group.settings.contrasts_hu):
                yield _Put(site, group, group.settings.contrasts_hu[number])

    def _inserted(self, one: _Put, place: int, image: HuArray, plain: HuArray) -> Inserted:
        window = self._window(one)
        change = image[window].astype(np.float64) - plain[window]
        shown = self._image(one, 0.0)
        core = core_of(one.lesion, self._side(one), self._spacing, one.away)
        return Inserted(
            one.group.name,
            one.contrast_hu,
            one.site.diameter_mm,
            place,
            response(change, shown, core, self._spacing),
        )

    def _image(self, one: _Put, offset_mm: float) -> DoubleArray:
        unit = lesion_image(
            one.lesion,
            self.blur,
            side=self._side(one),
            pixel_spacing_mm=self._spacing,
            away=one.away,
            offset_mm=offset_mm,
        )
        return one.contrast_hu * unit

    def _side(self, one: _Put) -> int:
        reach_mm = one.lesion.axes_mm[0] + self.around_mm
        return 2 * int(np.ceil(reach_mm / min(self._spacing))) + 1

    def _window(self, one: _Put) -> tuple[slice, slice]:
        half = self._side(one) // 2
        row, column = round(one.site.row), round(one.site.column)
        return slice(row - half, row + half + 1), slice(column - half, column + half + 1)

    def background(self, layout: Layout, plain: HuArray) -> Background:
        """The slice before and after, for the search for what should not be there."""
        before = shown_slice(self.volume, layout.place).astype(np.float64)
        after = plain.astype(np.float64)
        if self.volume.padding is not None:
            after[self.volume.padding[layout.place]] = before[self.volume.padding[layout.place]]
        depth = ndimage.distance_transform_edt(layout.tissue, sampling=self._spacing)
        return Background(layout.place, before, after, np.asarray(depth), layout.flat)

    def crowding(self, layout: Layout, passes: int) -> float | None:
        """By how much the recovery of a lesion changes if it is alone: that in the middle.

        That of the contrast in the middle of the list is taken; None without neighbours.
        """
        put = list(self._put(layout, passes // 2)) or list(self._put(layout, 0))
        if len(put) < 2:
            return None
        plain = self.denoised(layout.place, ())
        sums = [
            sum(
                np.hypot(one.site.row - other.site.row, one.site.column - other.site.column)
                for other in put
            )
            for one in put
        ]
        middle = put[int(np.argmin(sums))]
        alone, together = (
            self._inserted(middle, layout.place, self.denoised(layout.place, those), plain)
            for those in ([middle], put)
        )
        return round(abs(alone.response.recovery - together.response.recovery), 6)
