"""Stored values of derived multi-frame objects: bit for bit those of the source where HU are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.deriving import DENOISE
from tests.dicom.multi_frames import (
    ENHANCED,
    LEGACY,
    Stored,
    derive_object,
    multi_frame_ct,
    object_file,
    small_volume,
)

STORED = {
    "plain": Stored(),
    "signed": Stored(signed=True, intercept=-24.0),
    "rescale of each frame": Stored(slope=(1.0, 0.5, 2.0, 0.25)),
    "padding": Stored(padding_value=63536),
    "signed padding": Stored(signed=True, intercept=-24.0, padding_value=-2000),
}
SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
]


@pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY], ids=["enhanced", "legacy"])
@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]], ids=["ascending", "shuffled"])
def test_the_same_hu_give_the_same_stored_values(
    tmp_path: Path, sop_class: str, name: str, order: list[int]
) -> None:
    volume = small_volume(padded="padding" in name)
    dataset = multi_frame_ct(volume, sop_class=sop_class, order=order, stored=STORED[name])
    source, derived = derive_object(tmp_path, dataset)
    frames = [order.index(index) for index in range(4)]
    assert np.array_equal(derived.pixel_array, source.pixel_array[frames])
    back = read_volume(tmp_path / "derived")
    before = read_volume(tmp_path / "source")
    assert np.array_equal(back.hu, before.hu)
    assert np.array_equal(back.geometry.positions_mm, before.geometry.positions_mm)
    assert (back.padding is None) == (before.padding is None)
    assert back.padding is None or np.array_equal(back.padding, before.padding)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_every_transfer_syntax_of_the_source_is_kept_bit_for_bit(
    tmp_path: Path, syntax: str
) -> None:
    dataset = multi_frame_ct(small_volume(padded=True), stored=STORED["padding"])
    source, derived = derive_object(tmp_path, dataset, syntax=syntax)
    assert derived.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(derived.pixel_array, source.pixel_array)
    assert derived.LossyImageCompression == "00"


@pytest.mark.parametrize("name", ["implicit", "deflated", "rle", "jpeg-ls", "jpeg2000"])
@pytest.mark.parametrize("stored", ["plain", "signed", "padding", "signed padding"])
def test_every_transfer_syntax_can_be_written(tmp_path: Path, name: str, stored: str) -> None:
    volume = small_volume(padded="padding" in stored)
    dataset = multi_frame_ct(volume, stored=STORED[stored])
    settings = DicomSettings(transfer_syntax=name)
    source, derived = derive_object(tmp_path, dataset, settings=settings)
    assert derived.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian
    assert np.array_equal(derived.pixel_array, source.pixel_array)
    assert np.array_equal(read_volume(tmp_path / "derived").hu, read_volume(tmp_path / "source").hu)


@pytest.mark.parametrize("name", ["rle", "jpeg-ls"])
def test_the_offset_table_points_at_every_compressed_frame(tmp_path: Path, name: str) -> None:
    dataset = multi_frame_ct(small_volume())
    settings = DicomSettings(transfer_syntax=name)
    _, derived = derive_object(tmp_path, dataset, settings=settings)
    table = int.from_bytes(derived.PixelData[4:8], "little")
    assert table == 4 * 4
    starts = np.frombuffer(derived.PixelData, "<u4", 4, offset=8)
    items = [derived.PixelData[8 + table + int(start) :][:4] for start in starts]
    assert items == [b"\xfe\xff\x00\xe0"] * 4
    assert len(list(generate_frames(derived.PixelData, number_of_frames=4))) == 4


def _in_fragments(dataset: Dataset, syntax: str, folder: Path) -> Path:
    """Compressed, each frame in two fragments, without an offset table."""
    path = object_file(folder, dataset, syntax=syntax)
    whole = pydicom.dcmread(path)
    frames = list(generate_frames(whole.PixelData, number_of_frames=int(whole.NumberOfFrames)))
    whole.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=False)
    whole["PixelData"].is_undefined_length = True
    whole.save_as(path)
    return path


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_fragments_without_an_offset_table_are_read_and_derived_from(
    tmp_path: Path, syntax: str
) -> None:
    dataset = multi_frame_ct(small_volume(padded=True), stored=STORED["padding"])
    stored = np.frombuffer(dataset.PixelData, "<u2").reshape(4, 32, 40)
    path = _in_fragments(dataset, syntax, tmp_path / "source")
    volume = read_volume(path)
    (derived,) = write_series(volume.with_step(DENOISE), tmp_path / "derived")
    assert np.array_equal(pydicom.dcmread(derived).pixel_array, stored)


def test_new_hu_are_stored_on_the_scale_of_each_frame(tmp_path: Path) -> None:
    dataset = multi_frame_ct(small_volume(), stored=STORED["rescale of each frame"])
    volume = read_volume(object_file(tmp_path / "source", dataset))
    noise = np.random.default_rng(0).normal(0.0, 30.0, volume.shape).astype(np.float32)
    write_series(volume.with_hu(volume.hu + noise, DENOISE), tmp_path / "out")
    difference = np.abs(
        read_volume(tmp_path / "out").hu - np.clip(volume.hu + noise, -1024.0, None)
    )
    for frame, slope in enumerate((1.0, 0.5, 2.0, 0.25)):
        assert difference[frame].max() <= slope / 2 + 1e-4


@pytest.mark.parametrize("name", ["padding", "signed padding"])
def test_no_pixel_joins_the_padding(tmp_path: Path, name: str) -> None:
    stored = STORED[name]
    dataset = multi_frame_ct(small_volume(padded=True), stored=stored)
    source = read_volume(object_file(tmp_path / "source", dataset))
    assert source.padding is not None
    assert stored.padding_value is not None
    on_padding = np.full(source.shape, stored.padding_value + stored.intercept, np.float32)
    (path,) = write_series(source.with_hu(on_padding, DENOISE), tmp_path / "out")
    words = pydicom.dcmread(path).pixel_array
    assert (words[source.padding] == stored.padding_value).all()
    assert (words[~source.padding] != stored.padding_value).all()


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_every_word_of_a_range_of_padding_comes_back(tmp_path: Path, syntax: str) -> None:
    def ranged(dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingRangeLimit", "US", 63000)
        words = np.frombuffer(dataset.PixelData, "<u2").reshape(4, 32, 40).copy()
        words[:, :, :3] = np.random.default_rng(1).integers(63000, 63537, (4, 32, 3))
        dataset.PixelData = words.tobytes()

    dataset = multi_frame_ct(small_volume(padded=True), stored=STORED["padding"], edit=ranged)
    source, derived = derive_object(tmp_path, dataset, syntax=syntax)
    assert np.array_equal(derived.pixel_array, source.pixel_array)


def test_a_lossy_source_marks_the_derived_object_for_ever(tmp_path: Path) -> None:
    dataset = multi_frame_ct(small_volume())
    path = object_file(tmp_path / "source", dataset)
    lossy = pydicom.dcmread(path)
    lossy.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    lossy.LossyImageCompression = "00"  # a header that does not know
    for keyword in ("LossyImageCompressionMethod", "LossyImageCompressionRatio"):
        lossy.pop(keyword, None)
    lossy.save_as(path)
    (derived,) = write_series(read_volume(path).with_step(DENOISE), tmp_path / "out")
    header = pydicom.dcmread(derived)
    assert header.LossyImageCompression == "01"
    assert header.LossyImageCompressionMethod == "ISO_14495_1"
    assert header.LossyImageCompressionRatio > 0
