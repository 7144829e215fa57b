"""New identities are reproducible; what cannot be derived is refused in words."""

from __future__ import annotations

import copy
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ctdenoise.core.provenance import Step
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_attributes import TYPE_1, TYPE_2
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import check_writable, write_series
from tests.dicom.builders import ct_series, marked_volume, series_files, uid
from tests.dicom.deriving import DENOISE, SIMULATE, derive, raw_bytes, read_source, rich


@pytest.fixture(autouse=True)
def fixed_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def test_the_same_volume_is_written_the_same_to_the_last_byte(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source", edit=rich).with_step(DENOISE)
    first = write_series(volume, tmp_path / "one")
    second = write_series(volume, tmp_path / "two")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_another_parameter_makes_another_series(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source")
    uids = set()
    for number, strength in enumerate((1.0, 0.5)):
        step = Step("denoise", {"model": "redcnn", "strength": strength})
        (path, *_) = write_series(volume.with_step(step), tmp_path / str(number))
        one = pydicom.dcmread(path)
        uids |= {one.SeriesInstanceUID, one.SOPInstanceUID}
    assert len(uids) == 4


def test_a_part_of_the_stack_is_another_series(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source").with_step(DENOISE)
    whole = pydicom.dcmread(write_series(volume, tmp_path / "whole")[0])
    part = pydicom.dcmread(write_series(volume.select([0, 1]), tmp_path / "part")[0])
    assert whole.SeriesInstanceUID != part.SeriesInstanceUID
    assert whole.SOPInstanceUID != part.SOPInstanceUID


def test_a_taken_series_number_is_stepped_over(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    volume = marked_volume(slices=2, size=(8, 8))
    series_files(folder, ct_series(volume, series="1"))
    names = ["other1", "other2"]
    series_files(folder, ct_series(volume, series="1001"), names=names)
    (folder / "notes.txt").write_text("not DICOM")
    source = read_volume(folder, series="1")
    (path, *_) = write_series(source.with_step(DENOISE), tmp_path / "out")
    assert pydicom.dcmread(path).SeriesNumber == 1002


def test_a_series_number_can_be_given(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source").with_step(DENOISE)
    (path, *_) = write_series(volume, tmp_path / "out", series_number=77)
    assert pydicom.dcmread(path).SeriesNumber == 77


def test_missing_type_2_attributes_are_added_empty(tmp_path: Path) -> None:
    def bare(dataset: Dataset, index: int) -> None:
        for keyword in TYPE_2:
            if keyword in dataset and keyword != "InstanceNumber":
                del dataset[keyword]

    _, derived = derive(tmp_path, edit=bare)
    for keyword in set(TYPE_2) - {"SeriesNumber", "Manufacturer", "InstanceNumber"}:
        assert derived[0][keyword].is_empty, keyword
    assert derived[0].SeriesNumber == 1000


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID", "SOPClassUID"])
def test_a_source_without_a_type_1_attribute_is_refused_before_any_work(
    tmp_path: Path, keyword: str
) -> None:
    def incomplete(dataset: Dataset, index: int) -> None:
        if index == 1:
            dataset[keyword].value = ""

    folder = tmp_path / "source"
    datasets = ct_series(marked_volume(slices=3, size=(8, 8)))
    paths = series_files(folder, datasets)
    volume = read_volume(folder)
    for index, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        incomplete(dataset, index)
        dataset.save_as(path, enforce_file_format=False)
    with pytest.raises(StudyError, match=f"{keyword} is missing or empty"):
        check_writable(volume)
    with pytest.raises(StudyError, match=keyword):
        write_series(volume.with_step(DENOISE), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_reason_for_a_refusal_is_named_at_once_and_without_uids(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    paths = series_files(folder, ct_series(marked_volume(slices=4, size=(8, 8))))
    volume = read_volume(folder)
    for path, keyword in zip(paths, ("FrameOfReferenceUID", "SamplesPerPixel"), strict=False):
        dataset = pydicom.dcmread(path)
        del dataset[keyword]
        dataset.save_as(path)
    paths[2].unlink()
    exchanged = pydicom.dcmread(paths[3])
    exchanged.SOPInstanceUID = uid("another")
    exchanged.save_as(paths[3], enforce_file_format=False)
    with pytest.raises(StudyError) as caught:
        check_writable(volume)
    message = str(caught.value)
    assert "FrameOfReferenceUID is missing" in message
    assert "SamplesPerPixel is missing" in message
    assert "0003.dcm" in message
    assert "the file changed since it was read" in message
    assert uid("another") not in message


def test_a_file_that_changes_under_our_hands_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = read_source(tmp_path / "source").with_step(DENOISE)
    assert volume.source is not None
    path = volume.source.instances[1].path
    exchanged = pydicom.dcmread(path)
    exchanged.SOPInstanceUID = uid("another")
    monkeypatch.setattr("ctdenoise.io.write.check_derivable", lambda *_, **__: None)
    exchanged.save_as(path, enforce_file_format=False)
    with pytest.raises(StudyError, match="changed since it was read"):
        write_series(volume, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_source_files_are_left_alone(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source", edit=rich)
    assert volume.source is not None
    before = [one.path.read_bytes() for one in volume.source.instances]
    write_series(volume.with_step(DENOISE), tmp_path / "out")
    assert [one.path.read_bytes() for one in volume.source.instances] == before


def test_the_preamble_is_empty_and_files_are_named_by_number(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    paths = series_files(folder, ct_series(marked_volume(slices=3, size=(8, 8))))
    for path in paths:
        path.write_bytes(b"MZ" + path.read_bytes()[2:])
    written = write_series(read_volume(folder).with_step(DENOISE), tmp_path / "out")
    assert [path.name for path in written] == ["00001.dcm", "00002.dcm", "00003.dcm"]
    for path in written:
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"


def test_type_1_is_what_the_written_instances_have(tmp_path: Path) -> None:
    _, derived = derive(tmp_path)
    for keyword in TYPE_1:
        assert not copy.deepcopy(derived[0])[keyword].is_empty


@pytest.mark.parametrize("keyword", ["Exposure", "XRayTubeCurrent"])
def test_a_dose_that_cannot_be_scaled_is_dropped_and_never_passed_on(
    tmp_path: Path, keyword: str
) -> None:
    folder = tmp_path / "source"
    paths = series_files(folder, ct_series(marked_volume(slices=1, size=(8, 8))))
    volume = read_volume(folder)
    dataset = pydicom.dcmread(paths[0])
    dataset[Tag(keyword)] = RawDataElement(Tag(keyword), "IS", 4, b"high", 0, False, True)
    dataset.save_as(paths[0])
    denoised = pydicom.dcmread(write_series(volume.with_step(DENOISE), tmp_path / "denoised")[0])
    assert raw_bytes(denoised, keyword) == b"high"
    simulated = pydicom.dcmread(write_series(volume.with_step(SIMULATE), tmp_path / "simulated")[0])
    assert keyword not in simulated


def test_a_header_that_cannot_be_copied_is_refused_before_any_work(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (path,) = series_files(folder, ct_series(marked_volume(slices=1, size=(8, 8))))
    volume = read_volume(folder)
    dataset = pydicom.dcmread(path)
    broken = b"\xfe\xff\x00\xe0\x08\x00"  # an item cut short
    tag = Tag("RequestAttributesSequence")
    dataset[tag] = RawDataElement(tag, "SQ", len(broken), broken, 0, False, True)
    dataset.save_as(path)
    with pytest.raises(StudyError, match="cannot be"):
        check_writable(volume)
    with pytest.raises(StudyError, match="cannot be"):
        write_series(volume.with_step(DENOISE), tmp_path / "out")
    assert not (tmp_path / "out").exists()
