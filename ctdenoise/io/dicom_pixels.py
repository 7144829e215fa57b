"""Stored values of CT frames, decoded without trusting what the file says about its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
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

from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom, transfer_syntax

StoredArray = npt.NDArray[np.integer]
"""Stored values [y, x], integers, before the rescale."""

MOST_PIXELS = 4096 * 4096
"""A CT matrix is never larger; a forged header is refused before memory is asked for."""

MOST_FRAMES = 20_000
"""More frames than any CT object has."""

NATIVE_SYNTAXES = frozenset(
    ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
)

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


def can_decode(syntax: str, *, bits_stored: int) -> bool:
    """Whether there is a decoder for a transfer syntax.

    Args:
        syntax: Transfer syntax UID.
        bits_stored: BitsStored; JPEG Extended is decoded with 8 bits only.
    """
    if syntax == JPEGExtended12Bit and bits_stored != 8:
        return False
    return syntax in NATIVE_SYNTAXES or UID(syntax) in _DECODERS


def stored_values(dataset: Dataset, frames: Sequence[int]) -> Iterator[StoredArray]:
    """Stored values of some frames, one at a time, unused bits removed.

    Args:
        dataset: A whole instance, its image attributes checked before.
        frames: Zero-based frames, in the order wanted.

    Yields:
        Arrays [y, x], possibly a view that must not be written to.

    Raises:
        DamagedFileError: If the pixels are incomplete, contradict the header or cannot be decoded.
    """
    syntax = transfer_syntax(dataset)
    shape = (int(dataset.Rows), int(dataset.Columns))
    if syntax in NATIVE_SYNTAXES:
        words = _native_words(dataset, shape)
        for frame in frames:
            yield words[frame]
        return
    kind, plugins = _DECODERS[syntax]
    if kind != _RLE:
        _require_codestream_size(dataset, kind, shape)
    decoder = get_decoder(syntax)
    plugin = next((name for name in plugins if name in decoder.available_plugins), "")
    if not plugin:
        raise DamagedFileError(f"no decoder for {syntax.name} is installed")
    for frame in frames:
        array = _decoded(dataset, frame, plugin)
        if array.shape != shape:
            raise DamagedFileError("its decoded picture is of another size than its header says")
        yield array


def frames_of_file(
    path: Path, dataset: Dataset, start: int, frames: Sequence[int]
) -> Iterator[StoredArray] | None:
    """Allocated words of some frames of native pixel data, read from the file one by one.

    Args:
        path: The file.
        dataset: Its header.
        start: Where its pixel data start.
        frames: Zero-based frames, in the order wanted.

    Returns:
        Arrays [y, x], to be asked for one after the other; None where bytes of two frames may
        share a word, so that the pixel data have to be taken as a whole.
    """
    dtype = _word_type(dataset)
    if dtype.itemsize == 1:
        return None
    return _frames_from(path, dtype, (int(dataset.Rows), int(dataset.Columns)), start, frames)


def _frames_from(
    path: Path,
    dtype: np.dtype[np.integer],
    shape: tuple[int, int],
    start: int,
    frames: Sequence[int],
) -> Iterator[StoredArray]:
    size = shape[0] * shape[1] * dtype.itemsize
    with path.open("rb") as file:
        for frame in frames:
            file.seek(start + frame * size)
            data = file.read(size)
            if len(data) < size:
                raise DamagedFileError("its pixel data are incomplete")
            yield np.frombuffer(data, dtype).reshape(shape)


def _word_type(dataset: Dataset) -> np.dtype[np.integer]:
    """The allocated word of native pixel data, in the byte order of the file."""
    big = transfer_syntax(dataset) == "1.2.840.10008.1.2.2"
    kind = "i" if int(dataset.PixelRepresentation) else "u"
    return np.dtype(f"{'>' if big else '<'}{kind}{int(dataset.BitsAllocated) // 8}")


def _decoded(dataset: Dataset, frame: int, plugin: str) -> StoredArray:
    decoder = get_decoder(transfer_syntax(dataset))
    try:
        with quiet_pydicom():
            array, _ = decoder.as_array(dataset, index=frame, raw=True, decoding_plugin=plugin)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic in a Rust decoder is no Exception
        raise DamagedFileError("its compressed pixels cannot be decoded") from error
    return array


def _native_words(dataset: Dataset, shape: tuple[int, int]) -> StoredArray:
    """All frames of native pixel data as a view [frame, y, x] of the allocated words."""
    dtype = _word_type(dataset)
    big = transfer_syntax(dataset) == "1.2.840.10008.1.2.2"
    frames = int(dataset.get("NumberOfFrames") or 1)
    count = frames * shape[0] * shape[1]
    data = dataset.PixelData
    if len(data) < count * dtype.itemsize:
        raise DamagedFileError("its pixel data are incomplete")
    if big and dtype.itemsize == 1 and dataset["PixelData"].VR == "OW":
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    return np.frombuffer(data, dtype, count).reshape(frames, *shape)


def without_unused_bits(words: StoredArray, *, allocated: int, stored: int) -> StoredArray:
    """Allocated words with the bits above BitsStored removed (two's complement kept).

    Args:
        words: Any shape; the dtype has `allocated` bits.
        allocated: BitsAllocated.
        stored: BitsStored.
    """
    shift = allocated - stored
    if shift == 0:
        return words
    native = words.astype(words.dtype.newbyteorder("="), copy=False)
    return np.right_shift(np.left_shift(native, shift), shift)


def _require_codestream_size(dataset: Dataset, kind: str, shape: tuple[int, int]) -> None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    size_of = _j2k_size if kind == _J2K else _jpeg_size
    try:
        sizes = {
            size_of(stream)
            for stream in generate_frames(dataset.PixelData, number_of_frames=frames)
        }
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise DamagedFileError("its compressed frames cannot be told apart") from error
    if None in sizes:
        raise DamagedFileError("its compressed pixels are not of the kind its header names")
    if sizes != {shape}:
        raise DamagedFileError("its compressed picture is of another size than its header says")


def _j2k_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns in the SIZ segment of a JPEG 2000 codestream; None if there is none."""
    start = stream[:4096].find(b"\xff\x4f\xff\x51")
    numbers = stream[start + 8 : start + 24]
    if start < 0 or len(numbers) < 16:
        return None
    x1, y1, x0, y0 = (int.from_bytes(numbers[i : i + 4], "big") for i in range(0, 16, 4))
    return (y1 - y0, x1 - x0)


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns in the frame header of a JPEG or JPEG-LS stream; None if there is none."""
    offset = 2
    if stream[:2] != b"\xff\xd8":
        return None
    while offset + 9 <= len(stream):
        if stream[offset] != 0xFF:
            return None
        mark = stream[offset + 1]
        if mark == 0xFF:  # a fill byte
            offset += 1
            continue
        if mark in _FRAME_MARKS:
            rows = int.from_bytes(stream[offset + 5 : offset + 7], "big")
            return (rows, int.from_bytes(stream[offset + 7 : offset + 9], "big"))
        offset += 2 + int.from_bytes(stream[offset + 2 : offset + 4], "big")
    return None
