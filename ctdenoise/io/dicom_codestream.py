"""Compressed frames taken from a file and held against its header before a decoder sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ctdenoise.io.dicom_file import DamagedFileError, transfer_syntax

_J2K, _JPEG, _JPEG_LS, _RLE = "jpeg2000", "jpeg", "jpeg-ls", "rle"

_DECODERS: dict[UID, tuple[str, tuple[str, ...]]] = {
    JPEGBaseline8Bit: (_JPEG, ("gdcm",)),
    JPEGExtended12Bit: (_JPEG, ("gdcm",)),
    JPEGLossless: (_JPEG, ("gdcm",)),
    JPEGLosslessSV1: (_JPEG, ("gdcm",)),
    JPEGLSLossless: (_JPEG_LS, ("pyjpegls", "gdcm")),
    JPEGLSNearLossless: (_JPEG_LS, ("pyjpegls", "gdcm")),
    JPEG2000Lossless: (_J2K, ("gdcm", "pylibjpeg")),
    JPEG2000: (_J2K, ("gdcm", "pylibjpeg")),
    HTJ2KLossless: (_J2K, ("pylibjpeg",)),
    HTJ2KLosslessRPCL: (_J2K, ("pylibjpeg",)),
    RLELossless: (_RLE, ("pylibjpeg", "pydicom")),
}
"""Codestream and decoders, best first: fastest of those that agree with the NEMA references bit
for bit. The GPL plugin of pylibjpeg is never named for JPEG."""

_FRAME_MARKS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
"""JPEG and JPEG-LS markers that carry the size of the picture."""

_RLE_HEADER = 64
_TILES_MOST = 4096


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One compressed frame, its size known to be what the header says.

    Args:
        syntax: Transfer syntax UID.
        plugins: Names of pydicom's decoding plugins, best first.
        rows, columns: Size of the picture.
        bits_allocated, bits_stored, pixel_representation: As in the header.
        data: The codestream.
    """

    syntax: str
    plugins: tuple[str, ...]
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    data: bytes


def has_decoder(syntax: str) -> bool:
    """Whether compressed frames of a transfer syntax can be decoded.

    Args:
        syntax: Transfer syntax UID.
    """
    return UID(syntax) in _DECODERS


def encoded_frames(dataset: Dataset, frames: Sequence[int]) -> Iterator[EncodedFrame]:
    """Some compressed frames of an instance.

    Args:
        dataset: A whole instance, its image attributes checked before.
        frames: Zero-based frames, in the order wanted.

    Raises:
        DamagedFileError: If a codestream is none, or of another size than the header says.
    """
    syntax = transfer_syntax(dataset)
    kind, plugins = _DECODERS[syntax]
    shape = (int(dataset.Rows), int(dataset.Columns))
    allocated = int(dataset.BitsAllocated)
    for frame in frames:
        data = _codestream(dataset, frame)
        if kind == _RLE:
            _require_rle_of(data, shape[0] * shape[1], allocated // 8)
        else:
            _require_size(_j2k_size(data) if kind == _J2K else _jpeg_size(data), shape)
        if kind == _J2K:
            _require_few_tiles(data, shape)
        yield EncodedFrame(
            syntax=str(syntax),
            plugins=plugins,
            rows=shape[0],
            columns=shape[1],
            bits_allocated=allocated,
            bits_stored=int(dataset.BitsStored),
            pixel_representation=int(dataset.get("PixelRepresentation") or 0),
            data=data,
        )


def _codestream(dataset: Dataset, frame: int) -> bytes:
    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    try:
        return get_frame(
            dataset.PixelData,
            frame,
            number_of_frames=int(dataset.get("NumberOfFrames") or 1),
            extended_offsets=offsets if all(offsets) else None,
        )
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise DamagedFileError("its compressed frames cannot be told apart") from error


def _require_size(size: tuple[int, int] | None, shape: tuple[int, int]) -> None:
    if size is None:
        raise DamagedFileError("its compressed pixels are not of the kind its header names")
    if size != shape:
        raise DamagedFileError("its compressed picture is of another size than its header says")


def _j2k_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns in the SIZ segment of a JPEG 2000 codestream; None without one."""
    start = stream[:4096].find(b"\xff\x4f\xff\x51")
    segment = stream[start + 8 : start + 42]
    if start < 0 or len(segment) < 34:
        return None
    x1, y1, x0, y0 = (int.from_bytes(segment[i : i + 4], "big") for i in range(0, 16, 4))
    components = int.from_bytes(segment[32:34], "big")
    return (y1 - y0, x1 - x0) if components == 1 else None


def _require_few_tiles(stream: bytes, shape: tuple[int, int]) -> None:
    """Refuse a JPEG 2000 codestream cut into tiles of a few pixels; each of them costs memory."""
    start = stream[:4096].find(b"\xff\x4f\xff\x51") + 24
    across, down = (int.from_bytes(stream[i : i + 4], "big") for i in (start, start + 4))
    if not across or not down or -(-shape[1] // across) * -(-shape[0] // down) > _TILES_MOST:
        raise DamagedFileError("its compressed picture is cut into too many tiles")


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns in the frame header of a JPEG or JPEG-LS stream; None without one."""
    offset = 2
    if stream[:2] != b"\xff\xd8":
        return None
    while offset + 10 <= len(stream):
        if stream[offset] != 0xFF:
            return None
        mark = stream[offset + 1]
        if mark == 0xFF:  # a fill byte
            offset += 1
            continue
        if mark in _FRAME_MARKS:
            if stream[offset + 9] != 1:  # components
                return None
            rows = int.from_bytes(stream[offset + 5 : offset + 7], "big")
            return (rows, int.from_bytes(stream[offset + 7 : offset + 9], "big"))
        offset += 2 + int.from_bytes(stream[offset + 2 : offset + 4], "big")
    return None


def _require_rle_of(stream: bytes, pixels: int, segments: int) -> None:
    """Refuse RLE segments (PS3.5 annex G) that hold more than a picture.

    A segment never needs more than two bytes for each of its pixels. Decoders inflate all of it,
    up to 64 times, before they look.
    """
    numbers = [int.from_bytes(stream[i : i + 4], "little") for i in range(0, _RLE_HEADER, 4)]
    starts = numbers[1 : 1 + segments]
    if len(stream) < _RLE_HEADER or numbers[0] != segments:
        raise DamagedFileError("its compressed pixels are not of the kind its header names")
    if any(b <= a for a, b in pairwise((_RLE_HEADER - 1, *starts, len(stream)))):
        raise DamagedFileError("its compressed pixels are not of the kind its header names")
    if max(b - a for a, b in pairwise((*starts, len(stream)))) > 2 * pixels + _RLE_HEADER:
        raise DamagedFileError("its compressed picture is of another size than its header says")
