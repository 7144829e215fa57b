"""A DICOMDIR gives the files that it lists, inside its own folder and nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_directory import read_directory
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import series_files
from tests.dicom.zoo import zoo_series, zoo_volume
from tests.dicom.zoo_more import medium


def images_of(folder: Path) -> list[Dataset]:
    records = pydicom.dcmread(folder / "DICOMDIR").DirectoryRecordSequence
    return [record for record in records if "ReferencedFileID" in record]


def rewrite(folder: Path, number: int, parts: list[str]) -> None:
    """Let one record of the CT series point elsewhere."""
    directory = pydicom.dcmread(folder / "DICOMDIR")
    images = [r for r in directory.DirectoryRecordSequence if "ReferencedFileID" in r]
    images[number].ReferencedFileID = parts
    directory.save_as(folder / "DICOMDIR")


def codes(path: Path) -> list[str]:
    (ct,) = (series for series in find_series(path) if series.what == "CT")
    return [note.code for note in ct.notes]


def test_only_what_is_listed_is_read(tmp_path: Path) -> None:
    medium(tmp_path, 64)
    series_files(tmp_path / "beside", zoo_series(zoo_volume(64), series="7"))
    by_directory = find_series(tmp_path / "DICOMDIR")
    assert [series.what for series in by_directory] == ["CT", "secondary capture"]
    assert len(find_series(tmp_path)) == 3


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "listing.dcm"])
def test_a_directory_is_known_by_its_name_or_by_what_it_says(tmp_path: Path, name: str) -> None:
    medium(tmp_path, 64)
    (tmp_path / "DICOMDIR").rename(tmp_path / name)
    assert read_volume(tmp_path / name).shape[0] == 12


def test_names_may_have_changed_their_case(tmp_path: Path) -> None:
    medium(tmp_path / "a", 64)
    for path in sorted((tmp_path / "a").rglob("*")):
        if path.is_file() and path.name != "DICOMDIR":
            there = tmp_path / "b" / str(path.relative_to(tmp_path / "a")).lower()
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, there)
    shutil.copy(tmp_path / "a" / "DICOMDIR", tmp_path / "b")
    assert read_volume(tmp_path / "b" / "DICOMDIR").shape[0] == 12


def test_a_listed_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    medium(tmp_path, 64)
    listed = images_of(tmp_path)[4].ReferencedFileID
    (tmp_path / Path(*listed)).unlink()
    for path in (tmp_path, tmp_path / "DICOMDIR"):
        assert "files-missing" in codes(path)
        assert read_volume(path).shape[0] == 11


OUTSIDE = {
    "up": ["..", "outside", "SECRET"],
    "up in one part": ["../outside/SECRET"],
    "backslash": ["..\\outside\\SECRET"],
    "from the root": ["/outside/SECRET"],
    "empty part": ["", "outside", "SECRET"],
    "itself": [".", "..", "outside", "SECRET"],
}


@pytest.mark.parametrize("parts", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_an_entry_that_leads_out_of_the_folder_is_not_followed(
    tmp_path: Path, parts: list[str]
) -> None:
    (tmp_path / "outside").mkdir()
    inside = tmp_path / "medium"
    inside.mkdir()
    medium(inside, 64)
    # The slice itself, moved out: reading it would complete the series.
    shutil.move(inside / Path(*images_of(inside)[4].ReferencedFileID), tmp_path / "outside/SECRET")
    with quiet_pydicom():
        rewrite(inside, 4, [part.replace("/outside", f"{tmp_path}/outside") for part in parts])
        listed = read_directory(inside / "DICOMDIR")
    assert len(listed.files) == 12  # 11 slices and the other study's picture
    assert all(path.is_relative_to(inside) for path in listed.files)
    assert sum(listed.outside.values()) == 1
    assert "files-outside" in codes(inside / "DICOMDIR")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "medium"
    inside.mkdir()
    medium(inside, 64)
    path = inside / Path(*images_of(inside)[4].ReferencedFileID)
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with quiet_pydicom():
        listed = read_directory(inside / "DICOMDIR")
    assert len(listed.files) == 12
    assert sum(listed.outside.values()) == 1


def test_a_deleted_record_is_not_read(tmp_path: Path) -> None:
    medium(tmp_path, 64)
    directory = pydicom.dcmread(tmp_path / "DICOMDIR")
    images = [r for r in directory.DirectoryRecordSequence if "ReferencedFileID" in r]
    images[3].RecordInUseFlag = 0
    directory.save_as(tmp_path / "DICOMDIR")
    assert read_volume(tmp_path / "DICOMDIR").shape[0] == 11


def test_records_that_point_at_each_other_end(tmp_path: Path) -> None:
    medium(tmp_path, 64)
    directory = pydicom.dcmread(tmp_path / "DICOMDIR")
    for record in directory.DirectoryRecordSequence:
        record.OffsetOfTheNextDirectoryRecord = record.seq_item_tell
        record.OffsetOfReferencedLowerLevelDirectoryEntity = record.seq_item_tell
    directory.save_as(tmp_path / "DICOMDIR")
    assert read_volume(tmp_path / "DICOMDIR").shape[0] == 12


@pytest.mark.parametrize("content", ["empty", "text", "truncated", "an image"])
def test_one_that_cannot_be_used_is_refused_and_the_folder_still_works(
    tmp_path: Path, content: str
) -> None:
    medium(tmp_path, 64)
    path = tmp_path / "DICOMDIR"
    data = {
        "empty": b"",
        "text": b"hello",
        "truncated": path.read_bytes()[:300],
        "an image": (tmp_path / Path(*images_of(tmp_path)[0].ReferencedFileID)).read_bytes(),
    }[content]
    path.write_bytes(data)
    with pytest.raises(StudyError, match="this DICOMDIR cannot be used") as caught:
        find_series(path)
    assert "Give the folder" in str(caught.value)
    assert read_volume(tmp_path).shape[0] == 12


@pytest.mark.parametrize(
    "name", ["DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-reordered"]
)
def test_directories_of_other_programs_list_the_same_files(name: str) -> None:
    path = Path(str(get_testdata_file("dicomdirtests/" + name)))
    with quiet_pydicom():
        listed = read_directory(path)
        records = pydicom.dcmread(path).DirectoryRecordSequence
    assert len(listed.files) == sum("ReferencedFileID" in record for record in records) > 0
    assert not listed.absent
    assert not listed.outside
