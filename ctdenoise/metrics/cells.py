"""Images on a coarser grid: means over square cells of pixels."""

from __future__ import annotations

import numpy as np

from ctdenoise.core.arrays import BoolArray, FloatArray


def cell_pixels(pixel_spacing_mm: tuple[float, float], cell_mm: float) -> int:
    """Side of a cell in pixels, at least 1.

    Args:
        pixel_spacing_mm: Along (rows, columns).
        cell_mm: About how large a cell is to be.
    """
    return max(1, round(cell_mm / float(np.sqrt(np.prod(pixel_spacing_mm)))))


def cell_means(image: FloatArray | BoolArray, side: int) -> FloatArray:
    """Mean of every whole cell, float32 [y, x]; rows and columns that fill none are left out.

    Args:
        image: Indexed [y, x].
        side: Of a cell, pixels.
    """
    values = image.astype(np.float32, copy=False)
    if side == 1:
        return values
    rows, columns = (size // side for size in values.shape)
    cut = values[: rows * side, : columns * side]
    by_rows = cut[::side].copy()
    for shift in range(1, side):
        by_rows += cut[shift::side]
    means = by_rows[:, ::side].copy()
    for shift in range(1, side):
        means += by_rows[:, shift::side]
    means *= np.float32(1.0 / side**2)
    return means


def cells_inside(mask: BoolArray, side: int) -> BoolArray:
    """Cells that lie in a mask as a whole.

    Args:
        mask: Indexed [y, x].
        side: Of a cell, pixels.
    """
    inside: BoolArray = cell_means(mask, side) > 1 - 0.5 / side**2
    return inside
