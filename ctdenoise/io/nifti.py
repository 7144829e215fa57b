"""Volumes written as NIfTI."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.io.nifti_grid import LPS_RAS, is_nifti
from ctdenoise.io.nifti_voxels import StoredVoxels
from ctdenoise.io.staging import staged_file

_WRITABLE = (np.int16, np.int32, np.float32)


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
    if dtype not in _WRITABLE:
        raise InputError(f"NIfTI is written as int16, int32 or float32, not {dtype.__name__}.")
    affine = LPS_RAS @ volume.geometry.affine()
    voxels = _as_stored(volume, dtype).transpose(2, 1, 0)  # [x, y, z]
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1.0, 0.0)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    with staged_file(path) as stage:
        _save(image, stage)
    return path


def _save(image: nib.Nifti1Image, path: Path) -> None:
    """Write an image and close its file even if the disk is full, which `nib.save` does not."""
    with path.open("wb") as file:
        if path.suffix != ".gz":
            image.to_stream(file)
            return
        # No name and no time inside: the same image gives the same bytes.
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
            image.to_stream(packed)


def _as_stored(volume: CTVolume, dtype: type[np.int16 | np.int32 | np.float32]) -> StoredVoxels:
    if issubclass(dtype, np.floating):
        return np.asarray(volume.hu)
    limits = np.iinfo(dtype)
    rounded = np.rint(volume.hu)
    if volume.padding is not None:
        clipped = np.clip(rounded, limits.min, limits.max)
        rounded = np.where(volume.padding, clipped, rounded)
    low, high = float(rounded.min()), float(rounded.max())
    if low < limits.min or high > limits.max:
        raise InputError(
            f"Hounsfield units from {low:.0f} to {high:.0f} do not fit {dtype.__name__}.",
            fix="Write float32.",
        )
    return np.asarray(rounded.astype(dtype))
