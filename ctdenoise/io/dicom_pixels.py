"""Stored values of CT frames, decoded without trusting what the file says about its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import JPEGExtended12Bit

from ctdenoise.core.arrays import StoredArray
from ctdenoise.io.decoder_process import decoded
from ctdenoise.io.dicom_codestream import encoded_frames, has_decoder
from ctdenoise.io.dicom_file import DamagedFileError, transfer_syntax

__all__ = [
    "MOST_FRAMES",
    "MOST_PIXELS",
    "NATIVE_SYNTAXES",
    "StoredArray",
    "can_decode",
    "stored_values",
    "without_unused_bits",
]

MOST_PIXELS = 4096 * 4096
"""A CT matrix is never larger; a forged header is refused before memory is asked for."""

MOST_FRAMES = 20_000
"""More frames than any CT object has."""

NATIVE_SYNTAXES = frozenset(
    ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
)


def can_decode(syntax: str, *, bits_stored: int) -> bool:
    """Whether there is a decoder for a transfer syntax.

    Args:
        syntax: Transfer syntax UID.
        bits_stored: BitsStored; JPEG Extended is decoded with 8 bits only.
    """
    if syntax == JPEGExtended12Bit and bits_stored != 8:
        return False
    return syntax in NATIVE_SYNTAXES or has_decoder(syntax)


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
    for outcome in decoded(encoded_frames(dataset, frames)):
        if isinstance(outcome, DamagedFileError):
            raise outcome
        yield outcome


def _word_type(dataset: Dataset) -> np.dtype[np.integer]:
    """The allocated word of native pixel data, in the byte order of the file."""
    big = transfer_syntax(dataset) == "1.2.840.10008.1.2.2"
    kind = "i" if int(dataset.get("PixelRepresentation") or 0) else "u"
    return np.dtype(f"{'>' if big else '<'}{kind}{int(dataset.BitsAllocated) // 8}")


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
