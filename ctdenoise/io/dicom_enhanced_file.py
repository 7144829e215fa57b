"""A multi-frame file that is written frame after frame, in any transfer syntax that we write."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ctdenoise.config.dicom import TransferSyntax
from ctdenoise.io.dicom_encoding import (
    TRANSFER_SYNTAXES,
    declare_encoding,
    file_meta_of,
    frame_stream,
    sample_precision,
)
from ctdenoise.io.dicom_file import DamagedFileError
from ctdenoise.io.dicom_pixels import stored_values, without_unused_bits
from ctdenoise.io.dicom_stored import Words

_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED = b"\xff\xff\xff\xff"

_IMAGE_PIXEL = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


class FrameStorage(Protocol):
    """How the frames of one file lie in it.

    A file is a head, one chunk of bytes for each frame, and a tail. Of the end of the head, as many
    bytes as `table_bytes` are filled in when all chunks are known.
    """

    table_bytes: int
    """Bytes at the end of the head that hold where the frames start."""

    @property
    def can_go_on(self) -> bool:
        """Whether a file can be continued by another process after any frame."""
        ...

    def head(self, dataset: Dataset) -> bytes:
        """Everything before the first frame."""
        ...

    def chunk(self, words: Words) -> bytes:
        """One frame."""
        ...

    def chunk_length(self, file: BinaryIO) -> int:
        """Length of the chunk where the file stands; the file is left there."""
        ...

    def tail(self) -> bytes:
        """Everything after the last frame."""
        ...


class NativeStorage:
    """Uncompressed frames, one after the other (PS3.5 section 8.1.1).

    Args:
        syntax: Explicit or Implicit VR Little Endian.
        frames: How many there will be.
        frame_bytes: Size of each.
    """

    table_bytes = 0
    can_go_on = True

    def __init__(self, syntax: UID, frames: int, frame_bytes: int) -> None:
        self._syntax, self._frame_bytes = syntax, frame_bytes
        self._odd = frames * frame_bytes % 2
        self._length = frames * frame_bytes + self._odd

    def head(self, dataset: Dataset) -> bytes:
        """See `FrameStorage`."""
        vr = b"" if self._syntax == ImplicitVRLittleEndian else b"OW\0\0"
        return _native_head(dataset, self._syntax, vr, self._length)

    def chunk(self, words: Words) -> bytes:
        """See `FrameStorage`."""
        return words.tobytes()

    def chunk_length(self, file: BinaryIO) -> int:
        """See `FrameStorage`."""
        del file
        return self._frame_bytes

    def tail(self) -> bytes:
        """See `FrameStorage`."""
        return b"\0" * self._odd


class DeflatedStorage:
    """Explicit VR Little Endian, everything after the file meta deflated (PS3.5 section A.5).

    Args:
        frames: How many there will be.
        frame_bytes: Size of each.
    """

    table_bytes = 0
    can_go_on = False

    def __init__(self, frames: int, frame_bytes: int) -> None:
        self._native = NativeStorage(ExplicitVRLittleEndian, frames, frame_bytes)
        self._deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._written = 0

    def head(self, dataset: Dataset) -> bytes:
        """See `FrameStorage`."""
        meta = _meta_bytes(dataset, DeflatedExplicitVRLittleEndian)
        whole = self._native.head(dataset)
        plain = whole[len(_meta_bytes(dataset, ExplicitVRLittleEndian)) :]
        return meta + self._deflated(plain)

    def chunk(self, words: Words) -> bytes:
        """See `FrameStorage`."""
        return self._deflated(words.tobytes())

    def chunk_length(self, file: BinaryIO) -> int:
        """See `FrameStorage`; frames cannot be told apart again."""
        del file
        return 0

    def tail(self) -> bytes:
        """See `FrameStorage`."""
        end = self._deflated(self._native.tail()) + self._deflate.flush()
        return end + b"\0" * ((self._written + len(end)) % 2)

    def _deflated(self, data: bytes) -> bytes:
        out = self._deflate.compress(data)
        self._written += len(out)
        return out


class EncapsulatedStorage:
    """Frames compressed without loss, one fragment each, with a basic offset table (PS3.5 A.4).

    Args:
        syntax: The transfer syntax.
        dataset: The header of the object; says how its pixels are made.
        frames: How many there will be.
    """

    can_go_on = True

    def __init__(self, syntax: UID, dataset: Dataset, frames: int) -> None:
        self._syntax = syntax
        self.table_bytes = 4 * frames
        self._one = Dataset()
        for keyword in _IMAGE_PIXEL:
            self._one[keyword] = dataset[keyword]
        self._one.SOPClassUID = dataset.SOPClassUID
        self._one.SOPInstanceUID = dataset.SOPInstanceUID
        self._one.file_meta = file_meta_of(dataset, syntax)
        self._bits = (int(dataset.BitsAllocated), int(dataset.BitsStored))
        # Padding comes back as the words it was, whatever lies above BitsStored.
        is_clean = "PixelPaddingValue" not in dataset or self._bits[0] == self._bits[1]
        precision = sample_precision(dataset, syntax, is_clean=is_clean)
        if precision is None:
            raise DamagedFileError(f"{syntax.name} cannot hold its words")
        self._precision = precision

    def head(self, dataset: Dataset) -> bytes:
        """See `FrameStorage`."""
        element = _PIXEL_DATA + b"OB\0\0" + _UNDEFINED
        table = _ITEM + self.table_bytes.to_bytes(4, "little") + bytes(self.table_bytes)
        data = _dataset_bytes(dataset, implicit=False)
        return _meta_bytes(dataset, self._syntax) + data + element + table

    def chunk(self, words: Words) -> bytes:
        """See `FrameStorage`; the frame is decoded again and compared."""
        try:
            stream = frame_stream(self._one, words, self._syntax, self._precision)
        except (RuntimeError, ValueError) as error:  # what pydicom raises
            raise DamagedFileError(f"{self._syntax.name} cannot hold its words") from error
        self._one.PixelData = encapsulate([stream])
        self._one["PixelData"].is_undefined_length = True
        allocated, stored = self._bits
        again = next(iter(stored_values(self._one, [0])))
        given, meant = (
            without_unused_bits(frame, allocated=allocated, stored=stored)
            for frame in (again, words)
        )
        if not np.array_equal(given, meant):
            raise DamagedFileError(f"{self._syntax.name} cannot hold its words")
        stream += b"\0" * (len(stream) % 2)
        return _ITEM + len(stream).to_bytes(4, "little") + stream

    def chunk_length(self, file: BinaryIO) -> int:
        """See `FrameStorage`."""
        head = file.read(8)
        file.seek(-len(head), 1)
        return 8 + int.from_bytes(head[4:], "little") if head[:4] == _ITEM else 0

    def tail(self) -> bytes:
        """See `FrameStorage`."""
        return _SEQUENCE_END + bytes(4)


def storage_for(syntax: TransferSyntax, dataset: Dataset, frames: int) -> FrameStorage:
    """How to store the frames of an object.

    Args:
        syntax: What the settings ask for.
        dataset: Its header, without pixels.
        frames: How many it will have.
    """
    frame_bytes = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    if syntax == "deflated":
        return DeflatedStorage(frames, frame_bytes)
    if syntax in ("explicit", "implicit"):
        return NativeStorage(TRANSFER_SYNTAXES[syntax], frames, frame_bytes)
    return EncapsulatedStorage(TRANSFER_SYNTAXES[syntax], dataset, frames)


class FrameFile:
    """A file with a known number of frames that come one after the other.

    Args:
        path: The file. One that exists is written anew, unless `cut_to` kept some of its frames.
        dataset: The header of the object.
        frames: How many frames it will have.
        storage: How they lie in it.
    """

    def __init__(self, path: Path, dataset: Dataset, frames: int, storage: FrameStorage) -> None:
        self._path, self._frames, self._storage = path, frames, storage
        self._head = storage.head(dataset)
        self._lengths: list[int] = []

    @property
    def is_complete(self) -> bool:
        """Whether every frame is written."""
        return len(self._lengths) == self._frames

    def append(self, words: Words) -> bytes:
        """Write the next frame, and what ends the file after the last one.

        Args:
            words: Stored values [y, x], little endian, of BitsAllocated bits.

        Returns:
            The bytes of the frame as they lie in the file.
        """
        chunk = self._storage.chunk(words)
        with self._path.open("ab" if self._lengths else "wb") as file:
            if not self._lengths:
                file.write(self._head)
            file.write(chunk)
            self._lengths.append(len(chunk))
            if self.is_complete:
                file.write(self._storage.tail())
        if self.is_complete and self._storage.table_bytes:
            self._write_table()
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """The frames that the file holds whole, as they lie in it."""
        if not self._storage.can_go_on or not self._path.is_file():
            return
        fixed = len(self._head) - self._storage.table_bytes
        with self._path.open("rb") as file:
            if file.read(len(self._head))[:fixed] != self._head[:fixed]:
                return
            for _ in range(self._frames):
                length = self._storage.chunk_length(file)
                chunk = file.read(length)
                if not chunk or len(chunk) < length:
                    return
                yield chunk

    def cut_to(self, count: int) -> None:
        """Forget every frame after the first ones.

        Args:
            count: How many stay; the file holds at least as many whole.
        """
        self._lengths = []
        if count == 0:
            self._path.unlink(missing_ok=True)
            return
        for chunk in self.chunks():
            self._lengths.append(len(chunk))
            if len(self._lengths) == count:
                break
        with self._path.open("r+b") as file:
            file.truncate(len(self._head) + sum(self._lengths))
            if self.is_complete:
                file.seek(0, 2)
                file.write(self._storage.tail())
        if self.is_complete and self._storage.table_bytes:
            self._write_table()

    def _write_table(self) -> None:
        """Fill in where the item of each frame starts, from the first one."""
        starts, start = b"", 0
        for length in self._lengths:
            starts += start.to_bytes(4, "little")
            start += length
        with self._path.open("r+b") as file:
            file.seek(len(self._head) - self._storage.table_bytes)
            file.write(starts)


def write_native(path: Path, dataset: Dataset, data: Iterable[bytes], *, length: int) -> None:
    """Write a file in Explicit VR Little Endian whose pixel data come piece by piece.

    Args:
        path: The file.
        dataset: The header of the object.
        data: Pieces of the pixel data, of whole frames or not.
        length: Bytes that they have together; one more is written where that is odd.

    Raises:
        DamagedFileError: If an element that was copied from a source cannot be encoded.
    """
    vr = b"OB\0\0" if dataset.BitsAllocated <= 8 else b"OW\0\0"
    odd = length % 2
    with path.open("wb") as file:
        file.write(_native_head(dataset, ExplicitVRLittleEndian, vr, length + odd))
        for piece in data:
            file.write(piece)
        file.write(b"\0" * odd)


def encoded_header(dataset: Dataset) -> bytes:
    """The bytes of a header in Explicit VR Little Endian, to find what cannot be encoded.

    Args:
        dataset: An instance without pixels.

    Raises:
        DamagedFileError: If an element that was copied from a source cannot be encoded.
    """
    return _dataset_bytes(dataset, implicit=False)


def _native_head(dataset: Dataset, syntax: UID, vr: bytes, length: int) -> bytes:
    data = _dataset_bytes(dataset, implicit=not vr)
    return _meta_bytes(dataset, syntax) + data + _PIXEL_DATA + vr + length.to_bytes(4, "little")


def _meta_bytes(dataset: Dataset, syntax: UID) -> bytes:
    meta = file_meta_of(dataset, syntax)
    meta.FileMetaInformationVersion = b"\x00\x01"
    buffer = BytesIO()
    write_file_meta_info(DicomFileLike(buffer), meta, enforce_standard=True)
    return bytes(128) + b"DICM" + buffer.getvalue()


def _dataset_bytes(dataset: Dataset, *, implicit: bool) -> bytes:
    declare_encoding(dataset, is_implicit=implicit)
    buffer = BytesIO()
    file = DicomFileLike(buffer)
    file.is_little_endian, file.is_implicit_VR = True, implicit
    try:
        write_dataset(file, dataset)
    except Exception as error:  # pydicom raises whatever the bytes provoke
        reason = f"its header cannot be encoded again ({type(error).__name__})"
        raise DamagedFileError(reason) from error
    return buffer.getvalue()
