"""Volumes written as NIfTI."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.io.image_values import ValueScale
from ctdenoise.io.image_writer import write_image
from ctdenoise.io.nifti_grid import is_nifti


def write_nifti(
    volume: CTVolume,
    path: Path | str,
    *,
    dtype: type[np.int16 | np.int32 | np.float32] = np.int16,
) -> Path:
    """Write a volume as NIfTI (RAS, sform and qform, mm), replacing the file in one step.

    Integers are rounded to the nearest Hounsfield unit. Padding is written as the value it holds,
    cut to the range of the type.

    Args:
        volume: A volume on one uniform, orthogonal grid.
        path: A .nii or .nii.gz file in an existing folder.
        dtype: int16, int32 or float32.

    Returns:
        The file.

    Raises:
        GeometryError: If the stack is tilted or unevenly spaced.
        InputError: If a Hounsfield unit does not fit the type, or the name is not NIfTI's.
    """
    path = Path(path)
    if not is_nifti(path):
        raise InputError("a NIfTI file is named .nii or .nii.gz.", where=path)
    return write_image(volume, path, scale=ValueScale(np.dtype(dtype)))
