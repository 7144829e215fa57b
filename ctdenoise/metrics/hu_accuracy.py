"""Whether tissues keep their Hounsfield units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray

SMOOTHING_MM = 3.0
"""Side of the box whose mean decides the tissue of a voxel."""


@dataclass(frozen=True, slots=True)
class Tissue:
    """A range of Hounsfield units in the reference.

    Args:
        name: As it stands in keys.
        title: For people.
        low_hu: First value that belongs to it.
        high_hu: First value that does not.
    """

    name: str
    title: str
    low_hu: float
    high_hu: float

    @property
    def range_text(self) -> str:
        """The range for people."""
        if math.isinf(self.low_hu):
            return f"below {self.high_hu:g} HU"
        if math.isinf(self.high_hu):
            return f"from {self.low_hu:g} HU"
        return f"{self.low_hu:g} to {self.high_hu:g} HU"


TISSUES = (
    Tissue("air", "air", -math.inf, -950.0),
    Tissue("lung", "lung", -950.0, -500.0),
    Tissue("fat", "fat", -150.0, -30.0),
    Tissue("soft", "soft tissue", -30.0, 200.0),
    Tissue("bone", "bone", 300.0, math.inf),
)
"""What lies between these ranges is partial volume or enhanced blood and belongs to none."""


def tissue_masks(
    reference: HuArray | DoubleArray, body: BoolArray, *, pixel_spacing_mm: tuple[float, float]
) -> dict[str, BoolArray]:
    """Which voxels of a slice belong to each tissue.

    The mean of a 3 mm box of the reference decides, not the voxel itself: voxels picked by their
    own noisy value are picked for their noise, and a perfect denoiser would seem to be biased.

    Args:
        reference: Hounsfield units, indexed [y, x]; padding set to air.
        body: The body in this slice.
        pixel_spacing_mm: Along (rows, columns), as in Geometry.

    Returns:
        A mask by the name of each tissue.
    """
    return masks_of_means(box_means(reference, pixel_spacing_mm=pixel_spacing_mm), body)


def box_means(
    image: HuArray | DoubleArray, *, pixel_spacing_mm: tuple[float, float]
) -> DoubleArray:
    """Mean of the 3 mm box around every pixel of a slice, HU, float64 [y, x].

    Args:
        image: Hounsfield units, indexed [y, x]; padding set to air.
        pixel_spacing_mm: Along (rows, columns), as in Geometry.
    """
    size = [max(1, 2 * round(SMOOTHING_MM / spacing / 2 - 0.5) + 1) for spacing in pixel_spacing_mm]
    means: DoubleArray = ndimage.uniform_filter(
        image.astype(np.float64, copy=False), size=size, mode="nearest"
    )
    return means


def masks_of_means(means: DoubleArray, body: BoolArray) -> dict[str, BoolArray]:
    """A mask by the name of each tissue; see `tissue_masks`.

    Args:
        means: Of the boxes of the reference.
        body: The body in this slice.
    """
    return {
        tissue.name: body & (means >= tissue.low_hu) & (means < tissue.high_hu)
        for tissue in TISSUES
    }
