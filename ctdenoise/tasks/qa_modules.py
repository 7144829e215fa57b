"""Where the modules of a phantom with inserts are in a scan.

Slices that show the inserts are found by the inserts themselves: in each slice the outline of the
phantom gives its axis, and the turn (mirrored or not) at which the inserts fit best says how well
they fit. The other modules lie at known distances from these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ctdenoise.config.qa import PlaceSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.metrics.discs import PhantomPlace, measured_disc
from ctdenoise.metrics.phantom_place import FoundInserts, Insert, found_inserts
from ctdenoise.phantoms import acr464, catphan504
from ctdenoise.tasks.qa_found import images, placed, stated_slices

_LOOK_EVERY_MM = 4.0
"""Slices are looked at in steps of at most this much."""

_HALF_MM = 8.0
"""Slices this near to the middle of a module are measured."""

_FITS_HU = 60.0
"""With inserts farther off than this on average, a slice does not show the module."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a phantom has what.

    Args:
        title: Of the module with the inserts.
        inserts: Its inserts.
        ring_mm: Their distance from the axis.
        uniform_title: Of the uniform module.
        uniform_mm: Its distance along the phantom from the inserts, whichever side.
        uniform_ring_mm: Distance of the discs at its edge from the axis.
        uniform_disc_mm: Radius of its discs.
        contrast_mm: Distance of the module with the low-contrast rod; None where there is none.
    """

    title: str
    inserts: tuple[Insert, ...]
    ring_mm: float
    uniform_title: str
    uniform_mm: float
    uniform_ring_mm: float
    uniform_disc_mm: float
    contrast_mm: float | None = None


ACR464 = Layout(
    title="Module 1: CT numbers",
    inserts=tuple(Insert(name, hu, angle, size) for name, hu, size, angle in acr464.RODS),
    ring_mm=acr464.ROD_RADIUS_MM,
    uniform_title="Module 3: uniformity",
    uniform_mm=2 * acr464.MODULE_MM,
    uniform_ring_mm=66.0,  # pylinac
    uniform_disc_mm=11.3,  # ACR: 400 mm^2
    contrast_mm=acr464.MODULE_MM,
)

CATPHAN504 = Layout(
    title="CTP404: sensitometry",
    inserts=tuple(
        Insert("air, bottom" if (name, angle) == ("air", 90.0) else name, hu, angle, 12.0)
        for name, hu, angle in catphan504.INSERTS
    ),
    ring_mm=catphan504.INSERT_RADIUS_MM,
    uniform_title="CTP486: uniformity",
    uniform_mm=65.0,  # pylinac
    uniform_ring_mm=53.0,  # pylinac
    uniform_disc_mm=10.0,
)


@dataclass(frozen=True, slots=True)
class Module:
    """The module with the inserts.

    Args:
        slices: Those that show it.
        middle_mm: Height of their middle along the normal.
        place: Where the phantom is in them, and how it is turned.
        inserts: Its inserts, mirrored where they are mirrored in the scan.
    """

    slices: tuple[int, ...]
    middle_mm: float
    place: PhantomPlace
    inserts: tuple[Insert, ...]


def found_module(volume: CTVolume, settings: PlaceSettings, layout: Layout) -> Module:
    """Slices that show the inserts, where the phantom is in them and how it is turned.

    Args:
        volume: The scan.
        settings: What is stated.
        layout: Where the phantom has what.

    Raises:
        InputError: If no slice shows them.
    """
    stated = stated_slices(volume, settings, "numbers")
    heights = volume.geometry.along_normal_mm()
    if stated is None:
        middle = _found_middle(volume, settings, layout)
        stated = slices_at(volume, middle)
    slices = tuple(stated)
    image = images(volume, slices).mean(axis=0)
    fit = _fit(image, volume, settings, layout)
    if fit is None:
        raise _not_found(layout)
    found, inserts = fit
    middle = float(np.mean([heights[index] for index in slices]))
    return Module(slices, middle, found.place, inserts)


def _found_middle(volume: CTVolume, settings: PlaceSettings, layout: Layout) -> float:
    """Height of the middle of the stretch of slices that show the inserts."""
    heights = np.asarray(volume.geometry.along_normal_mm())
    looked = [0]
    for index in range(1, len(heights)):
        if abs(heights[index] - heights[looked[-1]]) >= _LOOK_EVERY_MM or len(heights) < 20:
            looked.append(index)
    errors = []
    for index in looked:
        fit = _fit(images(volume, [index])[0], volume, settings, layout)
        errors.append(np.inf if fit is None else fit[0].error_hu)
    best = int(np.argmin(errors))
    if not errors[best] <= _FITS_HU:
        raise _not_found(layout)
    enough = 1.5 * errors[best] + 10.0
    low, high = best, best
    while low > 0 and errors[low - 1] <= enough:
        low -= 1
    while high < len(looked) - 1 and errors[high + 1] <= enough:
        high += 1
    return float(heights[looked[low]] + heights[looked[high]]) / 2


def _not_found(layout: Layout) -> InputError:
    return InputError(
        f"{layout.title}: no slice shows its inserts.",
        fix="Is this the phantom that `phantom` names? If so, state where it is: place.centre, "
        "place.radius_mm, place.roll_degrees and place.slices.numbers.",
    )


def _fit(
    image: DoubleArray, volume: CTVolume, settings: PlaceSettings, layout: Layout
) -> tuple[FoundInserts, tuple[Insert, ...]] | None:
    """The inserts as they fit a slice best, mirrored or not; None without a phantom."""
    spacing = volume.geometry.pixel_spacing_mm
    try:
        place = placed(image, settings, spacing)
    except InputError:
        return None
    mirrored = tuple(replace(one, angle_degrees=180 - one.angle_degrees) for one in layout.inserts)
    fits = []
    for inserts in (layout.inserts, mirrored):
        fit = found_inserts(
            image,
            place,
            inserts,
            ring_mm=layout.ring_mm,
            pixel_spacing_mm=spacing,
            most_degrees=15.0 if settings.roll_degrees is None else 0.0,
        )
        fits.append((fit, inserts))
    return min(fits, key=lambda one: one[0].error_hu)


def slices_at(volume: CTVolume, height_mm: float) -> list[int]:
    """Slices near a height; none where the scan does not reach it.

    Args:
        volume: The scan.
        height_mm: Along the normal, of the middle of a module.
    """
    heights = np.asarray(volume.geometry.along_normal_mm())
    thick = volume.acquisition.slice_thickness_mm or 0.0
    near = np.abs(heights - height_mm) <= max(_HALF_MM, thick / 2)
    return [int(index) for index in np.flatnonzero(near)]


def other_side(volume: CTVolume, module: Module, layout: Layout) -> int | None:
    """Whether the other modules lie above (1) or below (-1); None where neither is in the scan.

    The side whose uniform module is nearer to water with less noise is the right one.

    Args:
        volume: The scan.
        module: The module with the inserts.
        layout: Where the phantom has what.
    """
    spacing = volume.geometry.pixel_spacing_mm
    unlike = {}
    for side in (1, -1):
        slices = slices_at(volume, module.middle_mm + side * layout.uniform_mm)
        if not slices:
            continue
        middle = module.place.disc(
            "centre",
            distance_mm=0.0,
            angle_degrees=0.0,
            radius_mm=layout.uniform_ring_mm,
            pixel_spacing_mm=spacing,
        )
        figures = measured_disc(images(volume, slices), middle, pixel_spacing_mm=spacing)
        unlike[side] = abs(figures.mean_hu) + figures.noise_hu
    return min(unlike, key=unlike.__getitem__) if unlike else None
