"""The bytes of a DICOM file: file meta information, header, and pixels in a transfer syntax.

A lossless codec must give back every word that went in, and so must the decoders of others. What
they agree on decides the sample precision of a stream: JPEG-LS knows no sign and readers differ in
how they extend it, so signed words go in whole; a precision of up to 8 bits in 16-bit words is read
wrong by several, so such words go in whole as well. What a codec cannot hold stays uncompressed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from pydicom import dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
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
from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom
from ctdenoise.io.dicom_pixels import StoredArray, without_unused_bits
from ctdenoise.io.dicom_stored import Words
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID

IMPLEMENTATION_VERSION_NAME = "CTDENOISE"

TRANSFER_SYNTAXES: dict[TransferSyntax, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}
"""Transfer syntax UID of each choice of the settings."""

_ENCODERS = {RLELossless: "pylibjpeg", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}
"""The encoder of each compressed syntax."""

_DECODERS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "gdcm"}
"""What decodes it again to compare; of another maker where there is one that is fast."""

_LARGEST_WORD = 16
"""BitsAllocated that the encoders take, and that PS3.5 8.2 names."""

_LOGGER = logging.getLogger(__name__)


def encoded(
    header: Dataset, frames: Sequence[Words] = (), transfer_syntax: TransferSyntax = "explicit"
) -> bytes:
    """The bytes of a DICOM file, with an empty preamble.

    Compressed frames are decoded again and compared. An instance whose words the codec does not
    give back bit for bit is stored in Explicit VR Little Endian instead; its pixels are the same.

    Args:
        header: An instance without pixels; it gets pixel data and file meta information.
        frames: Allocated words [y, x] of each frame, little endian; none for a header alone.
        transfer_syntax: How to store it.

    Raises:
        DamagedFileError: If an element that was copied from a source cannot be encoded.
    """
    syntax = TRANSFER_SYNTAXES[transfer_syntax]
    with quiet_pydicom():
        if syntax.is_compressed and not syntax.is_deflated and frames:
            if not _compress(header, frames, syntax):
                _LOGGER.info(
                    "A slice is stored uncompressed: %s cannot hold its words.", syntax.name
                )
                syntax = ExplicitVRLittleEndian
                _set_native(header, frames)
        elif frames:
            _set_native(header, frames)
        return _file_bytes(header, syntax)


def _set_native(header: Dataset, frames: Sequence[Words]) -> None:
    data = b"".join(frame.tobytes() for frame in frames)
    vr = "OB" if frames[0].itemsize == 1 else "OW"
    header.add_new("PixelData", vr, data + b"\0" * (len(data) % 2))


def _compress(header: Dataset, frames: Sequence[Words], syntax: UID) -> bool:
    """Put encapsulated frames with a basic offset table (PS3.5 A.4) into a header, if they fit."""
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    clean = [without_unused_bits(frame, allocated=allocated, stored=stored) for frame in frames]
    is_clean = all(map(np.array_equal, clean, frames))
    precision = sample_precision(header, syntax, is_clean=is_clean)
    if precision is None:
        return False
    try:
        streams = [frame_stream(header, frame, syntax, precision) for frame in frames]
        header.add_new("PixelData", "OB", encapsulate(streams))
        header["PixelData"].is_undefined_length = True
        header.file_meta = file_meta_of(header, syntax)
        again = [_decoded(header, syntax, index) for index in range(len(frames))]
    except (RuntimeError, ValueError):  # what pydicom raises where a codec will not
        return False
    got = (without_unused_bits(one, allocated=allocated, stored=stored) for one in again)
    return all(map(np.array_equal, got, clean))


def _decoded(header: Dataset, syntax: UID, index: int) -> StoredArray:
    decoder = get_decoder(syntax)
    array, _ = decoder.as_array(header, index=index, raw=True, decoding_plugin=_DECODERS[syntax])
    return array


def sample_precision(header: Dataset, syntax: UID, *, is_clean: bool) -> int | None:
    """Bits of a sample in the stream; None where other readers would not get the words back.

    Args:
        header: Says how the words are made.
        syntax: A compressed transfer syntax.
        is_clean: Whether the bits above BitsStored follow from those below in every word.
    """
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    if allocated > _LARGEST_WORD or (syntax == JPEG2000Lossless and not is_clean):
        return None
    signed = int(header.PixelRepresentation) == 1
    whole = syntax == RLELossless or stored <= 8 or not is_clean
    return allocated if whole or (signed and syntax == JPEGLSLossless) else stored


def frame_stream(header: Dataset, frame: Words, syntax: UID, precision: int) -> bytes:
    """One frame, compressed without loss.

    Args:
        header: Says how the words are made.
        frame: Allocated words [y, x].
        syntax: A compressed transfer syntax.
        precision: See `sample_precision`.

    Raises:
        RuntimeError, ValueError: If the encoder will not take them.
    """
    return bytes(
        get_encoder(syntax).encode(
            frame.astype(frame.dtype.newbyteorder("<"), copy=False),
            encoding_plugin=_ENCODERS[syntax],
            rows=int(header.Rows),
            columns=int(header.Columns),
            samples_per_pixel=1,
            number_of_frames=1,
            photometric_interpretation=str(header.PhotometricInterpretation),
            bits_allocated=int(header.BitsAllocated),
            bits_stored=precision,
            pixel_representation=int(header.PixelRepresentation),
            pixel_keyword="PixelData",
        )
    )


def file_meta_of(header: Dataset, syntax: UID) -> FileMetaDataset:
    """File meta information of an instance that we write in a transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _file_bytes(header: Dataset, syntax: UID) -> bytes:
    header.file_meta = file_meta_of(header, syntax)
    declare_encoding(header, is_implicit=syntax == ImplicitVRLittleEndian)
    buffer = BytesIO()
    try:
        dcmwrite(buffer, header, enforce_file_format=True)
    except Exception as error:
        reason = f"its header cannot be encoded again ({type(error).__name__})"
        raise DamagedFileError(reason) from error
    return buffer.getvalue()


def declare_encoding(dataset: Dataset, *, is_implicit: bool) -> None:
    """Have pydicom write elements that were copied as bytes as they are, at every depth.

    It would decode the text of a dataset whose encoding is not the one that is written.
    """
    if dataset.original_encoding != (None, None):
        dataset.set_original_encoding(is_implicit, True, dataset.original_character_set)
    for tag in list(dataset.keys()):
        element: object = dataset.get_item(tag)  # pydicom's annotation forgets raw elements
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value or ():
                declare_encoding(item, is_implicit=is_implicit)
