"""Files that are to be sent: what they are, and their data sets in a form that the peer takes.

A data set goes out as its bytes lie in the file. Where the peer takes only uncompressed objects, it
is written in another way if that loses nothing, and the report says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.errors import InputError, PeerRefused, listed
from ctdenoise.io.dicom_encoding import file_meta_of
from ctdenoise.io.dicom_file import (
    DamagedFileError,
    end_of_meta,
    looks_like_dicom,
    quiet_pydicom,
    read_header,
    read_instance,
    transfer_syntax,
)
from ctdenoise.io.dicom_pixels import stored_values
from ctdenoise.io.dicom_uids import is_uid

_UNCOMPRESSED = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
_LOSSLESS = (
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
)
_MOST_PIXEL_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One file that can be sent.

    Args:
        path: The file.
        sop_class_uid: What it is.
        sop_instance_uid: Its identity.
        transfer_syntax: How it is stored.
        start: Where its data set starts, bytes from the beginning.
        data_bytes: Length of its data set.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    start: int
    data_bytes: int


def outgoing(files: Sequence[Path]) -> tuple[Outgoing, ...]:
    """What is known of some files without reading their pixels.

    A data set that is there twice, byte for byte, is sent once.

    Args:
        files: DICOM files, with or without a preamble.

    Raises:
        InputError: With everything that cannot be sent.
    """
    found: dict[str, Outgoing] = {}
    problems: list[str] = []
    for path in files:
        try:
            one = _look_at(path)
        except (DamagedFileError, OSError) as error:
            why = str(error) if isinstance(error, DamagedFileError) else "it cannot be read"
            problems.append(f"{path.name}: {why}")
            continue
        twin = found.setdefault(one.sop_instance_uid, one)
        if twin is not one and _digest(twin) != _digest(one):
            problems.append(f"{path.name}: another file has the same identity and other contents")
    if problems:
        raise InputError(
            f"{len(problems)} of {len(files)} files cannot be sent:\n{listed(problems)}",
            fix="Nothing was sent. Take them out, or make them again.",
        )
    return tuple(found.values())


def _look_at(path: Path) -> Outgoing:
    if not looks_like_dicom(path):
        raise DamagedFileError("it is no DICOM file")
    header = read_header(path)
    with quiet_pydicom():
        sop_class = str(header.dataset.get("SOPClassUID", ""))
        identity = str(header.dataset.get("SOPInstanceUID", ""))
    if not is_uid(sop_class) or not is_uid(identity):
        raise DamagedFileError("it does not say what it is (SOP Class and Instance UID)")
    if header.truncated:
        raise DamagedFileError("it ends too early")
    with path.open("rb") as file:
        has_meta = file.read(132)[128:] == b"DICM"
        start, _ = end_of_meta(file) if has_meta else (0, "")
        size = file.seek(0, 2)
    syntax = str(transfer_syntax(header.dataset))
    return Outgoing(path, sop_class, identity, syntax, start, size - start)


def _digest(instance: Outgoing) -> tuple[str, bytes]:
    with instance.path.open("rb") as file:
        file.seek(instance.start)
        return instance.transfer_syntax, hashlib.file_digest(file, "sha256").digest()


def converted(instance: Outgoing, syntax: str) -> bytes:
    """A data set in another, uncompressed transfer syntax, every value the same.

    Args:
        instance: A file that is stored otherwise.
        syntax: Explicit or implicit VR little endian.

    Raises:
        PeerRefused: If that would not be the same image, or cannot be done.
    """
    if instance.transfer_syntax == ExplicitVRBigEndian:
        raise _as_it_is(instance, "its byte order, long retired, is not changed")
    if instance.transfer_syntax not in (*_UNCOMPRESSED, *_LOSSLESS):
        raise _as_it_is(instance, "it is compressed with a loss")
    try:
        with quiet_pydicom():
            dataset = read_instance(instance.path, most_pixel_bytes=_pixel_bytes(instance))
            if instance.transfer_syntax in _LOSSLESS:
                _decompress(dataset)
            return _data_set(dataset, syntax)
    except DamagedFileError as error:
        raise _as_it_is(instance, str(error)) from error


def _pixel_bytes(instance: Outgoing) -> int:
    header = read_header(instance.path).dataset
    frame = int(header.get("Rows") or 0) * int(header.get("Columns") or 0)
    frames = int(header.get("NumberOfFrames") or 1)
    size = frame * frames * int(header.get("BitsAllocated") or 0) // 8
    size *= int(header.get("SamplesPerPixel") or 1)
    if not 0 <= size <= _MOST_PIXEL_BYTES:
        raise DamagedFileError("it is too large to be decompressed")
    return size


def _decompress(dataset: Dataset) -> None:
    if dataset.get("SamplesPerPixel") != 1 or dataset.get("BitsAllocated") not in (8, 16):
        raise DamagedFileError("only images of one sample, 8 or 16 bits, are decompressed here")
    word = "<u2" if dataset.BitsAllocated == 16 else "u1"
    mask = (1 << int(dataset.BitsStored)) - 1
    frames = range(int(dataset.get("NumberOfFrames") or 1))
    data = b"".join((w.astype(word) & mask).tobytes() for w in stored_values(dataset, frames))
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if name in dataset:
            del dataset[name]


def _data_set(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == ImplicitVRLittleEndian, True
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def _as_it_is(instance: Outgoing, why: str) -> PeerRefused:
    name = UID(instance.transfer_syntax).name
    return PeerRefused(
        f"an instance is stored as {name}, which the peer does not take, and {why}.",
        fix="Have the peer accept this transfer syntax.",
    )


def file_head(instance: Outgoing) -> bytes:
    """What must stand before the bytes of a file that has no file meta information of its own.

    Args:
        instance: A file.

    Returns:
        Nothing where the file has its own.
    """
    if instance.start:
        return b""
    identity = Dataset()
    identity.SOPClassUID, identity.SOPInstanceUID = (
        UID(instance.sop_class_uid),
        UID(instance.sop_instance_uid),
    )
    buffer = BytesIO()
    identity.file_meta = file_meta_of(identity, UID(instance.transfer_syntax))
    dcmwrite(buffer, identity, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()[: end_of_meta(buffer)[0]]
