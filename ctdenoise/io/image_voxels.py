"""Stored voxels of an image file, slice by slice, without the whole in memory."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from contextlib import ExitStack
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ctdenoise.errors import OutputError
from ctdenoise.io.image_header import StoredImage

_CHUNK_BYTES = 1 << 20

_MOST_DEFLATED = 1032
"""No deflated stream holds more than this many times its own size."""

_MOST_BEHIND_BYTES = 1 << 24
"""How far a stream is followed beyond its voxels; a damaged one may have grown."""

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
        stored: Where the voxels are.

    Raises:
        ValueError: If the file ends before its voxels do.
        OutputError: If a compressed file finds no room where temporary files are kept.
    """

    def __init__(self, stored: StoredImage) -> None:
        self._stored = stored
        size = int(np.prod(stored.shape, dtype=np.int64)) * stored.dtype.itemsize
        if stored.packing == "none":
            self._start = stored.start
            self._file: BinaryIO = stored.path.open("rb")
        else:
            self._start = stored.skip
            self._file = _inflated(stored, stored.skip + size)
        if self._file.seek(0, 2) < self._start + size:
            self._file.close()
            raise ValueError("the file ends before its voxels do")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def stored(self, index: int) -> StoredVoxels:
        """One slice [y, x] as stored.

        Args:
            index: Its place in the file.
        """
        slices, rows, columns = self._stored.shape
        if not 0 <= index < slices:
            raise IndexError(index)
        size = self._stored.slice_bytes
        self._file.seek(self._start + index * size)
        return np.frombuffer(self._file.read(size), self._stored.dtype).reshape(rows, columns)

    def scaled(self, index: int) -> StoredVoxels:
        """One slice [y, x]: as stored where there is no scaling, else scaled in float64.

        Args:
            index: Its place in the file.
        """
        return _scaled(self.stored(index), self._stored)


def first_slice(stored: StoredImage) -> StoredVoxels:
    """The slice of an image [y, x] that takes least to read: to look at its values.

    The middle one of an uncompressed file, else the first.

    Args:
        stored: Where the voxels are.

    Raises:
        ValueError: If the file ends before.
    """
    size = stored.slice_bytes
    index = stored.shape[0] // 2 if stored.packing == "none" else 0
    with stored.path.open("rb") as file:
        file.seek(stored.start)
        stream = unpacked(stored, file)
        if stored.packing == "none":
            stream.seek(stored.start + index * size)
        else:
            _skipped(stream, stored.skip)
        data = stream.read(size)
    if len(data) < size:
        raise ValueError("the file ends before its voxels do")
    return _scaled(np.frombuffer(data, stored.dtype).reshape(stored.shape[1:]), stored)


def unpacked(stored: StoredImage, file: BinaryIO) -> BinaryIO:
    """The bytes of an image's file from where its stream begins, decompressed.

    Args:
        stored: How it is compressed.
        file: The file, at the start of the stream.
    """
    match stored.packing:
        case "none":
            return file
        case "gzip":
            return cast("BinaryIO", gzip.GzipFile(fileobj=file, mode="rb"))
        case "zlib":
            return cast("BinaryIO", io.BufferedReader(_ZlibStream(file), _CHUNK_BYTES))


class _ZlibStream(io.RawIOBase):
    """A zlib stream within a file, decompressed; the standard library has one for gzip only."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib's own header, or gzip's

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the stream goes; 0 at its end."""
        room = memoryview(cast("bytearray", buffer)).cast("B")
        data = b""
        while not data and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(_CHUNK_BYTES)
            data = self._inflate.decompress(packed, len(room))
            if not packed and not data:
                raise EOFError("the compressed stream ends too early")
        room[: len(data)] = data
        return len(data)


def _scaled(values: StoredVoxels, stored: StoredImage) -> StoredVoxels:
    if not stored.is_scaled:
        return values
    return np.asarray(values * np.float64(stored.slope) + stored.inter)


def _inflated(stored: StoredImage, size: int) -> BinaryIO:
    """The first `size` bytes of a compressed stream in a nameless file."""
    if size > _MOST_DEFLATED * stored.path.stat().st_size:
        raise ValueError("the file is too small for its voxels")
    with ExitStack() as opened:
        file = cast("BinaryIO", tempfile.TemporaryFile(prefix="ctdenoise-"))  # noqa: SIM115 - the caller closes it
        opened.callback(file.close)
        with stored.path.open("rb") as packed:
            packed.seek(stored.start)
            stream = unpacked(stored, packed)
            left = size
            while left and (chunk := stream.read(min(_CHUNK_BYTES, left))):
                _put(file, chunk)
                left -= len(chunk)
            _skipped(stream, _MOST_BEHIND_BYTES)  # at the end, the checksum is compared
        opened.pop_all()
    return file


def _skipped(stream: BinaryIO, count: int) -> None:
    while count and (chunk := stream.read(min(_CHUNK_BYTES, count))):
        count -= len(chunk)


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
