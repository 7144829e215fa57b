"""Native frames taken straight from files whose headers did not change since they were listed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ctdenoise.core.arrays import StoredArray
from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.io.dicom_slice import SliceHeader

_BIG_ENDIAN = "1.2.840.10008.1.2.2"


class NativeFrames:
    """Reads frames one after the other into memory that is used again.

    A header that was parsed when the series was listed need not be parsed again where all of its
    bytes are still the same.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._frame = bytearray()

    def of_file(
        self, path: Path, header: SliceHeader, frames: Sequence[int]
    ) -> Iterator[StoredArray] | None:
        """Allocated words [y, x] of some frames; each is overwritten by the next.

        Args:
            path: The file.
            header: One of its slices, as it was found.
            frames: Zero-based frames, in the order wanted.

        Returns:
            The frames, to be asked for one after the other; None where the file has to be parsed:
            it changed, it is compressed or deflated, something follows its only frame, or bytes of
            two frames may share a word.

        Raises:
            OSError: If it cannot be opened.
        """
        if header.native is None or header.bits_allocated == 8:
            return None
        file = path.open("rb", buffering=0)
        try:
            if self._is_unchanged(file, header):
                return self._frames(file, header, frames)
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def _is_unchanged(self, file: BinaryIO, header: SliceHeader) -> bool:
        native = header.native
        if native is None:
            return False
        if header.frames == 1:
            end = native.start + _frame_bytes(header)
            if file.seek(0, 2) not in (end, end + end % 2):
                return False
            file.seek(0)
        self._head = _of_size(self._head, native.start)
        return _filled(file, self._head) and zlib.crc32(self._head) == native.checksum

    def _frames(
        self, file: BinaryIO, header: SliceHeader, frames: Sequence[int]
    ) -> Iterator[StoredArray]:
        order = ">" if header.syntax == _BIG_ENDIAN else "<"
        dtype = np.dtype(f"{order}{'i' if header.signed else 'u'}{header.bits_allocated // 8}")
        start = 0 if header.native is None else header.native.start
        size = _frame_bytes(header)
        self._frame = _of_size(self._frame, size)
        with file:
            for frame in frames:
                file.seek(start + frame * size)
                if not _filled(file, self._frame):
                    raise DamagedFileError("its pixel data are incomplete")
                yield np.frombuffer(self._frame, dtype).reshape(header.rows, header.columns)


def _frame_bytes(header: SliceHeader) -> int:
    return header.rows * header.columns * header.bits_allocated // 8


def _of_size(buffer: bytearray, size: int) -> bytearray:
    return buffer if len(buffer) == size else bytearray(size)


def _filled(file: BinaryIO, buffer: bytearray) -> bool:
    """Fill a buffer from a file; False where it ends before."""
    view = memoryview(buffer)
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            return False
        view = view[count:]
    return True
