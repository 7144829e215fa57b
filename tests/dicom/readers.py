"""Readers of DICOM series that we did not write, and what each makes of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray

Voxels = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Values [z, y, x] in ascending order along the normal of the planes, and the affine from (x, y, z)
to LPS, mm."""


def by_simpleitk(folder: Path) -> Voxels:
    """One series of single frames, or one multi-frame object."""
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = SimpleITK.ReadImage(names if len(names) > 1 else names[0])
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).astype(np.float64), affine


def by_highdicom(folder: Path) -> Voxels:
    """One series of single frames, or one multi-frame object."""
    paths = sorted(folder.iterdir())
    if len(paths) == 1 and "NumberOfFrames" in pydicom.dcmread(paths[0], stop_before_pixels=True):
        volume = highdicom.imread(paths[0]).get_volume(
            dtype=np.float64, apply_presentation_lut=False, apply_voi_transform=False
        )
    else:
        datasets = [pydicom.dcmread(path) for path in paths]
        volume = highdicom.get_volume_from_series(datasets, apply_presentation_lut=False)
    values = np.asarray(volume.array, dtype=np.float64)  # [slice, row, column]
    affine = volume.affine[:, [2, 1, 0, 3]].copy()
    if np.linalg.det(affine[:3, :3]) < 0:  # its slices go against the normal
        values = values[::-1]
        affine[:3, 3] += affine[:3, 2] * (len(values) - 1)
        affine[:3, 2] *= -1
    return values, affine


def by_dcm2niix(folder: Path, out: Path) -> Voxels:
    """One series; dcm2niix flips rows and writes RAS."""
    out.mkdir()
    subprocess.run(
        ["dcm2niix", "-z", "n", "-b", "n", "-m", "y", "-f", "image", "-o", str(out), str(folder)],
        check=True,
        capture_output=True,
    )
    (path,) = [path for path in out.glob("*.nii") if path.stem == "image"]
    image = nibabel.load(path)
    values = np.asarray(image.dataobj, dtype=np.float64)[:, ::-1].T
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    affine[:3, 3] += affine[:3, 1] * (values.shape[1] - 1)
    affine[:3, 1] *= -1
    if np.linalg.det(affine[:3, :3]) < 0:
        values = values[::-1]
        affine[:3, 3] += affine[:3, 2] * (len(values) - 1)
        affine[:3, 2] *= -1
    return values, affine
