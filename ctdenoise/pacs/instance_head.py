"""Which study, series and instance some bytes belong to: parsed only so far, and within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ctdenoise.io.dicom_bounds import BoundedSource, DamagedFileError
from ctdenoise.io.dicom_file import end_of_meta, quiet_pydicom
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID, is_uid

HEAD_BYTES_MOST = 16 * 2**20
"""The identifiers of an instance lie before this, inflated or not."""

_FIRST_LOOK_BYTES = 1 << 16
_READS_MOST = 100_000  # an element before the identifiers takes two or three

_CLASS, _INSTANCE = BaseTag(0x00080016), BaseTag(0x00080018)
_STUDY, _SERIES = BaseTag(0x0020000D), BaseTag(0x0020000E)
_IMPLEMENTATION_VERSION = "CTDENOISE"


@dataclass(frozen=True, slots=True)
class InstanceUids:
    """What an instance says it is.

    Args:
        sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid: As in its data
            set; made like UIDs.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


def uids_at(stream: BinaryIO, start: int, transfer_syntax: str) -> InstanceUids:
    """The identifiers in an encoded data set, found in its first bytes.

    Args:
        stream: What holds the data set; can be rewound.
        start: Where the data set begins.
        transfer_syntax: UID of its encoding.

    Raises:
        DamagedFileError: If it cannot be parsed so far, or an identifier is missing or no UID.
    """
    for most in (_FIRST_LOOK_BYTES, HEAD_BYTES_MOST):
        stream.seek(start)
        head = stream.read(most)
        found = uids_in(head, transfer_syntax, is_whole=len(head) < most)
        if found is not None:
            return found
    raise DamagedFileError("its header is larger than that of any CT object")


def uids_in(head: bytes, transfer_syntax: str, *, is_whole: bool) -> InstanceUids | None:
    """The identifiers in the first bytes of an encoded data set; None if they go on behind them.

    Args:
        head: The data set, from its beginning.
        transfer_syntax: UID of its encoding.
        is_whole: Whether nothing follows.

    Raises:
        DamagedFileError: If it cannot be parsed, or an identifier is missing or no UID.
    """
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        head, is_whole = _inflated(head)
    looked = _Looked()
    with quiet_pydicom():
        try:
            dataset = _parsed(head, transfer_syntax, looked)
        except DamagedFileError:
            if is_whole:
                raise
            return None
    if not (looked.is_behind or is_whole):
        return None
    values = {one.tag: one.value for one in dataset.values() if isinstance(one, RawDataElement)}
    return InstanceUids(*(_uid(values, tag) for tag in (_CLASS, _INSTANCE, _STUDY, _SERIES)))


@dataclass(slots=True)
class _Looked:
    """Stops parsing behind the identifiers, and remembers that they were passed."""

    is_behind: bool = False

    def __call__(self, tag: int, _representation: str | None, _length: int) -> bool:
        self.is_behind = tag > _SERIES
        return self.is_behind


def _parsed(head: bytes, transfer_syntax: str, looked: _Looked) -> Dataset:
    source = BoundedSource(BytesIO(head), most_bytes=HEAD_BYTES_MOST, most_reads=_READS_MOST)
    try:
        return read_dataset(
            source,  # type: ignore[arg-type] # it reads, seeks and tells
            is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian,
            is_little_endian=transfer_syntax != ExplicitVRBigEndian,
            stop_when=looked,
        )
    except (DamagedFileError, MemoryError):
        raise
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise DamagedFileError(f"it cannot be parsed ({type(error).__name__})") from error


