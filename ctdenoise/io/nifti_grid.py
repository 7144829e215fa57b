"""Where a NIfTI file says its voxels are, and what it holds, from its header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import DIRECTION_TOLERANCE, POSITION_TOLERANCE_MM, Geometry
from ctdenoise.errors import GeometryError, OutputError, StudyError
from ctdenoise.io.finding import Finding, note, warning

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS into RAS and RAS into LPS."""

_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_MOST_IN_PLANE = 4096 * 4096
_MOST_SLICES = 20_000


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """What a NIfTI file says without reading all of its voxels.

    Args:
        geometry: The grid; None where it cannot be used.
        reversed_slices: Whether the file's slices descend along the normal, so that reading turns
            their order round.
        what: "CT" or "labels".
        problems: Every reason why it cannot be read as CT.
        notes: What is unusual though it can be read.
    """

    geometry: Geometry | None
    reversed_slices: bool
    what: str
    problems: tuple[str, ...]
    notes: tuple[Finding, ...]


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI by its name: .nii or .nii.gz."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def read_nifti_header(path: Path) -> NiftiHeader:
    """Grid, problems and notes of a NIfTI file, from its header and one slice.

    Args:
        path: A .nii or .nii.gz file.
    """
    try:
        with as_study_error(path):
            image = nib.load(path)
            geometry, turned, problems, notes = grid_of(image)
            what, value_problems, value_notes = first_look(image, readable=geometry is not None)
    except StudyError as error:
        return NiftiHeader(None, False, "CT", (error.what,), ())
    return NiftiHeader(geometry, turned, what, (*problems, *value_problems), (*notes, *value_notes))


@contextmanager
def as_study_error(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file provokes into one error that names the file.

    Args:
        path: The file that is read in the block.

    Raises:
        StudyError: Instead of any error that is not already one in words.
    """
    try:
        yield
    except (StudyError, GeometryError, OutputError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise StudyError("there is no such file.", where=path) from error
    except Exception as error:  # nibabel raises whatever the bytes provoke
        raise StudyError(
            f"is no NIfTI file, or a damaged one ({type(error).__name__}).", where=path
        ) from error


def grid_of(image: nib.Nifti1Image) -> tuple[Geometry | None, bool, list[str], list[Finding]]:
    """Geometry (None if unusable), whether slices must be reversed, problems and notes.

    Args:
        image: A NIfTI file, loaded without its voxels.
    """
    shape, problems = _shape_and_problems(image)
    if problems:
        return (None, False, problems, [])
    notes = _header_notes(image)
    unit = image.header.get_xyzt_units()[0]
    affine = LPS_RAS @ np.asarray(image.affine, dtype=np.float64)
    affine[:3] *= _MM_PER_UNIT.get(unit, 1.0)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or spacing.min() <= 0:
        return (None, False, ["its affine is singular or not finite"], notes)
    directions = affine[:3, :3] / spacing
    off = np.abs(directions.T @ directions - np.eye(3)).max()
    if off > DIRECTION_TOLERANCE:
        return (None, False, ["its affine is sheared; only orthogonal grids are read"], notes)
    normal = np.cross(directions[:, 0], directions[:, 1])
    turned = bool(normal @ directions[:, 2] < 0)
    positions = affine[:3, 3] + np.arange(shape[2])[:, None] * affine[:3, 2]
    geometry = Geometry(
        rows=shape[1],
        columns=shape[0],
        pixel_spacing_mm=(float(spacing[1]), float(spacing[0])),
        row_direction=_vector(directions[:, 0]),
        column_direction=_vector(directions[:, 1]),
        positions_mm=positions[::-1] if turned else positions,
    )
    if not geometry.is_axial:
        notes.append(note("not-axial", "its slices (third index) are not axial"))
    return (geometry, turned, [], notes)


def _shape_and_problems(image: nib.Nifti1Image) -> tuple[tuple[int, ...], list[str]]:
    """Size along [x, y, z] and what is wrong with it or with the type of the voxels."""
    shape = tuple(int(size) for size in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        shape = (*shape, 1)
    dtype = image.get_data_dtype()
    if len(shape) != 3:
        return (shape, [f"it has {len(shape)} dimensions, not 3"])
    if dtype.kind not in "iuf":
        return (shape, ["its voxels are colours or complex numbers"])
    if min(shape) < 1 or shape[0] * shape[1] > _MOST_IN_PLANE or shape[2] > _MOST_SLICES:
        return (shape, [f"{shape} voxels are not a CT"])
    return (shape, [])


def _vector(values: DoubleArray) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))


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


def first_look(image: nib.Nifti1Image, *, readable: bool) -> tuple[str, list[str], list[Finding]]:
    """What it is, problems and notes of its values, judged by its type and one slice.

    Args:
        image: A NIfTI file, loaded without its voxels.
        readable: Whether a slice can be read to look at its values.
    """
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    dtype = image.get_data_dtype()
    if dtype.itemsize == 1 and slope == 1.0 and inter == 0.0:
        return ("labels", ["8-bit numbers cannot hold Hounsfield units (a label map?)"], [])
    if not readable:
        return ("CT", [], [])
    index = (slice(None), slice(None), image.shape[2] // 2 if _is_plain(image) else 0)
    one = np.asanyarray(image.dataobj[index[: len(image.shape)]])
    return ("CT", [], value_notes(float(one.min()), float(one.max())))


def _is_plain(image: nib.Nifti1Image) -> bool:
    """Whether a slice can be read without inflating all before it; 3-D files only."""
    return len(image.shape) == 3 and not str(image.get_filename()).lower().endswith(".gz")


def value_notes(low: float, high: float) -> list[Finding]:
    """What is unusual about the range of an image's values.

    Args:
        low: The smallest.
        high: The largest.
    """
    if low >= 0 and high <= 1 and high > low:
        text = "values lie between 0 and 1: these look like scaled values, not Hounsfield units"
        return [warning("scaled-values", text)]
    if low >= 0 and high > 255:
        text = "no value is below 0: this may be stored values without the rescale (air is -1000)"
        return [warning("stored-values", text)]
    return []
