"""Where a NIfTI file says its voxels are, from its header."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from ctdenoise.core.geometry import POSITION_TOLERANCE_MM
from ctdenoise.errors import StudyError
from ctdenoise.io.finding import Finding, warning
from ctdenoise.io.image_header import (
    ImageHeader,
    StoredImage,
    header_on_grid,
    size_problems,
    three_sizes,
)

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS into RAS and RAS into LPS."""

_LENGTH_1, _LENGTH_2 = 348, 540  # sizeof_hdr of NIfTI-1 and NIfTI-2
_LONGEST_HEADER = _LENGTH_2
_MOST_BEFORE_VOXELS = 1 << 24
"""Header extensions are kept by some programs, but they are no gigabytes."""

_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI by its name: .nii or .nii.gz."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def nifti_header(path: Path) -> ImageHeader:
    """Grid, problems and notes of a NIfTI file.

    Scaled values (scl_slope, scl_inter) are Hounsfield units. The sform is taken where its code is
    set, else the qform.

    Args:
        path: A .nii or .nii.gz file.

    Raises:
        Exception: Whatever a damaged file provokes in nibabel.
    """
    _require_near_voxels(path)
    image = nib.load(path)
    sizes, dtype = three_sizes(image.shape), image.get_data_dtype()
    problems = size_problems(sizes, dtype)
    if problems:
        return ImageHeader("nifti", None, problems=tuple(problems))
    proxy = image.dataobj
    is_packed = path.name.lower().endswith(".gz")
    offset = int(proxy.offset)
    stored = StoredImage(
        path,
        (sizes[2], sizes[1], sizes[0]),
        np.dtype(proxy.dtype),
        start=0 if is_packed else offset,
        skip=offset if is_packed else 0,
        packing="gzip" if is_packed else "none",
        slope=float(proxy.slope),
        inter=float(proxy.inter),
    )
    unit = image.header.get_xyzt_units()[0]
    affine = LPS_RAS @ np.asarray(image.affine, dtype=np.float64)
    affine[:3] *= _MM_PER_UNIT.get(unit, 1.0)
    return header_on_grid("nifti", stored, affine, _header_notes(image))


def _require_near_voxels(path: Path) -> None:
    """Refuse a header that puts gigabytes between itself and the voxels, which would be read."""
    is_packed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if is_packed else path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    for order in "<>":
        size = int(np.frombuffer(start[:4], f"{order}i4")[0])
        if size == _LENGTH_1:
            offset = float(np.frombuffer(start[108:112], f"{order}f4")[0])
        elif size == _LENGTH_2:
            offset = float(np.frombuffer(start[168:176], f"{order}i8")[0])
        else:
            continue
        if not 0 <= offset <= _MOST_BEFORE_VOXELS:
            raise StudyError("its header says that the voxels begin far away.", where=path)


def _header_notes(image: nib.Nifti1Image) -> list[Finding]:
    header = image.header
    notes = []
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not sform and not qform:
        text = "neither sform nor qform is set, so its orientation is a guess"
        notes.append(warning("orientation-guessed", text))
    elif sform and qform:
        difference = np.abs(image.get_sform() - image.get_qform()).max()
        if difference > POSITION_TOLERANCE_MM:
            notes.append(
                warning("sform-qform-disagree", "sform and qform disagree; sform was taken")
            )
    return notes
