"""A denoiser that is settled on a scan, and lesions for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import DoubleArray, HuArray
from ctdenoise.core.provenance import Step
from ctdenoise.inference.denoiser import Denoising
from ctdenoise.inference.method import Block
from ctdenoise.metrics.channels import WIDTH_BY_RADIUS, Channels, laguerre_gauss
from ctdenoise.metrics.hallucination import Background
from ctdenoise.metrics.insertion import core_of, response
from ctdenoise.metrics.insertion_places import Site
from ctdenoise.metrics.lesions import Lesion, SystemBlur, lesion_image
from ctdenoise.tasks.response_figures import Inserted
from ctdenoise.tasks.response_places import Group, Layout
from ctdenoise.tasks.response_slices import Slices, shown_slice

_PLACES_APART_MM = 8.0
"""Distance between places whose noise is taken to be independent, at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Put:
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
class Study:
    """A denoiser that is settled on a scan, and lesions for it."""

    scan: Slices
    denoising: Denoising
    context: int
    groups: tuple[Group, ...]
    blur: SystemBlur
    around_mm: float

    @property
    def _spacing(self) -> tuple[float, float]:
        return self.scan.geometry.pixel_spacing_mm

    def denoised(self, place: int, put: Sequence[Put]) -> HuArray:
        """A slice denoised with some lesions in it, HU, [y, x]."""
        first = max(0, place - self.context)
        stop = min(self.scan.count, place + self.context + 1)
        part = self.scan.stretch(first, stop)
        if put:
            along_mm = self.scan.geometry.along_normal_mm()
            away_mm = along_mm[first:stop] - along_mm[place]
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
        put = list(self._lesions(layout, number))
        if not put:
            return
        image = self.denoised(layout.place, put)
        for one in put:
            yield self._inserted(one, layout.place, image, plain)

    def _lesions(self, layout: Layout, number: int) -> Iterator[Put]:
        for site in layout.sites:
            group = self.groups[site.group]
            if number < len(group.settings.contrasts_hu):
                yield Put(site, group, group.settings.contrasts_hu[number])

    def _inserted(self, one: Put, place: int, image: HuArray, plain: HuArray) -> Inserted:
        window = self._window(one)
        under = plain[window].astype(np.float64)
        change = image[window] - under
        shown = self._image(one, 0.0)
        core = core_of(one.lesion, self._side(one), self._spacing, one.away)
        return Inserted(
            one.group.name,
            one.contrast_hu,
            one.site.diameter_mm,
            place,
            response(change, shown, core, self._spacing),
            *self._channels(one).responses(np.stack([shown, change, under])),
        )

    def _image(self, one: Put, offset_mm: float) -> DoubleArray:
        unit = _unit(one.lesion, self.blur, self._side(one), self._spacing, one.away, offset_mm)
        return one.contrast_hu * unit

    def _side(self, one: Put) -> int:
        return self._pixels(one.lesion.axes_mm[0] + self.around_mm)

    def _pixels(self, reach_mm: float) -> int:
        return 2 * int(np.ceil(reach_mm / min(self._spacing))) + 1

    def _channels(self, one: Put) -> Channels:
        return _channels(self._side(one), one.site.diameter_mm, self._spacing)

    def absent(
        self, layouts: Sequence[Layout], backgrounds: Sequence[Background], diameter_mm: float
    ) -> dict[int, tuple[DoubleArray, DoubleArray]]:
        """What the channels for round lesions answer to places without one, by slice.

        Args:
            layouts: Slices.
            backgrounds: The same before and after.
            diameter_mm: Of the lesions.

        Returns:
            For each slice, responses before and after, [place, channel].
        """
        side = self._pixels(diameter_mm / 2 + self.around_mm)
        channels = _channels(side, diameter_mm, self._spacing)
        steps = [
            max(1, round(max(_PLACES_APART_MM, 1.5 * diameter_mm) / one)) for one in self._spacing
        ]
        half, found = side // 2, {}
        for layout, one in zip(layouts, backgrounds, strict=True):
            free = layout.flat & layout.calm
            free[:half] = free[-half:] = False
            free[:, :half] = free[:, -half:] = False
            places = np.argwhere(free[:: steps[0], :: steps[1]]) * steps
            if len(places):
                before, after = (
                    channels.responses(
                        np.stack(
                            [
                                image[y - half : y + half + 1, x - half : x + half + 1]
                                for y, x in places
                            ]
                        )
                    )
                    for image in (one.before, one.after)
                )
                found[one.place] = before, after
        return found

    def _window(self, one: Put) -> tuple[slice, slice]:
        half = self._side(one) // 2
        row, column = round(one.site.row), round(one.site.column)
        return slice(row - half, row + half + 1), slice(column - half, column + half + 1)

    def background(self, layout: Layout, plain: HuArray) -> Background:
        """The slice before and after, for the search for what should not be there."""
        image, padding = shown_slice(self.scan.stretch(layout.place, layout.place + 1), 0)
        before, after = image.astype(np.float64), plain.astype(np.float64)
        if padding is not None:
            after[padding] = before[padding]
        depth = ndimage.distance_transform_edt(layout.calm, sampling=self._spacing)
        return Background(layout.place, before, after, np.asarray(depth))

    @property
    def passes(self) -> int:
        """How often a slice with lesions is denoised with them."""
        return max((len(group.settings.contrasts_hu) for group in self.groups), default=0)

    def crowding(self, layout: Layout) -> float | None:
        """By how much the recovery of a lesion changes if it is alone: that in the middle.

        That of the contrast in the middle of the list is taken; None without neighbours.
        """
        put = list(self._lesions(layout, self.passes // 2)) or list(self._lesions(layout, 0))
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


@lru_cache(maxsize=1024)
def _unit(
    lesion: Lesion,
    blur: SystemBlur,
    side: int,
    pixel_spacing_mm: tuple[float, float],
    away: tuple[float, float],
    offset_mm: float,
) -> DoubleArray:
    """A lesion of 1 HU: the same place takes one of every contrast."""
    return lesion_image(
        lesion,
        blur,
        side=side,
        pixel_spacing_mm=pixel_spacing_mm,
        away=away,
        offset_mm=offset_mm,
    )


@lru_cache(maxsize=64)
def _channels(side: int, diameter_mm: float, pixel_spacing_mm: tuple[float, float]) -> Channels:
    """Five Laguerre-Gauss channels for a lesion; what it adds to the mean does not count."""
    radius = diameter_mm / 2 / float(np.sqrt(np.prod(pixel_spacing_mm)))
    return laguerre_gauss((side, side), width_pixels=WIDTH_BY_RADIUS * radius, mean_removed=True)
