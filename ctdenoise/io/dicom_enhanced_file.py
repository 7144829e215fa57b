"""A multi-frame file that is written frame after frame, in any transfer syntax that we write."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.config.dicom import TransferSyntax
from ctdenoise.io.dicom_file import DamagedFileError
from ctdenoise.io.dicom_stored import Words
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID

IMPLEMENTATION_VERSION_NAME = "CTDENOISE"

SYNTAX_UIDS: dict[TransferSyntax, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}

_ENCODERS = {RLELossless: "pylibjpeg", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}

_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED = b"\xff\xff\xff\xff"


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
        data = _dataset_bytes(dataset, implicit=not vr)
        element = _PIXEL_DATA + vr + self._length.to_bytes(4, "little")
        return _meta_bytes(dataset, self._syntax) + data + element

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
        self._options: dict[str, Any] = {
            "rows": int(dataset.Rows),
            "columns": int(dataset.Columns),
            "samples_per_pixel": 1,
            "number_of_frames": 1,
            "bits_allocated": int(dataset.BitsAllocated),
            "bits_stored": int(dataset.BitsStored),
            "pixel_representation": int(dataset.PixelRepresentation),
            "photometric_interpretation": str(dataset.PhotometricInterpretation),
        }

    def head(self, dataset: Dataset) -> bytes:
        """See `FrameStorage`."""
        element = _PIXEL_DATA + b"OB\0\0" + _UNDEFINED
        table = _ITEM + self.table_bytes.to_bytes(4, "little") + bytes(self.table_bytes)
        data = _dataset_bytes(dataset, implicit=False)
        return _meta_bytes(dataset, self._syntax) + data + element + table

    def chunk(self, words: Words) -> bytes:
        """See `FrameStorage`."""
        encoder = get_encoder(self._syntax)
        stream = encoder.encode(
            words.tobytes(), encoding_plugin=_ENCODERS[self._syntax], **self._options
        )
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
        return NativeStorage(SYNTAX_UIDS[syntax], frames, frame_bytes)
    return EncapsulatedStorage(SYNTAX_UIDS[syntax], dataset, frames)


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
            file.write(self._head)  # a complete file had its table filled in
            if count < self._frames:
                file.truncate(len(self._head) + sum(self._lengths))
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


def encoded_header(dataset: Dataset) -> bytes:
    """The bytes of a header in Explicit VR Little Endian, to find what cannot be encoded.

    Args:
        dataset: An instance without pixels.

    Raises:
        DamagedFileError: If an element that was copied from a source cannot be encoded.
    """
    return _dataset_bytes(dataset, implicit=False)


def _meta_bytes(dataset: Dataset, syntax: UID) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = BytesIO()
    write_file_meta_info(DicomFileLike(buffer), meta, enforce_standard=True)
    return bytes(128) + b"DICM" + buffer.getvalue()


def _dataset_bytes(dataset: Dataset, *, implicit: bool) -> bytes:
    buffer = BytesIO()
    file = DicomFileLike(buffer)
    file.is_little_endian, file.is_implicit_VR = True, implicit
    try:
        write_dataset(file, dataset)
    except Exception as error:  # pydicom raises whatever the bytes provoke
        reason = f"its header cannot be encoded again ({type(error).__name__})"
        raise DamagedFileError(reason) from error
    return buffer.getvalue()
