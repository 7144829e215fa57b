"""Masks of the same anatomy on two images: how far they agree, and where their borders lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from ctdenoise.core.arrays import BoolArray, DoubleArray, LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.metrics.table import Better, Metric

FAR_PERCENTILE = 95.0
"""Share of the surface that the far distance leaves out of account at its upper end: 100 minus
this."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one mask agrees with another.

    Args:
        dice: 2 |A and B| / (|A| + |B|); None where both are empty.
        surface_mm: Mean distance of the points of either surface from the other surface; None
            where a mask is empty or has no surface inside the image.
        far_mm: The 95th percentile of these distances, the larger of the two directions; None as
            above.
        changed: Voxels that are in one mask only.
        volume_ml: Volume of the second mask minus that of the first; None for a single slice, whose
            thickness its position does not say.
    """

    dice: float | None
    surface_mm: float | None
    far_mm: float | None
    changed: int
    volume_ml: float | None


def agreement(one: BoolArray, other: BoolArray, geometry: Geometry) -> Agreement:
    """How a mask agrees with another on the same grid.

    A surface voxel is one of the mask that has a neighbour outside it, among the six that share a
    face. Where the mask leaves the image it has no surface: nobody knows where it ends. Distances
    are those of voxel centres in millimetres, so slices may be tilted and unevenly spaced. The mean
    is taken over the voxels of both surfaces together.

    Args:
        one: The mask to compare with, [z, y, x].
        other: The mask that is judged, [z, y, x].
        geometry: Their grid.
    """
    both = int(np.count_nonzero(one & other))
    sizes = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    surfaces = [_surface(mask) for mask in (one, other)]
    surface_mm = far_mm = None
    if all(surface.any() for surface in surfaces):
        there = _distances_mm(surfaces[0], surfaces[1], geometry)
        back = _distances_mm(surfaces[1], surfaces[0], geometry)
        surface_mm = float(np.concatenate((there, back)).mean())
        far_mm = float(max(np.percentile(part, FAR_PERCENTILE) for part in (there, back)))
    return Agreement(
        dice=2 * both / sizes if sizes else None,
        surface_mm=surface_mm,
        far_mm=far_mm,
        changed=sizes - 2 * both,
        volume_ml=_volume_change_ml(one, other, geometry),
    )


def _surface(mask: BoolArray) -> BoolArray:
    """Voxels of a mask with a neighbour outside it; the edge of the image counts as inside."""
    surface = np.zeros_like(mask)
    (box,) = ndimage.find_objects(mask.astype(np.uint8), max_label=1)
    if box is None:
        return surface
    # One voxel more on each side, where there is one, so that only the image has an edge.
    around = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
    inside = mask[around]
    surface[around] = inside & ~ndimage.binary_erosion(inside, border_value=1)
    return surface


def _distances_mm(start: BoolArray, end: BoolArray, geometry: Geometry) -> DoubleArray:
    """Distance of each voxel of one surface from the nearest of another, mm."""
    distances = np.zeros(int(np.count_nonzero(start)))
    apart = ~end[start]
    if apart.any():
        points = _points_mm(start, geometry)[apart]
        distances[apart] = KDTree(_points_mm(end, geometry)).query(points)[0]
    return distances


def _points_mm(mask: BoolArray, geometry: Geometry) -> DoubleArray:
    """Centres of the voxels of a mask in the patient frame, [voxel, 3]."""
    z, row, column = np.nonzero(mask)
    down, across = geometry.pixel_spacing_mm
    points: DoubleArray = (
        geometry.positions_mm[z]
        + np.outer(row * down, geometry.column_direction)
        + np.outer(column * across, geometry.row_direction)
    )
    return points


def _volume_change_ml(one: BoolArray, other: BoolArray, geometry: Geometry) -> float | None:
    """Volume of the other mask minus that of the first; each slice reaches half-way to the next."""
    if geometry.slices < 2:
        return None
    thickness_mm = np.gradient(geometry.along_normal_mm())
    voxels = other.sum(axis=(1, 2), dtype=np.int64) - one.sum(axis=(1, 2), dtype=np.int64)
    down, across = geometry.pixel_spacing_mm
    return float((voxels * thickness_mm).sum() * down * across / 1000.0)


@dataclass(frozen=True, slots=True)
class Against:
    """What masks are compared with.

    Args:
        key: How the keys of the figures begin: "mask".
        words: For people: "mask of the reference".
        title: What the titles of the figures end with, where it is not the reference.
    """

    key: str
    words: str
    title: str = ""


REFERENCE = Against("mask", "mask of the reference")
"""The mask on the reference."""

INPUT = Against("mask_input", "mask of the input", " (against the input)")
"""The mask on the image that was denoised."""

TRUTH = Against("mask_truth", "true mask", " (against the truth)")
"""A mask that somebody drew."""

REFERENCE_AND_TRUTH = Against(
    "mask_truth_of_reference", "true mask", " (reference against the truth)"
)
"""The mask on the reference, compared with the true one."""


def mask_metrics(
    one: LabelArray,
    other: LabelArray,
    names: Sequence[str],
    geometry: Geometry,
    *,
    against: Against = REFERENCE,
) -> Iterator[Metric]:
    """Figures of every class, and the mean Dice of those that the first label map shows.

    Args:
        one: Class of each voxel to compare with, [z, y, x].
        other: Class of each voxel that is judged, [z, y, x].
        names: Name of each class, background first.
        geometry: Their grid.
        against: What is compared with.
    """
    found = {
        name: agreement(one == number, other == number, geometry)
        for number, name in enumerate(names)
        if number
    }
    shown = [bool((one == number).any()) for number in range(1, len(names))]
    dices = [a.dice for a, is_shown in zip(found.values(), shown, strict=True) if is_shown]
    yield _metric(
        f"{against.key}_dice",
        _KINDS["dice"],
        float(np.mean([dice for dice in dices if dice is not None])) if dices else None,
        against,
        of="mean of the classes",
        mask=f"all voxels; classes that the {against.words} shows",
        note="" if dices else f"the {against.words} shows no class",
    )
    for name, of_class in found.items():
        for key, kind in _KINDS.items():
            value: float | None = getattr(of_class, key)
            yield _metric(
                f"{against.key}_{key}[{name}]",
                kind,
                None if value is None else float(value),
                against,
                of=name,
                mask=f"{name} in either mask",
                note=_note(key, of_class) if value is None else "",
            )


class _Kind(NamedTuple):
    """What is said about a figure of each class."""

    title: str
    unit: str
    better: Better
    description: str


_KINDS = {
    "dice": _Kind("Dice", "", "higher", "2 |A and B| / (|A| + |B|) of the two masks."),
    "surface_mm": _Kind(
        "Surface distance, mean",
        "mm",
        "lower",
        "Mean distance of the voxels of both surfaces from the other surface.",
    ),
    "far_mm": _Kind(
        "Surface distance, 95 %",
        "mm",
        "lower",
        "95th percentile of the distances of a surface's voxels from the other surface, the larger "
        "of the two directions.",
    ),
    "changed": _Kind(
        "Voxels in one mask only", "voxels", "lower", "Voxels that are in one mask only."
    ),
    "volume_ml": _Kind(
        "Change of volume", "ml", "near zero", "Volume of the test's mask minus the other's."
    ),
}
"""The figures of `Agreement`, in the order of the page."""


def _note(key: str, found: Agreement) -> str:
    """Why a figure has no value."""
    if key == "volume_ml":
        return "a single slice"
    if found.dice is None:
        return "in neither mask"
    return "in one mask only" if found.dice == 0 else "no surface inside the image"


def _metric(
    key: str, kind: _Kind, value: float | None, against: Against, *, of: str, mask: str, note: str
) -> Metric:
    return Metric(
        key=key,
        title=f"{kind.title}, {of}{against.title}",
        value=value,
        unit=kind.unit,
        window="none",
        mask=mask,
        reduction="over the whole volume",
        better=kind.better,
        description=f"{kind.description} Against the {against.words}.",
        note=note,
    )
