"""The image files of training pairs: uncompressed NIfTI that is mapped, not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

from ctdenoise.core.arrays import BoolArray, DoubleArray, LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, PairsError
from ctdenoise.io.image_heads import nifti_head

PADDING_HU = -2048
"""What padding voxels hold in the image files."""

SMALLEST_HU = PADDING_HU + 1
"""Image voxels below are stored as this."""

LARGEST_HU = 32767
"""Image voxels above are stored as this; the largest int16."""

StoredArray = npt.NDArray[np.int16]
"""Hounsfield units as stored, int16, indexed [z, y, x]; padding is PADDING_HU."""


def stored_hu(volume: CTVolume, padding: BoolArray | None) -> StoredArray:
    """A volume as whole HU, clipped to [SMALLEST_HU, LARGEST_HU], padding as PADDING_HU.

    Args:
        volume: Any volume.
        padding: Which voxels are padding, bool [z, y, x]; None for none.
    """
    stored = np.empty(volume.shape, dtype=np.int16)
    rounded = np.empty(volume.shape[1:], dtype=np.float32)
    for z, hu in enumerate(volume.hu):  # slice by slice: what is worked on stays in the cache
        np.rint(hu, out=rounded)
        np.clip(rounded, SMALLEST_HU, LARGEST_HU, out=rounded)
        np.copyto(stored[z], rounded, casting="unsafe")
        if padding is not None:
            np.copyto(stored[z], PADDING_HU, where=padding[z])
    return stored


def affine_and_notes(geometry: Geometry) -> tuple[DoubleArray, tuple[str, ...]]:
    """The affine for the NIfTI header (LPS, mm) and what a reader must know about it."""
    try:
        return geometry.affine(), ()
    except GeometryError as error:
        rows_mm, columns_mm = geometry.pixel_spacing_mm
        affine = np.diag([-columns_mm, -rows_mm, geometry.slice_spacing_mm or 1.0, 1.0])
        note = (
            f"{error.what} The NIfTI headers hold the spacing only; "
            "the position of every slice is under geometry."
        )
        return affine, (note,)


def write_image(path: Path, array: npt.NDArray[np.int16] | LabelArray, affine: DoubleArray) -> None:
    """Write an uncompressed NIfTI file.

    Args:
        path: The file to make.
        array: Voxels [z, y, x].
        affine: Index (x, y, z) to LPS mm, float64 [4, 4].
    """
    slices, rows, columns = array.shape
    with path.open("wb") as file:
        file.write(nifti_head((slices, rows, columns), array.dtype.type, affine))
        file.write(np.ascontiguousarray(array).data.cast("B"))


def mapped(path: Path, shape: tuple[int, int, int], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """An image file mapped into memory, read-only, indexed [z, y, x].

    Args:
        path: An uncompressed NIfTI file.
        shape: The size it must have.
        dtype: The type that its voxels must have, without scaling.

    Raises:
        PairsError: If it is missing, damaged, cut short, or of another size or type.
    """
    if not path.is_file():
        raise PairsError("the file is missing.", where=path)
    try:
        image = nib.load(path, mmap="r")
        found = (tuple(reversed(image.shape)), image.get_data_dtype())
        if found != (shape, np.dtype(dtype)) or image.header.get_slope_inter() != (None, None):
            raise PairsError(
                f"it holds {found[0]} voxels of {found[1]}, not {shape} [z, y, x] of "
                f"{np.dtype(dtype)} without scaling.",
                where=path,
            )
        array: npt.NDArray[Any] = np.asanyarray(image.dataobj).T
    except (ImageFileError, OSError, ValueError) as error:
        if isinstance(error, PairsError):
            raise
        raise PairsError("the file is damaged or cut short.", where=path) from error
    return array
