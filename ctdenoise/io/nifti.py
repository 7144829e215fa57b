"""NIfTI in and out: the one door between the patient frames LPS (here) and RAS (there)."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, HuArray, LabelArray
from ctdenoise.core.geometry import DIRECTION_TOLERANCE, POSITION_TOLERANCE_MM, Geometry
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError, StudyError, listed
from ctdenoise.io.staging import staged_file

_log = logging.getLogger(__name__)

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS into RAS and RAS into LPS."""

_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_MOST_IN_PLANE = 4096 * 4096
_MOST_SLICES = 20_000
_WRITABLE = (np.int16, np.int32, np.float32)

StoredVoxels = npt.NDArray[np.generic]


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
    notes: tuple[str, ...]


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI by its name: .nii or .nii.gz."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def read_nifti_header(path: Path) -> NiftiHeader:
    """Grid, problems and notes of a NIfTI file, from its header and one slice.

    Args:
        path: A .nii or .nii.gz file.
    """
    try:
        with _as_study_error(path):
            image = nib.load(path)
            geometry, turned, problems, notes = _grid(image)
            what, value_problems, value_notes = _first_look(image, readable=geometry is not None)
    except StudyError as error:
        return NiftiHeader(None, False, "CT", (error.what,), ())
    return NiftiHeader(geometry, turned, what, (*problems, *value_problems), (*notes, *value_notes))


def read_nifti(path: Path | str) -> CTVolume:
    """A NIfTI file as Hounsfield units; any orientation, voxels moved by whole slices only.

    The third index of the file is the slice. Scaled values (scl_slope, scl_inter) are taken as
    Hounsfield units. Where the file's axes are left-handed in LPS, the slices are read in reverse,
    so that they ascend along the normal.

    Args:
        path: A .nii or .nii.gz file.

    Raises:
        StudyError: If it is damaged, is not one 3-D image of numbers, is sheared, or cannot hold
            Hounsfield units.
    """
    path = Path(path)
    with _as_study_error(path):
        image = nib.load(path)
        geometry, turned, problems, notes = _grid(image)
        if geometry is not None:
            problems = [*problems, *_first_look(image, readable=False)[1]]
        if geometry is None or problems:
            raise StudyError("cannot be read as CT:\n" + listed(problems), where=path)
        hu = _hounsfield(image, geometry.shape, turned=turned)
    if not (np.isfinite(hu.min()) and np.isfinite(hu.max())):
        raise StudyError(
            "some voxels are not finite numbers.",
            where=path,
            fix="Replace NaN and infinity first; air is -1000 HU.",
        )
    for note in (*notes, *_value_notes(float(hu.min()), float(hu.max()))):
        _log.warning("NIfTI image: %s", note)
    order = range(geometry.slices)
    frames = reversed(order) if turned else order
    instances = tuple(SourceInstance(path, frame=frame) for frame in frames)
    return CTVolume(hu, geometry, Acquisition(), SourceSeries("nifti", instances))


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


def read_labels(path: Path | str, like: Geometry) -> LabelArray:
    """A label map on the grid of an image.

    A file whose axes are turned or flipped, but whose voxels lie on the same points, is put into
    the image's order exactly; nothing is resampled.

    Args:
        path: A .nii or .nii.gz file of whole numbers from 0 to 255.
        like: The grid of the image.

    Returns:
        Labels, uint8 [z, y, x], 0 is background.

    Raises:
        StudyError: If it is damaged, or holds other numbers.
        GeometryError: If it lies on another grid.
    """
    path = Path(path)
    with _as_study_error(path):
        image = nib.load(path)
        geometry, turned, problems, _ = _grid(image)
        if geometry is None:
            raise StudyError("cannot be read as labels:\n" + listed(problems), where=path)
        values = _unscaled_or_scaled(image, geometry.shape, turned=turned)
    rounded = np.rint(values)
    if values.size and not (
        np.array_equal(rounded, values) and values.min() >= 0 and values.max() <= 255
    ):
        raise StudyError("labels must be whole numbers from 0 to 255.", where=path)
    labels: LabelArray = rounded.astype(np.uint8)
    if geometry.matches(like):
        return labels
    return np.ascontiguousarray(_reordered(labels, geometry, like, path))


@contextmanager
def _as_study_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (StudyError, GeometryError, MemoryError):
        raise
    except Exception as error:  # nibabel raises whatever the bytes provoke
        raise StudyError(
            f"is no NIfTI file, or a damaged one ({type(error).__name__}).", where=path
        ) from error


def _grid(image: nib.Nifti1Image) -> tuple[Geometry | None, bool, list[str], list[str]]:
    """Geometry (None if unusable), whether slices must be reversed, problems and notes."""
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
        notes.append("its slices (third index) are not axial")
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


