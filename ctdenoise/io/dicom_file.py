"""Opening DICOM files that somebody else wrote: bounded, quiet, and whole or refused.

pydicom quotes element values in its warnings and inflates deflated files without a limit; both are
dealt with here and nowhere else.
"""

from __future__ import annotations

import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ctdenoise.core.quiet import quiet_libraries
from ctdenoise.io.dicom_bounds import (
    HEADER_BYTES_MOST,
    BoundedSource,
    DamagedFileError,
    require_few_items,
)

__all__ = [
    "DamagedFileError",
    "DicomHeader",
    "NativePixels",
    "end_of_meta",
    "looks_like_dicom",
    "quiet_pydicom",
    "read_header",
    "read_instance",
    "transfer_syntax",
]

_INFLATED_HEADER_BYTES_MOST = 16 * 2**20
"""A deflated header is not inflated beyond."""

_PIXEL_GROUP_TAG = 0x7FE00010
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED_LENGTH = 0xFFFFFFFF
_LONG_VRS = frozenset((b"OB", b"OW", b"UN", b"OL", b"OD", b"OF", b"OV"))


@dataclass(slots=True)
class _Quiet:
    """How many callers want pydicom quiet, and what to put back when the last one ends."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    callers: int = 0
    undo: ExitStack = field(default_factory=ExitStack)


_quiet = _Quiet()


@dataclass(frozen=True, slots=True)
class NativePixels:
    """Where native pixel data lie in a file.

    Args:
        start: Offset of the first pixel.
        checksum: CRC-32 of everything before it, to tell whether the file changed.
    """

    start: int
    checksum: int


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """The header of a file, parsed, and what is known about its pixels without decoding them.

    Args:
        dataset: Everything before the pixels, with file meta.
        pixel_bytes: Length of native pixel data; None if there is none or it is encapsulated.
        has_pixels: Whether there is a PixelData element.
        truncated: Whether the file ends before its pixel data does.
        native: Where native pixel data lie in the file; None if there are none, they are
            encapsulated, or the file is deflated.
    """

    dataset: Dataset
    pixel_bytes: int | None
    has_pixels: bool
    truncated: bool
    native: NativePixels | None = None

    @property
    def pixel_start(self) -> int | None:
        """Where native pixel data start in the file, if they do."""
        return None if self.native is None else self.native.start


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep what pydicom logs and warns of, which quotes values, out of logs and off the screen.

    The settings of logging and warnings belong to the whole process. They are as before when the
    last block ends, of however many threads; threads that read or write should start within one.
    """
    with _quiet.lock:
        if _quiet.callers == 0:
            _silence(_quiet.undo)
        _quiet.callers += 1
    try:
        yield
    finally:
        with _quiet.lock:
            _quiet.callers -= 1
            if _quiet.callers == 0:
                _quiet.undo.close()


def _silence(undo: ExitStack) -> None:
    undo.enter_context(quiet_libraries())
    undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")


def looks_like_dicom(path: Path) -> bool:
    """Whether a file claims to be DICOM, with or without the 128-byte preamble and file meta."""
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:132] == b"DICM" or _starts_with_dataset(head)


def _starts_with_dataset(head: bytes) -> bool:
    """Whether bytes start with a first element of group 8 or 2, as files without meta do."""
    if len(head) < 16:
        return False
    little = head[:2] in (b"\x08\x00", b"\x02\x00") and head[3] == 0
    big = head[:2] == b"\x00\x08" and head[2] == 0
    if not (little or big):
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    implicit_length = int.from_bytes(head[4:8], "little")
    return explicit or (little and implicit_length < 1024)


def read_header(path: Path) -> DicomHeader:
    """The header of a DICOM file, pixels left on disk.

    Args:
        path: A file for which `looks_like_dicom` holds.

    Raises:
        DamagedFileError: If it cannot be parsed.
    """
    with quiet_pydicom(), _as_damaged(), path.open("rb") as file:
        inflated = _inflated(file, _INFLATED_HEADER_BYTES_MOST, whole=False)
        stream: BinaryIO = inflated or file
        dataset = dcmread(BoundedSource(stream), stop_before_pixels=True, force=True)
        require_few_items(dataset)
        _settle_transfer_syntax(dataset, deflated=inflated is not None)
        position = stream.tell()
        size = stream.seek(0, 2)
        stream.seek(position)
        pixel_bytes, has_pixels, truncated = _pixel_extent(stream, dataset, size)
        native = None
        if inflated is None and pixel_bytes is not None:
            start = stream.tell()
            stream.seek(0)
            native = NativePixels(start, zlib.crc32(stream.read(start)))
        elif inflated is not None and size >= _INFLATED_HEADER_BYTES_MOST:
            truncated = False  # only the part that was inflated is short
    if len(dataset) == 0:
        raise DamagedFileError("it holds no DICOM elements")
    return DicomHeader(dataset, pixel_bytes, has_pixels, truncated, native)


