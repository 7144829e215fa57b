"""What the anatomy in a scan is like, as far as a network must have met it: size, skull, contrast.

None of it asks what an organ is. A head is told from a trunk by its skull: bone that closes around
something as large as a brain, which no bone of a trunk or a limb does. Blood with contrast medium
is told from bone by being even: bone of the same density is spongy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.cells import cell_means, cell_pixels, cells_inside

CELL_MM = 1.5
"""Side of the cells of pixels that everything is measured in."""

BONE_HU = 200.0
"""Cells above this are bone, or as dense."""

GAP_MM = 3.0
"""Gaps in bone up to twice this are closed: sutures, and thin bone that a thick slice averages."""

EVEN_MM = 7.5
"""Side of the squares in which a bright area is even: smaller than an aorta, larger than walls."""

EVEN_AREA_MM2 = 20.0
"""So much of a slice must be as bright and even."""

_EVEN_SD_HU = 5.0  # of means over 4.5 mm within such a square, beside what noise adds
_NOISE_SHARE = 0.4  # of the noise of a pixel that is left in such a mean, smooth kernels included
_EVEN_RANGE_HU = (0.0, 1500.0)  # beyond is metal
_LEAST_BODY_MM2 = 1000.0
_CUT_SHARE = 0.1  # of the border of the image; a body that takes more of it is cut off by it


@dataclass(frozen=True, slots=True)
class ScanAnatomy:
    """Figures of the anatomy in some slices.

    Args:
        body_mm: Median over slices of the diameter of a disc of the area of the body, mm; None
            where the image cuts the body off, or there is none.
        bone_ring_mm: Largest diameter, likewise, of anything that bone closes around in a slice.
        bright_even_hu: Brightness of the brightest even area of soft tissue: blood with contrast
            medium, bowel or bladder with it; None where nothing is even.
    """

    body_mm: float | None = None
    bone_ring_mm: float | None = None
    bright_even_hu: float | None = None


NO_ANATOMY = ScanAnatomy()
"""Where nothing was measured."""


def scan_anatomy(volume: CTVolume, body: BoolArray, *, noise_hu: float | None) -> ScanAnatomy:
    """Measure the anatomy of some slices.

    Args:
        volume: The slices.
        body: Their body mask, indexed like the volume.
        noise_hu: Noise level in soft tissue; None where it is not known.
    """
    spacing = volume.geometry.pixel_spacing_mm
    side = cell_pixels(spacing, CELL_MM)
    cell_mm = side * float(np.sqrt(np.prod(spacing)))
    cells = list(_cells(volume, side))
    even_sd = _EVEN_SD_HU + _NOISE_SHARE * (noise_hu or 0.0)
    return ScanAnatomy(
        body_mm=body_diameter_mm(body, spacing),
        bone_ring_mm=_largest(_ring_mm(one, cell_mm) for one in cells) if body.any() else None,
        bright_even_hu=_largest(_even_hu(one, cell_mm, even_sd) for one in cells),
    )


def body_diameter_mm(body: BoolArray, pixel_spacing_mm: tuple[float, float]) -> float | None:
    """Median over slices of the diameter of a disc of the area of the body, mm.

    Args:
        body: The body mask, [z, y, x].
        pixel_spacing_mm: Along (rows, columns).

    Returns:
        None where the image cuts the body off in every slice, or there is none.
    """
    side = cell_pixels(pixel_spacing_mm, CELL_MM)
    cell_mm = side * float(np.sqrt(np.prod(pixel_spacing_mm)))
    return _median(_body_mm(mask, side, cell_mm) for mask in body if mask.any())


def _cells(volume: CTVolume, side: int) -> Iterator[FloatArray]:
    for index, image in enumerate(volume.hu):
        padding = None if volume.padding is None else volume.padding[index]
        shown = image if padding is None else np.where(padding, np.float32(AIR_HU), image)
        yield cell_means(shown, side)


def _body_mm(mask: BoolArray, side: int, cell_mm: float) -> float | None:
    """Diameter of a disc of the area of the body; None where the image cuts it off."""
    inside = cells_inside(mask, side)
    area_mm2 = float(np.count_nonzero(inside)) * cell_mm**2
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    if area_mm2 < _LEAST_BODY_MM2 or border.mean() > _CUT_SHARE:
        return None
    return _diameter(area_mm2)


def _ring_mm(cells: FloatArray, cell_mm: float) -> float:
    """Diameter of a disc of the area of the largest thing that bone closes around."""
    gap = max(1, round(GAP_MM / cell_mm))
    bone = ndimage.binary_dilation(np.pad(cells > BONE_HU, gap + 1), iterations=gap)
    enclosed, count = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
    if not count:
        return 0.0
    largest = float(np.bincount(enclosed.ravel())[1:].max()) * cell_mm**2
    return _diameter(largest) + 2 * gap * cell_mm


def _even_hu(cells: FloatArray, cell_mm: float, even_sd: float) -> float | None:
    """The mean above which so much of a slice lies in even squares."""
    means = ndimage.uniform_filter(cells.astype(np.float64), 3, mode="nearest")
    window = max(3, 2 * round(EVEN_MM / cell_mm / 2) + 1)
    around = ndimage.uniform_filter(means, window, mode="nearest")
    square = ndimage.uniform_filter(means**2, window, mode="nearest")
    low, high = _EVEN_RANGE_HU
    even = (square - around**2 < even_sd**2) & (around > low) & (around < high)
    values: DoubleArray = np.sort(around[even])[::-1]
    place = round(EVEN_AREA_MM2 / cell_mm**2)
    return float(values[place]) if values.size > place else None


def _diameter(area_mm2: float) -> float:
    return 2 * float(np.sqrt(area_mm2 / np.pi))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _largest(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
