"""Stored voxels of a NIfTI file, slice by slice, without the whole in memory."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt

from ctdenoise.errors import OutputError

_CHUNK_BYTES = 1 << 20

StoredVoxels = npt.NDArray[np.number]
"""Voxels as stored, before scaling."""


class VoxelFile:
    """The voxels of an image that is known to be three-dimensional.

    Slices are read by their place in the file, so that memory holds one of them; a map of the file
    would count as memory of the process. A compressed file has no such places: it is inflated
    once, forward, into a temporary file without a name, which vanishes with the process. So the
    slices can be asked for in any order and a second time, and damage anywhere in the file shows
    before any work is done.

    Args:
        path: The file of the image.
        image: Its header, as nibabel loaded it.
        shape: Size along [z, y, x].

    Raises:
        ValueError: If the file ends before its voxels do.
        OutputError: If a compressed file finds no room where temporary files are kept.
    """

    def __init__(self, path: Path, image: nib.Nifti1Image, shape: tuple[int, int, int]) -> None:
        proxy = image.dataobj
        self._shape = shape
        self._dtype = np.dtype(proxy.dtype)
        self._start = int(proxy.offset)
        self._scale = (float(proxy.slope), float(proxy.inter))
        size = self._start + int(np.prod(shape, dtype=np.int64)) * self._dtype.itemsize
        if path.name.lower().endswith(".gz"):
            self._file = _inflated(path, size)
        else:
            self._file = path.open("rb")
        if self._file.seek(0, 2) < size:
            self._file.close()
            raise ValueError("the file ends before its voxels do")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def scaled(self, index: int) -> StoredVoxels:
        """One slice [y, x]: as stored where there is no scaling, else scaled in float64.

        Args:
            index: Its place in the file.
        """
        slices, rows, columns = self._shape
        if not 0 <= index < slices:
            raise IndexError(index)
        self._file.seek(self._start + index * rows * columns * self._dtype.itemsize)
        data = self._file.read(rows * columns * self._dtype.itemsize)
        stored: StoredVoxels = np.frombuffer(data, self._dtype).reshape(rows, columns)
        if self._scale == (1.0, 0.0):
            return stored
        slope, inter = self._scale
        return np.asarray(stored * np.float64(slope) + inter)


def _inflated(path: Path, size: int) -> BinaryIO:
    """The first `size` bytes of a compressed file in a nameless file."""
    file = cast("BinaryIO", tempfile.TemporaryFile(prefix="ctdenoise-"))  # noqa: SIM115 - the caller closes it
    try:
        with gzip.open(path, "rb") as packed:
            left = size
            while left and (chunk := packed.read(min(_CHUNK_BYTES, left))):
                _put(file, chunk)
                left -= len(chunk)
            packed.read(1)  # at the end, this compares the checksum
    except BaseException:
        file.close()
        raise
    return file


def _put(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        free = shutil.disk_usage(tempfile.gettempdir()).free // 2**20
        raise OutputError(
            f"there is no room to inflate a compressed image ({free} MB are free).",
            where=tempfile.gettempdir(),
            fix="Free some space, or set TMPDIR to a folder on another disk.",
        ) from error
