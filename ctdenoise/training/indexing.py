"""Where the pixels of turned patches lie in volumes that are stored one pixel after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IndexArray = npt.NDArray[np.int64]


class PatchSteps(NamedTuple):
    """Where patches begin and how far it is to the next pixel; every array is int64 [patch].

    Args:
        first: Place of the first pixel.
        along_y: Step to the pixel below.
        along_x: Step to the pixel on the right.
    """

    first: IndexArray
    along_y: IndexArray
    along_x: IndexArray


def patch_steps(
    first: IndexArray, columns: IndexArray | int, symmetry: IndexArray, size: int
) -> PatchSteps:
    """Steps through square patches that are turned, see `symmetries`.

    Args:
        first: Place of the first pixel of each window before it is turned, [patch].
        columns: Pixels in a row of its slice, [patch] or one number.
        symmetry: How it is turned, [patch].
        size: Edge, pixels.
    """
    mirror_rows, mirror_columns = symmetry & 1 == 1, symmetry & 2 == 2
    transpose = symmetry & 4 == 4
    last = size - 1
    first = first + mirror_rows * (last * columns) + mirror_columns * last
    along_y = np.where(mirror_rows, -columns, columns)
    along_x = np.where(mirror_columns, -1, 1)
    return PatchSteps(
        first, np.where(transpose, along_x, along_y), np.where(transpose, along_y, along_x)
    )
