"""Cases of the zoo that spoil how a file or its header is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import gdcm
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.core.volume import CTVolume
from tests.dicom.builders import as_bytes, multi_frame, series_files
from tests.dicom.enhanced_builder import enhanced_ct
from tests.dicom.zoo import SLICES, Case, TrueSlice, true_slices, zoo_series, zoo_volume

Make = Callable[[Path, int], tuple[TrueSlice, ...]]
Edit = Callable[[Dataset, int], None]


def _encoded(syntax: str, *, file_meta: bool = True) -> Make:
    def make(folder: Path, size: int) -> tuple[TrueSlice, ...]:
        volume = zoo_volume(size)
        series_files(folder, zoo_series(volume), syntax=syntax, file_meta=file_meta)
        return true_slices(volume)

    return make


def _jpeg_lossless(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """JPEG lossless, first-order prediction, which pydicom cannot write."""
    truth = _encoded(ExplicitVRLittleEndian)(folder, size)
    for path in sorted(folder.iterdir()):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        if not reader.Read():
            raise OSError(f"gdcm cannot read {path.name}")
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise OSError(f"gdcm cannot compress {path.name}")
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))  # empties the file
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            raise OSError(f"gdcm cannot write {path.name}")
        written = dcmread(path)
        del written.RescaleType  # gdcm adds one that is wrong: US, unspecified
        written.save_as(path)
    return truth


def _series(
    folder: Path,
    size: int,
    *,
    edit: Edit | None = None,
    slope: float | Sequence[float] = 1.0,
    intercept: float = -1024.0,
    signed: bool = False,
) -> tuple[TrueSlice, ...]:
    volume = zoo_volume(size)
    series_files(
        folder, zoo_series(volume, slope=slope, intercept=intercept, signed=signed, edit=edit)
    )
    return true_slices(volume)


def _with_padding(stored: int, intercept: float) -> Make:
    """Corners outside a circle hold a stored value that is no Hounsfield unit."""

    def make(folder: Path, size: int) -> tuple[TrueSlice, ...]:
        volume = zoo_volume(size)
        shape = volume.shape
        y, x = np.meshgrid(
            np.linspace(-1, 1, shape[1]), np.linspace(-1, 1, shape[2]), indexing="ij"
        )
        padding = np.broadcast_to(x**2 + y**2 > 1, shape)
        padded = CTVolume(volume.hu, volume.geometry, volume.acquisition, padding=padding)
        series_files(
            folder, zoo_series(padded, signed=True, intercept=intercept, padding_value=stored)
        )
        return true_slices(volume)

    return make


def _half_slope(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return _series(folder, size, slope=0.5)


def _slope_per_slice(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return _series(folder, size, slope=[(1.0, 0.5, 0.25)[index % 3] for index in range(SLICES)])


def _garbage_above_stored_bits(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        words = np.frombuffer(dataset.PixelData, "<u2") | np.uint16(0xA000)
        dataset.PixelData = words.tobytes()

    return _series(folder, size, edit=edit)


def _monochrome1(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    return _series(folder, size, edit=edit)


def _truncated(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """The seventh file ends in the middle of its pixels."""
    truth = _series(folder, size)
    path = folder / "0007.dcm"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - size * (size - 4)])
    return truth


def _truncated_header(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """The seventh file ends before its position."""
    truth = _series(folder, size)
    path = folder / "0007.dcm"
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"HFS") - 60])
    return truth


def _wrong_vr(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """SeriesNumber and KVP as text of another VR, and signed padding written as unsigned."""

    def edit(dataset: Dataset, index: int) -> None:
        dataset.add_new(0x00280120, "US", 63536)

    truth = _series(folder, size, signed=True, edit=edit)
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        for tag, wrong in ((b"\x20\x00\x11\x00IS", b"SH"), (b"\x18\x00\x60\x00DS", b"LO")):
            if data.count(tag) != 1:
                raise ValueError(f"{tag!r} is not in {path.name} once")
            data = data.replace(tag, tag[:4] + wrong)
        path.write_bytes(data)
    return truth


def _texts(charset: str, declared: bytes | None = None) -> Make:
    """Names in a character set, or bytes of one that the header does not name right."""
    names = {
        "ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "ISO_IR 192": "Müller^Zoë=王^小東",
        "ISO_IR 100": "Müller^Jörg",
    }

    def make(folder: Path, size: int) -> tuple[TrueSlice, ...]:
        def edit(dataset: Dataset, index: int) -> None:
            sets = ["", charset] if charset.startswith("ISO 2022") else charset
            dataset.SpecificCharacterSet = sets
            dataset.PatientName = names[charset]

        truth = _series(folder, size, edit=edit)
        for path in sorted(folder.iterdir()) if declared else ():
            data = path.read_bytes()
            path.write_bytes(data.replace(charset.encode(), declared or b"", 1))
        return truth

    return make


def _no_rescale(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """Stored values that are Hounsfield units, and nothing that says so."""

    def edit(dataset: Dataset, index: int) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept

    return _series(folder, size, signed=True, intercept=0.0, edit=edit)


def _overlong_decimals(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """Positions and spacings of more than the 16 characters of a decimal string (PS3.5 6.2)."""
    truth = _series(folder, size)
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        for tag in (b"\x20\x00\x32\x00DS", b"\x28\x00\x30\x00DS"):
            start = data.index(tag) + len(tag)
            length = int.from_bytes(data[start : start + 2], "little")
            old = data[start + 2 : start + 2 + length].decode().strip()
            new = "\\".join(f"{float(part):.18f}" for part in old.split("\\")).encode()
            new += b" " * (len(new) % 2)
            data = data[:start] + len(new).to_bytes(2, "little") + new + data[start + 2 + length :]
        path.write_bytes(data)
    return truth


def _legacy_enhanced(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    volume = zoo_volume(size)
    (folder / "legacy.dcm").write_bytes(as_bytes(multi_frame(volume)))
    return true_slices(volume)


def enhanced(folder: Path, size: int, *, shuffled: bool = False) -> tuple[TrueSlice, ...]:
    """One Enhanced CT object, its frames in the order of the slices or not."""
    volume = zoo_volume(size)
    order = [*range(0, SLICES, 2), *range(1, SLICES, 2)] if shuffled else None
    (folder / "enhanced.dcm").write_bytes(as_bytes(enhanced_ct(volume, order=order)))
    return true_slices(volume)


FILE_CASES = (
    Case("12_no_meta", _encoded(ImplicitVRLittleEndian, file_meta=False)),
    Case("13_bigendian", _encoded(ExplicitVRBigEndian)),
    Case("13_deflate", _encoded(DeflatedExplicitVRLittleEndian)),
    Case("13_implicit", _encoded(ImplicitVRLittleEndian)),
    Case("13_j2k", _encoded(JPEG2000Lossless)),
    Case("13_jls", _encoded(JPEGLSLossless)),
    Case("13_jpll", _jpeg_lossless),
    Case("13_rle", _encoded(RLELossless)),
    Case("14_signed_pad2000", _with_padding(-2000, 0.0), findings=("padding",)),
    Case("15_signed_pad_inter-1024", _with_padding(-2000, -1024.0), findings=("padding",)),
    Case("16_slope_half", _half_slope),
    Case("17_per_slice_slope", _slope_per_slice),
    Case("18_highbits_garbage", _garbage_above_stored_bits),
    Case("19_mono1", _monochrome1, findings=("monochrome1",)),
    Case("21_truncated", _truncated, (), ("the file is truncated", "1 of 12: 0007.dcm")),
    Case("22_truncated_header", _truncated_header, (), ("incomplete", "0007.dcm")),
    Case("23_bad_vr", _wrong_vr),
    Case("26_charset_jp", _texts("ISO 2022 IR 87")),
    Case("27_charset_utf8", _texts("ISO_IR 192")),
    Case("28_charset_wrong", _texts("ISO_IR 100", b"ISO_IR 999")),
    Case("32_no_rescale", _no_rescale, findings=("no-rescale",)),
    Case("35_enhanced_ct", enhanced, findings=("multi-frame",)),
    Case("36_legacy_enhanced", _legacy_enhanced, findings=("multi-frame",)),
    Case("37_overlong_DS", _overlong_decimals),
)