def _header_notes(image: nib.Nifti1Image) -> list[str]:
    header = image.header
    notes = []
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not sform and not qform:
        notes.append("neither sform nor qform is set, so its orientation is a guess")
    elif sform and qform:
        difference = np.abs(image.get_sform() - image.get_qform()).max()
        if difference > POSITION_TOLERANCE_MM:
            notes.append("sform and qform disagree; sform was taken")
    return notes


def _first_look(image: nib.Nifti1Image, *, readable: bool) -> tuple[str, list[str], list[str]]:
    """What it is, problems and notes of its values, judged by its type and one slice."""
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    dtype = image.get_data_dtype()
    if dtype.itemsize == 1 and slope == 1.0 and inter == 0.0:
        return ("labels", ["8-bit numbers cannot hold Hounsfield units (a label map?)"], [])
    if not readable:
        return ("CT", [], [])
    index = (slice(None), slice(None), image.shape[2] // 2 if _is_plain(image) else 0)
    one = np.asanyarray(image.dataobj[index[: len(image.shape)]])
    return ("CT", [], _value_notes(float(one.min()), float(one.max())))


def _is_plain(image: nib.Nifti1Image) -> bool:
    """Whether a slice can be read without inflating all before it; 3-D files only."""
    return len(image.shape) == 3 and not str(image.get_filename()).lower().endswith(".gz")


def _value_notes(low: float, high: float) -> list[str]:
    if low >= 0 and high <= 1 and high > low:
        return ["values lie between 0 and 1: these look like scaled values, not Hounsfield units"]
    if low >= 0 and high > 255:
        return ["no value is below 0: this may be stored values without the rescale (air is -1000)"]
    return []


def _hounsfield(image: nib.Nifti1Image, shape: tuple[int, int, int], *, turned: bool) -> HuArray:
    values: HuArray = np.empty(shape, dtype=np.float32)
    _fill(values, image, turned=turned)
    return values


def _unscaled_or_scaled(
    image: nib.Nifti1Image, shape: tuple[int, int, int], *, turned: bool
) -> DoubleArray:
    values: DoubleArray = np.empty(shape, dtype=np.float64)
    _fill(values, image, turned=turned)
    return values


def _fill(out: HuArray | DoubleArray, image: nib.Nifti1Image, *, turned: bool) -> None:
    """Write the scaled voxels as [z, y, x], slice by slice, scaled in float64."""
    slices, rows, columns = out.shape
    stored = np.asanyarray(image.dataobj.get_unscaled()).reshape(columns, rows, slices, order="F")
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    for index in range(slices):
        one = stored[:, :, slices - 1 - index if turned else index].T
        out[index] = one if (slope, inter) == (1.0, 0.0) else one * np.float64(slope) + inter


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


def _reordered(labels: LabelArray, geometry: Geometry, like: Geometry, path: Path) -> LabelArray:
    """Labels put into the index order of another grid on the same points."""
    there = np.linalg.inv(like.affine()) @ geometry.affine()  # index (x, y, z) to index
    turn = np.rint(there[:3, :3])
    sizes = np.array(labels.shape[::-1])  # (x, y, z)
    is_turn = np.abs(turn).sum(0).max() == 1 and abs(round(float(np.linalg.det(turn)))) == 1
    if is_turn:
        ends = there[:3, :3] @ np.diag(sizes - 1.0)
        far = np.abs(ends - turn @ np.diag(sizes - 1.0)).max()
        first = there[:3, 3] - np.where((turn @ (sizes - 1.0)) < 0, -(turn @ (sizes - 1.0)), 0.0)
        tolerance = POSITION_TOLERANCE_MM / min(*like.pixel_spacing_mm, 1.0)
        new_sizes = tuple(int(n) for n in np.abs(turn) @ sizes)
        if max(far, np.abs(first).max()) <= tolerance and new_sizes == like.shape[::-1]:
            return _turned(labels, turn)
    raise GeometryError(
        f"the labels are on another grid: {_described(geometry)} against {_described(like)}.",
        where=path,
        fix="Resample them to the image's grid with nearest neighbour first.",
    )


def _turned(labels: LabelArray, turn: DoubleArray) -> LabelArray:
    """Axes permuted and flipped as a signed permutation of (x, y, z) says."""
    order: Sequence[int] = [int(np.argmax(np.abs(turn[new]))) for new in range(3)]
    moved = labels.transpose(2, 1, 0).transpose(order)  # now [x, y, z] of the new grid
    flips = tuple(new for new in range(3) if turn[new, order[new]] < 0)
    return np.flip(moved, flips).transpose(2, 1, 0)


def _described(geometry: Geometry) -> str:
    sizes = " x ".join(str(size) for size in geometry.shape[::-1])
    spacing = geometry.slice_spacing_mm or 0.0
    row, column = geometry.pixel_spacing_mm
    first = ", ".join(f"{value:.1f}" for value in geometry.positions_mm[0])
    return f"{sizes} voxels of {column:.3f} x {row:.3f} x {spacing:.3f} mm from ({first})"
