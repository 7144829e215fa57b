"""Image files read as Hounsfield units, any slices at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import HuArray
from ctdenoise.core.provenance import Step
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume, slice_numbers
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.image_files import LABELS_PROBLEM, image_header
from ctdenoise.io.image_header import as_study_error, value_notes
from ctdenoise.io.image_voxels import VoxelFile

_log = logging.getLogger(__name__)


def read_image(path: Path | str) -> CTVolume:
    """An image file as Hounsfield units; any orientation, voxels moved by whole slices only.

    The third index of the file is the slice. Scaled values of NIfTI (scl_slope, scl_inter) are
    taken as Hounsfield units. Where the file's axes are left-handed in LPS, the slices are read in
    reverse, so that they ascend along the normal.

    Args:
        path: A NIfTI, MetaImage or NRRD file.

    Raises:
        StudyError: If it is damaged, is not one 3-D image of numbers, is sheared, or cannot hold
            Hounsfield units.
    """
    with ImageReader(path) as reader:
        return reader.read(slice(None))


class ImageReader:
    """An image file that is open for reading; see `read_image` and `SeriesReader`.

    What is unusual about its values is logged once, judged by the slices that are read first.

    Args:
        path: A NIfTI, MetaImage or NRRD file.

    Raises:
        StudyError: As `read_image`.
    """

    history: tuple[Step, ...] = ()

    def __init__(self, path: Path | str) -> None:
        self._path = path = Path(path)
        header = image_header(path)
        problems = [*header.problems, *([LABELS_PROBLEM] if header.is_labels else [])]
        if header.geometry is None or header.stored is None or problems:
            raise StudyError("cannot be read as CT:\n" + listed(problems), where=path)
        self._kind, self._turned, self._notes = header.kind, header.reversed_slices, header.notes
        geometry, self.stored = header.geometry, header.stored
        with as_study_error(path, header.kind):
            self._voxels = VoxelFile(header.stored)
        self._is_first = True
        self.geometry = geometry
        self.acquisition = Acquisition()
        order = range(geometry.slices)
        frames = reversed(order) if self._turned else order
        self.source = SourceSeries(
            header.kind, tuple(SourceInstance(path, frame=f) for f in frames)
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        return self.geometry.shape

    def read(self, which: slice | Sequence[int]) -> CTVolume:
        """Some of the slices, in the order asked for.

        Args:
            which: Their indices, ascending along the normal.

        Raises:
            StudyError: If the file cannot be read, or a voxel is no finite number.
        """
        indices = slice_numbers(which, self.geometry.slices)
        slices, rows, columns = self.shape
        hu: HuArray = np.empty((len(indices), rows, columns), dtype=np.float32)
        with as_study_error(self._path, self._kind):
            for place, index in enumerate(indices):
                hu[place] = self._voxels.scaled(slices - 1 - index if self._turned else index)
        low, high = float(hu.min()), float(hu.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise StudyError(
                "some voxels are not finite numbers.",
                where=self._path,
                fix="Replace NaN and infinity first; air is -1000 HU.",
            )
        if self._is_first:
            self._is_first = False
            for note in (*self._notes, *value_notes(low, high)):
                _log.warning("image file: %s", note)
        return CTVolume(
            hu, self.geometry.select(indices), self.acquisition, self.source.select(indices)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._voxels.close()
