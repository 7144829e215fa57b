"""Small whole files in every encoding, for the fuzzer to spoil."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gdcm
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.core.volume import CTVolume
from ctdenoise.io.image_writer import write_image
from tests.dicom.builders import NATIVE, as_bytes, ct_series, marked_volume, multi_frame

SECRETS = ("Marker", "Someone", "PATIENT-4711", "19500101", "ACC42")
"""What names the patient in every seed, and must be in no message."""

_COMPRESSED = (JPEG2000Lossless, JPEGLSLossless, RLELossless)


def dicom_seeds() -> dict[str, tuple[bytes, ...]]:
    """Series of one to three files by name; the first file is the one to spoil."""
    volume = marked_volume(slices=3, size=(36, 33))
    seeds = {f"native {s}": _files(volume, str(s)) for s in NATIVE if s.count(".") < 8}
    seeds |= {f"compressed {s}": _files(volume, str(s)) for s in _COMPRESSED}
    seeds["jpeg lossless"] = tuple(map(_jpeg_lossless, _files(volume, ExplicitVRLittleEndian)))
    seeds["no meta"] = _files(volume, ExplicitVRLittleEndian, file_meta=False)
    seeds["12 bits"] = _files(volume, ExplicitVRLittleEndian, edit=_with_12_bits)
    padded = replace(volume, padding=np.abs(volume.hu) > 900)
    signed = ct_series(padded, signed=True, slope=0.5, intercept=-24, padding_value=-30000)
    seeds["signed, padding"] = tuple(as_bytes(dataset) for dataset in signed)
    enhanced = multi_frame(volume, sop_class=EnhancedCTImageStorage)
    seeds["enhanced"] = (as_bytes(enhanced),)
    seeds["enhanced, implicit"] = (as_bytes(enhanced, NATIVE[0]),)
    seeds["enhanced, rle"] = (as_bytes(multi_frame(volume), RLELossless),)
    seeds["enhanced, j2k"] = (as_bytes(multi_frame(volume), JPEG2000Lossless),)
    return seeds


def image_seeds() -> dict[str, bytes]:
    """NIfTI, MetaImage and NRRD files of one part, by name."""
    volume = marked_volume(slices=4, size=(9, 7))
    seeds = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".nii", ".nii.gz", ".mha", ".nrrd"):
            path = write_image(volume, Path(folder) / f"volume{suffix}")
            seeds[path.name] = path.read_bytes()
    return seeds


def _files(
    volume: CTVolume,
    syntax: str,
    *,
    file_meta: bool = True,
    edit: Callable[[Dataset, int], None] | None = None,
) -> tuple[bytes, ...]:
    datasets = ct_series(volume, edit=edit)
    return tuple(as_bytes(dataset, syntax, file_meta=file_meta) for dataset in datasets)


def _with_12_bits(dataset: Dataset, index: int) -> None:
    del index
    dataset.BitsStored, dataset.HighBit = 12, 11


def _jpeg_lossless(data: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        path.write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        if not reader.Read():
            raise ValueError("gdcm cannot read its seed")
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise ValueError("gdcm cannot compress its seed")
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(path))
        if not writer.Write():
            raise ValueError("gdcm cannot write its seed")
        dataset = dcmread(path)
        del dataset.RescaleType  # gdcm adds one that it does not know
        dataset.save_as(path)
        return path.read_bytes()
