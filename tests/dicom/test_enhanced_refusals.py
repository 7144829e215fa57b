"""Multi-frame sources that no legal object can be derived from are refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.errors import StudyError
from ctdenoise.io import dicom_enhanced_checks
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import check_writable, write_series
from tests.dicom.builders import ct_series, series_files, uid
from tests.dicom.deriving import DENOISE
from tests.dicom.multi_frames import Stored, multi_frame_ct, object_file, small_volume


def refusal(tmp_path: Path, spoil: Callable[[Dataset], None]) -> str:
    """Why an object cannot be derived from that was changed after it was read."""
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume()))
    volume = read_volume(path)
    dataset = pydicom.dcmread(path)
    spoil(dataset)
    dataset.save_as(path, enforce_file_format=False)
    with pytest.raises(StudyError) as caught:
        check_writable(volume)
    with pytest.raises(StudyError):
        write_series(volume.with_step(DENOISE), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def lost(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def fewer_frames(dataset: Dataset) -> None:
    dataset.NumberOfFrames = 3
    del dataset.PerFrameFunctionalGroupsSequence[3]
    dataset.PixelData = dataset.PixelData[: 3 * 32 * 40 * 2]


def another_instance(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("another")


def broken(dataset: Dataset) -> None:
    tag, item = Tag("AcquisitionContextSequence"), b"\xfe\xff\x00\xe0\x08\x00"
    dataset[tag] = RawDataElement(tag, "SQ", len(item), item, 0, False, True)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lost("FrameOfReferenceUID"), "FrameOfReferenceUID is missing"),
        (lost("InstanceNumber"), "InstanceNumber is missing"),
        (lost("HighBit"), "HighBit is missing"),
        (fewer_frames, "changed since it was read"),
        (another_instance, "changed since it was read"),
        (broken, "cannot be"),
    ],
)
def test_a_source_that_cannot_be_derived_from_is_refused_with_the_reason(
    tmp_path: Path, spoil: Callable[[Dataset], None], reason: str
) -> None:
    message = refusal(tmp_path, spoil)
    assert reason in message
    assert uid("another") not in message


def test_a_file_that_vanished_is_noticed(tmp_path: Path) -> None:
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume()))
    volume = read_volume(path)
    path.unlink()
    with pytest.raises(StudyError, match="cannot be read again"):
        check_writable(volume)


def test_single_frames_and_many_frames_in_one_stack_are_refused(tmp_path: Path) -> None:
    volume = small_volume(6)
    singles = ct_series(volume)
    object_file(tmp_path / "source", multi_frame_ct(volume, order=[0, 1, 2, 3]))
    series_files(tmp_path / "source", singles[4:])
    with pytest.raises(StudyError, match="mixed in one stack"):
        check_writable(read_volume(tmp_path / "source"))


def test_more_pixels_than_32_bits_can_count_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = read_volume(object_file(tmp_path / "source", multi_frame_ct(small_volume())))
    monkeypatch.setattr(dicom_enhanced_checks, "MOST_OBJECT_BYTES", 4 * 32 * 40 * 2 - 1)
    with pytest.raises(StudyError, match="more than 4 GB"):
        check_writable(volume)


def test_padding_that_a_codec_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    def twelve_bits(dataset: Dataset) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11

    dataset = multi_frame_ct(
        small_volume(padded=True), stored=Stored(padding_value=63536), edit=twelve_bits
    )
    volume = read_volume(object_file(tmp_path / "source", dataset)).with_step(DENOISE)
    settings = DicomSettings(transfer_syntax="jpeg2000")
    with pytest.raises(StudyError, match="JPEG 2000"):
        write_series(volume, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()
    (path,) = write_series(volume, tmp_path / "rle", settings=DicomSettings(transfer_syntax="rle"))
    words = pydicom.dcmread(path).pixel_array
    assert (words[:, :, :3] & 0xFFF == 63536 & 0xFFF).all()
