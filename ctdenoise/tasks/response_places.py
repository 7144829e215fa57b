"""Where in a scan lesions are put, and where nothing should be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.config.response import InsertedSettings, ResponseSettings
from ctdenoise.core.arrays import BoolArray, LabelArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.randomness import stream
from ctdenoise.metrics.hu_accuracy import tissue_masks
from ctdenoise.metrics.insertion_places import Ground, Site, calm_part, flat_part, sites_of
from ctdenoise.tasks.response_slices import Slices, shown_slice

SOFT = "soft tissue"
LUNG = "lung"

_CANDIDATES = 2  # slices that are looked at for each that is taken
_EDGE_MM = 15.0  # of the image, in which nothing is looked for
_HOLES_MM = 1.5  # holes that noise makes in a tissue


@dataclass(frozen=True, slots=True)
class Group:
    """Lesions of one tissue or organ.

    Args:
        name: Of the tissue or organ.
        settings: Which lesions.
        number: Class of the organ; None for a tissue that is known by its Hounsfield units.
    """

    name: str
    settings: InsertedSettings
    number: int | None = None

    @property
    def prefix(self) -> str:
        """What begins the places of keys: nothing for soft tissue."""
        return "" if self.name == SOFT else f"{self.name}, "

    @property
    def suffix(self) -> str:
        """What stands in the keys of charts."""
        return "" if self.name == SOFT else f"[{self.name}]"


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What is done in one slice.

    Args:
        place: Slice of the scan.
        sites: Places for lesions; empty where there is no room.
        calm: Soft tissue away from edges, in which nothing should be seen that is not there,
            [y, x].
        flat: The flat part of soft tissue, [y, x].
    """

    place: int
    sites: tuple[Site, ...]
    calm: BoolArray
    flat: BoolArray


def groups_of(settings: ResponseSettings, names: Sequence[str]) -> tuple[Group, ...]:
    """Which lesions are wanted, organs first: they are smaller, and get places before the rest.

    Args:
        settings: Of the study.
        names: Name of each class of the label map, background first; empty without one.
    """
    groups = [
        Group(name, settings.organ, number)
        for number, name in enumerate(_told_apart(names))
        if number and settings.organ is not None
    ]
    for name, wanted in ((SOFT, settings.soft), (LUNG, settings.lung)):
        if wanted is not None:
            groups.append(Group(name, wanted))
    return tuple(groups)


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names of classes, with their number where another class or a tissue has the same."""
    tissues = (SOFT, LUNG)
    return [
        f"{name} (class {number})" if name in tissues or names.count(name) > 1 else name
        for number, name in enumerate(names)
    ]


def layouts_of(
    scan: Slices,
    settings: ResponseSettings,
    groups: Sequence[Group],
    labels: LabelArray | None,
    *,
    rim_mm: float,
) -> tuple[Layout, ...]:
    """The slices that take lesions, evenly spread, and the places in them.

    Of every two slices that are looked at, the one with more room is taken.

    Args:
        scan: Its slices.
        settings: How many slices and lesions.
        groups: Which lesions.
        labels: Class of every voxel; None without.
        rim_mm: Distance from the border of a lesion to that of the image, at least.
    """
    slices = scan.count
    count = min(slices, _CANDIDATES * settings.slices)
    numbers = np.linspace(0, slices - 1, count).round().astype(int)
    taken: dict[tuple[int, float], int] = {}
    found = []
    for some in np.array_split(numbers, min(slices, settings.slices)):
        looked = [_Looked.of(scan, place, groups, labels, rim_mm) for place in some.tolist()]
        best = max(looked, key=lambda one: one.room)
        sites = sites_of(
            best.grounds,
            scan.geometry.pixel_spacing_mm,
            apart_mm=settings.apart_mm,
            most=settings.per_slice,
            taken=taken,
            rng=stream(settings.seed, "response", "places", best.place),
        )
        if best.room:
            found.append(Layout(best.place, sites, best.calm, best.flat))
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """A slice that may take lesions."""

    place: int
    grounds: tuple[Ground, ...]
    calm: BoolArray
    flat: BoolArray
    room: int

    @classmethod
    def of(
        cls,
        scan: Slices,
        place: int,
        groups: Sequence[Group],
        labels: LabelArray | None,
        rim_mm: float,
    ) -> _Looked:
        spacing = scan.geometry.pixel_spacing_mm
        image, padding = shown_slice(scan.stretch(place, place + 1), 0)
        tissues = tissue_masks(image, body_mask(image, padding), pixel_spacing_mm=spacing)
        whole = {name: _without_specks(tissues[key], spacing) for name, key in _TISSUE_KEYS}
        grounds = []
        for number, group in enumerate(groups):
            inside = whole.get(group.name)
            if group.number is not None:
                if labels is None:
                    continue
                inside = labels[place] == group.number
            if inside is None or not inside.any():
                continue
            sizes = group.settings.diameters_mm
            flat = flat_part(image, inside, spacing)
            stretch = float(np.sqrt(group.settings.elongation))
            _clear_rim(flat, spacing, rim_mm + max(sizes) / 2 * stretch)
            grounds.append(Ground(number, inside, flat, sizes, group.settings.elongation))
        soft = whole[SOFT]
        calm, flat = calm_part(image, soft, spacing), flat_part(image, soft, spacing)
        _clear_rim(calm, spacing, _EDGE_MM)
        room = sum(int(np.count_nonzero(ground.flat)) for ground in grounds)
        room += int(np.count_nonzero(calm))
        return cls(place, tuple(grounds), calm, flat, room)


_TISSUE_KEYS = ((SOFT, "soft"), (LUNG, "lung"))


def _without_specks(mask: BoolArray, pixel_spacing_mm: tuple[float, float]) -> BoolArray:
    """A tissue without the small holes that strong noise makes in it."""
    steps = max(1, round(_HOLES_MM / float(np.sqrt(np.prod(pixel_spacing_mm)))))
    return np.asarray(ndimage.binary_closing(mask, iterations=steps), dtype=np.bool_)


def _clear_rim(mask: BoolArray, pixel_spacing_mm: tuple[float, float], rim_mm: float) -> None:
    """Take what lies near the edge of the image out of a mask.

    Lesions are drawn in squares of pixels, so the rim has as many pixels along both axes.
    """
    rim = int(np.ceil(rim_mm / min(pixel_spacing_mm))) + 1
    mask[:rim] = mask[-rim:] = False
    mask[:, :rim] = mask[:, -rim:] = False
