"""What the header of an image file says: where its voxels are in the patient, and how they lie.

The same for NIfTI, MetaImage and NRRD, so that one reader serves them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import DIRECTION_TOLERANCE, Geometry
from ctdenoise.core.source import ImageKind
from ctdenoise.errors import GeometryError, OutputError, StudyError
from ctdenoise.io.finding import Finding, note, warning

Packing = Literal["none", "gzip", "zlib"]
"""How the voxels are compressed."""

_MOST_IN_PLANE = 4096 * 4096
_MOST_SLICES = 20_000
_NAMES = {"nifti": "NIfTI", "mha": "MetaImage", "nrrd": "NRRD"}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """Where the voxels of an image lie on disk; x runs fastest, slices slowest.

    Args:
        path: The file that holds them, which need not be the one with the header.
        shape: Size along [z, y, x].
        dtype: Type and byte order of a stored value.
        start: Byte of the file at which they, or the compressed stream, begin.
        skip: Bytes of the decompressed stream before the first voxel.
        packing: How they are compressed.
        slope: What a stored value is multiplied with.
        inter: What is added then.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[np.number]
    start: int = 0
    skip: int = 0
    packing: Packing = "none"
    slope: float = 1.0
    inter: float = 0.0

    @property
    def is_scaled(self) -> bool:
        """Whether stored values are not the values themselves."""
        return (self.slope, self.inter) != (1.0, 0.0)

    @property
    def slice_bytes(self) -> int:
        """Size of one slice, decompressed."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image file says without its voxels.

    Args:
        kind: Its format.
        stored: Where its voxels are; None where that cannot be told.
        geometry: The grid; None where it cannot be used.
        reversed_slices: Whether the file's slices descend along the normal, so that reading turns
            their order round.
        problems: Every reason why it cannot be read.
        notes: What is unusual though it can be read.
    """

    kind: ImageKind
    stored: StoredImage | None
    geometry: Geometry | None = None
    reversed_slices: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def is_labels(self) -> bool:
        """Whether its 8-bit numbers can be labels and no Hounsfield units."""
        stored = self.stored
        return stored is not None and stored.dtype.itemsize == 1 and not stored.is_scaled


@contextmanager
def as_study_error(path: Path, kind: ImageKind) -> Iterator[None]:
    """Turn whatever a damaged file provokes into one error that names the file.

    Args:
        path: The file that is read in the block.
        kind: What its name says that it is.

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
            f"is no {_NAMES[kind]} file, or a damaged one ({type(error).__name__}).", where=path
        ) from error


def size_problems(sizes: Sequence[int], dtype: np.dtype[np.generic]) -> list[str]:
    """What keeps voxels of this number and type from being one CT volume.

    Args:
        sizes: Along (x, y, z, ...), as the header says.
        dtype: Type of a stored value.
    """
    if len(sizes) != 3:
        return [f"it has {len(sizes)} dimensions, not 3"]
    if dtype.kind not in "iuf":
        return ["its voxels are colours or complex numbers"]
    if min(sizes) < 1 or sizes[0] * sizes[1] > _MOST_IN_PLANE or sizes[2] > _MOST_SLICES:
        return [f"{tuple(sizes)} voxels are not a CT"]
    return []


def three_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes along (x, y, z) of an image with axes of one voxel behind, or without a third.

    Args:
        sizes: As the header says; longer than three where more than one voxel lies along an axis.
    """
    short = tuple(int(size) for size in sizes)
    while len(short) > 3 and short[-1] == 1:
        short = short[:-1]
    return (*short, 1) if len(short) == 2 else short


def grid_from_affine(
    affine: DoubleArray, sizes: Sequence[int]
) -> tuple[Geometry | None, bool, list[str], list[Finding]]:
    """Geometry (None if unusable), whether slices must be reversed, problems and notes.

    Args:
        affine: Index (x, y, z) to LPS mm, float64 [4, 4].
        sizes: Along (x, y, z).
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or spacing.min() <= 0:
        return (None, False, ["its affine is singular or not finite"], [])
    directions = affine[:3, :3] / spacing
    off = np.abs(directions.T @ directions - np.eye(3)).max()
    if off > DIRECTION_TOLERANCE:
        return (None, False, ["its affine is sheared; only orthogonal grids are read"], [])
    normal = np.cross(directions[:, 0], directions[:, 1])
    turned = bool(normal @ directions[:, 2] < 0)
    positions = affine[:3, 3] + np.arange(sizes[2])[:, None] * affine[:3, 2]
    geometry = Geometry(
        rows=sizes[1],
        columns=sizes[0],
        pixel_spacing_mm=(float(spacing[1]), float(spacing[0])),
        row_direction=_vector(directions[:, 0]),
        column_direction=_vector(directions[:, 1]),
        positions_mm=positions[::-1] if turned else positions,
    )
    text = "its slices (third index) are not axial"
    notes = [] if geometry.is_axial else [note("not-axial", text)]
    return (geometry, turned, [], notes)


def header_on_grid(
    kind: ImageKind, stored: StoredImage, affine: DoubleArray, notes: Sequence[Finding] = ()
) -> ImageHeader:
    """The header of an image whose size and type are possible.

    Args:
        kind: Its format.
        stored: Where its voxels are.
        affine: Index (x, y, z) to LPS mm, float64 [4, 4].
        notes: What is unusual about it.
    """
    geometry, turned, problems, more = grid_from_affine(affine, stored.shape[::-1])
    return ImageHeader(kind, stored, geometry, turned, tuple(problems), (*notes, *more))


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


def _vector(values: DoubleArray) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
