"""How much of a file pydicom may take into memory while it parses a header.

A length in a header is four bytes that anybody can write: pydicom asks for as many bytes as it
says, and makes an object of every element and item. The bounds here lie far above what scanners
write and far below what hurts.
"""

from __future__ import annotations

from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

HEADER_BYTES_MOST = 64 * 2**20
"""A header without its pixels is never larger: 20 000 frames of 3 kB each."""

READS_MOST = 1_000_000
"""Reads of one header; an element costs two or three, and about a kilobyte of memory."""

ITEMS_MOST = 400_000
"""Sequence items of one header: 20 000 frames with 20 functional groups each."""

_SMALL_READ = 1 << 16
_ITEM = b"\xfe\xff\x00\xe0"
_BIG_ENDIAN_ITEM = b"\xff\xfe\xe0\x00"


class DamagedFileError(ValueError):
    """A file that means to be DICOM and cannot be read; says why, without quoting values."""


class BoundedSource:
    """A file as pydicom reads it: never more than there is, never more than a header needs.

    Args:
        stream: The file, at its beginning.
        most_bytes: How much may be read in large pieces, all together.
        most_reads: How many pieces may be read.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        most_bytes: int = HEADER_BYTES_MOST,
        most_reads: int = READS_MOST,
    ) -> None:
        self._stream = stream
        self._read = stream.read
        self._size = stream.seek(0, 2)
        stream.seek(0)
        self._reads_left = most_reads
        self._bytes_left = most_bytes
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        """Some bytes, fewer where the file ends.

        Args:
            size: How many; all that are left where negative.

        Raises:
            DamagedFileError: If the header is larger than any.
        """
        self._reads_left -= 1
        if self._reads_left < 0:
            raise DamagedFileError("its header has more elements than any CT object")
        if not 0 <= size <= _SMALL_READ:
            left = max(0, self._size - self._stream.tell())
            size = left if size < 0 else min(size, left)
            self._bytes_left -= size
            if self._bytes_left < 0:
                raise DamagedFileError("its header is larger than that of any CT object")
        return self._read(size)


def require_few_items(dataset: Dataset) -> None:
    """Refuse a header whose sequences, not parsed so far, hold more items than any CT object.

    Args:
        dataset: A header as pydicom parsed it.

    Raises:
        DamagedFileError: If there are more.
    """
    items = 0
    for element in dataset.values():
        value = element.value if isinstance(element, RawDataElement) else None
        if isinstance(value, bytes) and len(value) > _SMALL_READ:
            items += value.count(_ITEM) + value.count(_BIG_ENDIAN_ITEM)
    if items > ITEMS_MOST:
        raise DamagedFileError("its header has more sequence items than any CT object")
