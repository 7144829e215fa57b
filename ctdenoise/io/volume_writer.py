"""A result that is written block by block, in any format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.scan import Scan
from ctdenoise.core.source import ImageKind, SourceKind
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.image_files import is_compressed
from ctdenoise.io.image_values import ValueScale
from ctdenoise.io.image_writer import ImageWriter
from ctdenoise.io.series_writer import SeriesWriter

IMAGE_FILES: Mapping[ImageKind, str] = {
    "nifti": "image.nii",
    "mha": "image.mha",
    "nrrd": "image.nrrd",
}
"""Name of the image in a folder written in each format; compressed where the source is, which adds
`.gz` to NIfTI."""


class VolumeWriter:
    """Writes a volume into a folder, slice after slice: a DICOM series, or one image file.

    An image file holds whole Hounsfield units of 16 bits, compressed where that of the source is.

    Args:
        scan: What is written; its history says what was done since it was read.
        folder: An existing folder; the caller stages it.
        kind: What to write.
        settings: How to write DICOM; the defaults if None.

    Raises:
        GeometryError: If an image file is asked for and no affine describes the grid.
        StudyError: If a source file changed or vanished since it was read.
    """

    def __init__(
        self,
        scan: Scan,
        folder: Path,
        *,
        kind: SourceKind,
        settings: DicomSettings | None = None,
    ) -> None:
        self._folder = folder
        self._series: SeriesWriter | None = None
        self._image: ImageWriter | None = None
        self._scale = ValueScale(np.dtype(np.int16))
        if kind == "dicom":
            self._series = SeriesWriter(scan, folder, settings=settings)
            return
        self._name, packed = image_name(scan, kind)
        self._image = ImageWriter(
            folder / self._name, kind, scan.geometry, self._scale.dtype, packed=packed
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """What was written so far."""
        names = [self._name] if self._series is None else self._series.names
        return tuple(self._folder / name for name in names)

    def write(self, block: CTVolume) -> None:
        """Append some slices.

        Args:
            block: The next slices, with what was done to them.

        Raises:
            InputError: If a Hounsfield unit does not fit the type of an image file.
            StudyError: If a source file changed or vanished since it was read.
        """
        if self._series is not None:
            self._series.write(block)
        elif self._image is not None:
            self._image.write(self._scale.stored(block))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._image is not None:
            self._image.__exit__(kind, error, trace)


def image_name(scan: Scan, kind: ImageKind) -> tuple[str, bool]:
    """Name of an image file that is made of a scan, and whether its voxels are compressed.

    Args:
        scan: What was read.
        kind: Format of the file.
    """
    source = scan.source
    packed = (
        source is not None and source.kind != "dicom" and is_compressed(source.instances[0].path)
    )
    name = IMAGE_FILES[kind]
    return (f"{name}.gz" if packed and kind == "nifti" else name), packed