def read_instance(path: Path, *, most_pixel_bytes: int) -> Dataset:
    """A whole DICOM file, pixel data still encoded.

    Args:
        path: A file whose header was read before.
        most_pixel_bytes: Size of the decoded pixels by that header; a file that holds much more,
            compressed or inflated, is refused before it fills the memory.

    Raises:
        DamagedFileError: If it cannot be parsed, or is larger than the limit.
    """
    with quiet_pydicom(), _as_damaged(), path.open("rb") as file:
        inflated = _inflated(file, most_pixel_bytes + _INFLATED_HEADER_BYTES_MOST, whole=True)
        # Compression that fails can double the size; it is still read whole.
        limit = 2 * most_pixel_bytes + HEADER_BYTES_MOST
        if file.seek(0, 2) > limit:
            raise DamagedFileError("it is larger than its header allows")
        dataset = dcmread(BoundedSource(inflated or file, most_bytes=limit), force=True)
        require_few_items(dataset)
        _settle_transfer_syntax(dataset, deflated=inflated is not None)
        dataset.get("PixelData")  # converted here, where whatever that raises is dealt with
        return dataset


@contextmanager
def _as_damaged() -> Iterator[None]:
    try:
        yield
    except (DamagedFileError, OSError, MemoryError):
        raise
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise DamagedFileError(f"it cannot be parsed ({type(error).__name__})") from error


def _inflated(file: BinaryIO, limit: int, *, whole: bool) -> BytesIO | None:
    """The file with its deflated dataset inflated, at most `limit` bytes; None if not deflated."""
    has_meta = file.read(132)[128:] == b"DICM"
    start, syntax = end_of_meta(file) if has_meta else (0, "")
    if syntax != DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return None
    file.seek(start)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(file.read(), limit)
    if whole and not inflater.eof:
        raise DamagedFileError("its deflated data are incomplete or larger than its header allows")
    return BytesIO(data)


def end_of_meta(file: BinaryIO) -> tuple[int, str]:
    """Offset after the file meta elements (explicit VR, little endian), and the syntax in them.

    Args:
        file: A file that begins with a preamble.

    Raises:
        DamagedFileError: If the file meta information is not in explicit VR.
    """
    offset, syntax = 132, ""
    while True:
        file.seek(offset)
        head = file.read(12)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            return (offset, syntax)
        if not (head[4:6].isalpha() and head[4:6].isupper()):
            raise DamagedFileError("its file meta information is not in explicit VR")
        start = offset + (12 if head[4:6] in _LONG_VRS else 8)
        length = int.from_bytes(head[8:12] if head[4:6] in _LONG_VRS else head[6:8], "little")
        if head[2:4] == b"\x10\x00":
            file.seek(start)
            syntax = file.read(min(length, 64)).rstrip(b"\0 ").decode("ascii", "replace")
        offset = start + length


def _settle_transfer_syntax(dataset: Dataset, *, deflated: bool) -> None:
    """Make sure the dataset has file meta with a transfer syntax, guessed only where absent."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if deflated:
        meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    elif not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        if implicit:
            meta.TransferSyntaxUID = ImplicitVRLittleEndian
        else:
            meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def transfer_syntax(dataset: Dataset) -> UID:
    """The transfer syntax of a dataset that this module read."""
    return UID(str(dataset.file_meta.TransferSyntaxUID))


def _pixel_extent(stream: BinaryIO, dataset: Dataset, size: int) -> tuple[int | None, bool, bool]:
    """Native length, presence and truncation of the pixel data at the stream's position."""
    implicit, little = dataset.original_encoding
    order: str = "little" if little else "big"
    head = stream.read(8)
    if len(head) < 8:
        return (None, False, False)
    tag = (_number(head[:2], order) << 16) | _number(head[2:4], order)
    if tag != _PIXEL_GROUP_TAG:
        return (None, False, False)
    if implicit:
        length = _number(head[4:8], order)
    elif head[4:6] in _LONG_VRS:
        length = _number(stream.read(4), order)
    else:
        length = _number(head[6:8], order)
    if length != _UNDEFINED_LENGTH:
        return (length, True, stream.tell() + length > size)
    return (None, True, not _fragments_are_whole(stream, size))


def _number(data: bytes, order: str) -> int:
    return int.from_bytes(data, "little" if order == "little" else "big")


def _fragments_are_whole(stream: BinaryIO, size: int) -> bool:
    """Whether encapsulated pixel data reach their end mark; hops from item to item."""
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return False
        if head[:4] == _SEQUENCE_END:
            return True
        if head[:4] != _ITEM:
            return False
        position = stream.seek(int.from_bytes(head[4:], "little"), 1)
        if position > size:
            return False
