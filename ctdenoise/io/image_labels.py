"""Label maps on the grid of an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ctdenoise.core.arrays import DoubleArray, LabelArray
from ctdenoise.core.geometry import POSITION_TOLERANCE_MM, Geometry
from ctdenoise.errors import GeometryError, StudyError, listed
from ctdenoise.io.image_files import image_header
from ctdenoise.io.image_header import as_study_error
from ctdenoise.io.image_voxels import VoxelFile


def read_labels(path: Path | str, like: Geometry) -> LabelArray:
    """A label map on the grid of an image; see `LabelReader`.

    Returns:
        Labels, uint8 [z, y, x], 0 is background.
    """
    with LabelReader(path, like) as reader:
        return reader.read(slice(0, like.slices))


class LabelReader:
    """A label map that is open for reading, in the order of an image.

    A file whose axes are turned or flipped, but whose voxels lie on the same points, is put into
    the image's order exactly; nothing is resampled. Such a file is held in memory, one byte a
    voxel; any other is read as it is asked for.

    Args:
        path: A NIfTI, MetaImage or NRRD file of whole numbers from 0 to 255.
        like: The grid of the image.

    Raises:
        StudyError: If it is damaged, or (on reading) holds other numbers.
        GeometryError: If it lies on another grid.
    """

    def __init__(self, path: Path | str, like: Geometry) -> None:
        self._path = path = Path(path)
        header = image_header(path)
        geometry = header.geometry
        if geometry is None or header.stored is None:
            problems = listed(header.problems)
            raise StudyError("cannot be read as labels:\n" + problems, where=path)
        self._kind, self._turned = header.kind, header.reversed_slices
        with as_study_error(path, header.kind):
            self._voxels = VoxelFile(header.stored)
        self._shape = geometry.shape
        self._whole: LabelArray | None = None
        if not geometry.matches(like):
            try:
                own = self.read(slice(0, geometry.slices))
                self._whole = np.ascontiguousarray(_reordered(own, geometry, like, path))
            finally:
                self._voxels.close()

    def read(self, which: slice) -> LabelArray:
        """Labels of consecutive slices, uint8 [z, y, x], 0 is background.

        Args:
            which: Slices of the image.

        Raises:
            StudyError: If they are not whole numbers from 0 to 255.
        """
        if self._whole is not None:
            return self._whole[which]
        slices, rows, columns = self._shape
        labels: LabelArray = np.empty((which.stop - which.start, rows, columns), dtype=np.uint8)
        for place, index in enumerate(range(which.start, which.stop)):
            with as_study_error(self._path, self._kind):
                values = self._voxels.scaled(slices - 1 - index if self._turned else index)
            labels[place] = _as_labels(np.asarray(values, dtype=np.float64), self._path)
        return labels

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._voxels.close()


def _as_labels(values: DoubleArray, path: Path) -> LabelArray:
    rounded = np.rint(values)
    if not (np.array_equal(rounded, values) and values.min() >= 0 and values.max() <= 255):
        raise StudyError("labels must be whole numbers from 0 to 255.", where=path)
    return rounded.astype(np.uint8)


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
