"""Series and label maps written as another kind of file, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import Advance
from ctdenoise.core.provenance import Step
from ctdenoise.core.scan import with_steps
from ctdenoise.core.source import ImageKind
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.image_files import image_header
from ctdenoise.io.image_header import StoredImage, as_study_error
from ctdenoise.io.image_values import ValueScale
from ctdenoise.io.image_voxels import StoredVoxels, VoxelFile
from ctdenoise.io.image_writer import ImageWriter
from ctdenoise.io.read import SeriesReader
from ctdenoise.io.series_writer import SeriesWriter

_BLOCK_PIXELS = 1 << 22
_INT32 = np.iinfo(np.int32)
_LABEL_TYPES = {"uint8": "uint8", "int8": "int16", "int16": "int16"}
"""What labels of each type are written as; int32 for all others."""


def copy_to_image(
    reader: SeriesReader,
    path: Path,
    kind: ImageKind,
    scale: ValueScale,
    *,
    packed: bool,
    advance: Advance,
) -> float:
    """Write an open series as one image file.

    Args:
        reader: The series, on a uniform, orthogonal grid.
        path: The file to make; the caller stages it.
        kind: Its format.
        scale: How values are stored; a slope only for NIfTI.
        packed: Whether to compress.
        advance: Told about every slice.

    Returns:
        The largest difference between a Hounsfield unit and what is stored for it; padding aside.

    Raises:
        GeometryError: If no affine describes the grid.
        ValueRangeError: If a Hounsfield unit does not fit the type.
        StudyError: If the series cannot be read right.
    """
    largest = 0.0
    with ImageWriter(
        path,
        kind,
        reader.geometry,
        scale.dtype,
        slope=scale.slope,
        inter=scale.inter,
        packed=packed,
    ) as writer:
        for block in blocks_of(reader):
            stored = scale.stored(block)
            writer.write(stored)
            largest = max(largest, _rounding_hu(block, stored, scale))
            advance(block.shape[0])
    return largest


def copy_to_series(
    reader: SeriesReader, folder: Path, *, settings: DicomSettings, advance: Advance
) -> float:
    """Write an open series that does not come from DICOM as a new CT series.

    Args:
        reader: The series.
        folder: An existing folder; the caller stages it.
        settings: How to write it.
        advance: Told about every slice.

    Returns:
        The largest difference between a Hounsfield unit and what is stored for it.

    Raises:
        ValueRangeError: If a Hounsfield unit does not fit 16 bits.
        StudyError: If the series cannot be read right.
    """
    step = Step("convert", {"kind": "" if reader.source is None else reader.source.kind})
    writer = SeriesWriter(with_steps(reader, step), folder, settings=settings)
    whole = ValueScale(np.dtype(np.int16))
    largest = 0.0
    for block in blocks_of(reader):
        largest = max(largest, _rounding_hu(block, whole.stored(block), whole))
        writer.write(block)
        advance(block.shape[0])
    return largest


def blocks_of(reader: SeriesReader) -> Iterator[CTVolume]:
    """An open series in blocks of a few million pixels.

    Args:
        reader: The series.
    """
    slices, rows, columns = reader.shape
    count = max(1, _BLOCK_PIXELS // (rows * columns))
    for start in range(0, slices, count):
        yield reader.read(slice(start, min(slices, start + count)))


def copy_labels(path: Path, out: Path, kind: ImageKind, *, packed: bool) -> tuple[Geometry, str]:
    """Write a label map as another image file; every number stays what it is.

    Args:
        path: An image file of whole numbers.
        out: The file to make; the caller stages it.
        kind: Its format.
        packed: Whether to compress.

    Returns:
        The grid, and the type of the numbers written.

    Raises:
        StudyError: If it is damaged, or holds other numbers.
    """
    header = image_header(path)
    stored, geometry = header.stored, header.geometry
    if stored is None or geometry is None:
        problems = listed(header.problems)
        raise StudyError("cannot be read as labels:\n" + problems, where=path)
    dtype = _label_type(stored)
    with as_study_error(path, header.kind):
        voxels = VoxelFile(stored)
    try:
        with ImageWriter(out, kind, geometry, dtype, packed=packed) as writer:
            for index in range(geometry.slices):
                place = geometry.slices - 1 - index if header.reversed_slices else index
                with as_study_error(path, header.kind):
                    values = voxels.scaled(place)
                writer.write(_whole(values, dtype, path))
    finally:
        voxels.close()
    return geometry, dtype.name


def _label_type(stored: StoredImage) -> np.dtype[np.number]:
    if stored.is_scaled:
        return np.dtype(np.int32)
    return np.dtype(_LABEL_TYPES.get(stored.dtype.name, "int32"))


def _whole(values: StoredVoxels, dtype: np.dtype[np.number], path: Path) -> StoredVoxels:
    if np.dtype(values.dtype).newbyteorder("=") == dtype:
        return values
    if not np.array_equal(np.rint(values), values):
        raise StudyError("labels must be whole numbers.", where=path)
    if values.min() < _INT32.min or values.max() > _INT32.max:
        raise StudyError("labels must fit 32 bits.", where=path)
    return values.astype(dtype)


def _rounding_hu(block: CTVolume, stored: StoredVoxels, scale: ValueScale) -> float:
    """The largest difference between a block and what is stored for it; padding aside."""
    largest = 0.0
    if np.issubdtype(scale.dtype, np.floating):
        return largest
    for z, hu in enumerate(block.hu):
        if np.array_equal(stored[z], hu):
            continue
        values = stored[z].astype(np.float32)
        if scale.is_scaled:
            values = (stored[z] * np.float64(scale.slope) + scale.inter).astype(np.float32)
        change = np.abs(values - hu)
        if block.padding is not None:
            change[block.padding[z]] = 0.0
        largest = max(largest, float(change.max()))
    return largest