def _inflated(head: bytes) -> tuple[bytes, bool]:
    """The first inflated bytes of a deflated data set, and whether they are all."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflater.decompress(head, HEAD_BYTES_MOST), inflater.eof
    except zlib.error as error:
        raise DamagedFileError("its deflated data cannot be inflated") from error


def part10_start(stream: BinaryIO) -> tuple[int, str]:
    """Where the data set begins in a DICOM file, and its transfer syntax.

    Args:
        stream: The file, with or without preamble and file meta information.

    Raises:
        DamagedFileError: If it does not begin like DICOM.
    """
    stream.seek(0)
    start, syntax = end_of_meta(stream) if stream.read(132)[128:] == b"DICM" else (0, "")
    if syntax:
        if not is_uid(syntax):
            raise DamagedFileError("its transfer syntax is no UID")
        return start, syntax
    stream.seek(start)
    head = stream.read(8)
    if head[:2] == b"\x08\x00" and len(head) == 8:
        explicit = head[4:6].isalpha() and head[4:6].isupper()
        return start, ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
    if head[:2] == b"\x00\x08" and head[4:6].isalpha():
        return start, ExplicitVRBigEndian
    raise DamagedFileError("it does not begin like DICOM")


def _uid(values: Mapping[BaseTag, object], tag: BaseTag) -> str:
    value = values.get(tag)
    text = value.rstrip(b"\0 ").decode("ascii", "replace") if isinstance(value, bytes) else ""
    if not is_uid(text):
        raise DamagedFileError(f"its {_NAMES[tag]} is missing or no UID")
    return text


_NAMES = {
    _CLASS: "SOPClassUID",
    _INSTANCE: "SOPInstanceUID",
    _STUDY: "StudyInstanceUID",
    _SERIES: "SeriesInstanceUID",
}


def file_head(*, uids: tuple[str, str], transfer_syntax: str, sender: str) -> bytes:
    """Preamble and file meta information (PS3.10 7.1) of a file that holds a received data set.

    Args:
        uids: SOP Class and SOP Instance UID.
        transfer_syntax: UID of the encoding in which the data set arrived.
        sender: AE title of who sent it, ASCII.
    """
    sop_class_uid, sop_instance_uid = uids
    elements = b"".join(
        (
            _element(0x0001, b"OB", b"\0\1"),
            _element(0x0002, b"UI", sop_class_uid.encode("ascii")),
            _element(0x0003, b"UI", sop_instance_uid.encode("ascii")),
            _element(0x0010, b"UI", transfer_syntax.encode("ascii")),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _element(0x0013, b"SH", _IMPLEMENTATION_VERSION.encode("ascii")),
            _element(0x0016, b"AE", sender.encode("ascii", "replace")),
        )
    )
    length = _element(0x0000, b"UL", len(elements).to_bytes(4, "little"))
    return b"\0" * 128 + b"DICM" + length + elements


def _element(number: int, representation: bytes, value: bytes) -> bytes:
    """An element of group 2 in explicit VR, little endian, padded to an even length."""
    if len(value) % 2:
        value += b"\0" if representation in (b"UI", b"OB") else b" "
    length = len(value).to_bytes(2, "little")
    if representation == b"OB":
        length = b"\0\0" + len(value).to_bytes(4, "little")
    return b"\2\0" + number.to_bytes(2, "little") + representation + length + value


def meta_of(stream: BinaryIO) -> tuple[int, str]:
    """Where the data set begins in a file that `file_head` opens, and who sent it.

    Args:
        stream: The file; left behind its file meta information.

    Raises:
        DamagedFileError: If it begins otherwise.
    """
    head = stream.read(144)
    if len(head) < 144 or head[128:132] != b"DICM" or head[132:136] != b"\2\0\0\0":
        raise DamagedFileError("it does not begin as a file of the inbox does")
    length = int.from_bytes(head[140:144], "little")
    if length > 4096:
        raise DamagedFileError("it does not begin as a file of the inbox does")
    return (144 + length, _sender_in(stream.read(length)))


def _sender_in(elements: bytes) -> str:
    for number, value in _elements(elements):
        if number == 0x0016:
            return value.decode("ascii", "replace").strip()
    return ""


def _elements(data: bytes) -> Iterable[tuple[int, bytes]]:
    offset = 0
    while offset + 8 <= len(data):
        number = int.from_bytes(data[offset + 2 : offset + 4], "little")
        is_long = data[offset + 4 : offset + 6] == b"OB"
        start = offset + (12 if is_long else 8)
        length = int.from_bytes(data[start - (4 if is_long else 2) : start], "little")
        yield (number, data[start : start + length])
        offset = start + length
