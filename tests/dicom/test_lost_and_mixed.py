"""No image is lost without a word, and none is taken for what it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_checks import repeated_identities
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.write import check_writable
from tests.dicom.builders import ct_series, marked_volume, series_files, uid
from tests.dicom.reading import problems_of, with_


@pytest.fixture
def volume() -> CTVolume:
    return marked_volume()


@pytest.mark.parametrize("name", ["0006.dcm", "0006", "0006.ima"])
@pytest.mark.parametrize("content", [bytes(9000), b"<html>404 not found</html>"])
def test_the_last_slice_is_not_lost_where_its_file_holds_something_else(
    tmp_path: Path, volume: CTVolume, name: str, content: bytes
) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    paths[-1].unlink()
    (tmp_path / name).write_bytes(content)
    problems = problems_of(tmp_path)
    if name == "0006" and any(content):
        assert problems == ""  # nothing says that it should be DICOM
    else:
        assert (
            f"DICOM files beside it are damaged (it {'does' if any(content) else 'is'}" in problems
        )
        assert name in problems


@pytest.mark.parametrize("same", [2, 6])
def test_images_that_share_one_identity_are_noted_and_nothing_is_derived_from_them(
    tmp_path: Path, volume: CTVolume, same: int
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.SOPInstanceUID = uid("instance", 0 if index < same else index)

    series_files(tmp_path, ct_series(volume, edit=edit))
    (found,) = find_series(tmp_path)
    assert [finding.code for finding in found.notes] == ["repeated-identity"]
    read = read_volume(found)
    np.testing.assert_array_equal(read.hu, volume.hu)
    with pytest.raises(StudyError, match=f"{same - 1} slices have the SOPInstanceUID of another"):
        check_writable(read)


def test_images_without_any_identity_share_none() -> None:
    assert repeated_identities([("", None), ("", None), ("1.2", 0), ("1.2", 1)]) == 0


def test_two_patients_without_an_id_are_two_by_their_names(
    tmp_path: Path, volume: CTVolume
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.PatientID = ""
        dataset.PatientName = "Somebody" if index < 3 else "Another"

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert "its slices belong to 2 patients" in problems_of(tmp_path)
    assert "Somebody" not in repr(find_series(tmp_path))


def test_one_patient_without_an_id_is_one(tmp_path: Path, volume: CTVolume) -> None:
    series_files(tmp_path, ct_series(volume, edit=with_(PatientID="")))
    assert problems_of(tmp_path) == ""


@pytest.mark.parametrize("value", ["MIP", "MINIP", "VRT", "SCREEN SAVE", "CURVED_MPR", "MAX_IP"])
def test_pictures_made_of_many_slices_are_no_ct(
    tmp_path: Path, volume: CTVolume, value: str
) -> None:
    edit = with_(ImageType=["DERIVED", "SECONDARY", "AXIAL", value])
    series_files(tmp_path, ct_series(volume, edit=edit))
    assert f"ImageType says {value}: a picture made of many slices" in problems_of(tmp_path)


@pytest.mark.parametrize(
    "value", ["MPR", "REFORMATTED", "AVERAGE", "CSA RESAMPLED", "BONE_REMOVED"]
)
def test_flat_reformations_are_ct(tmp_path: Path, volume: CTVolume, value: str) -> None:
    edit = with_(ImageType=["DERIVED", "SECONDARY", value])
    series_files(tmp_path, ct_series(volume, edit=edit))
    assert problems_of(tmp_path) == ""


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("ImagePositionPatient", [0, 0, 77]), ("PixelSpacing", [0.5, 0.5]), ("RescaleSlope", "2")],
)
def test_a_slice_that_was_moved_after_it_was_listed_is_refused(
    tmp_path: Path, volume: CTVolume, keyword: str, value: object
) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    (found,) = find_series(tmp_path)
    changed = dcmread(paths[2])
    setattr(changed, keyword, value)
    changed.save_as(paths[2])
    with pytest.raises(StudyError, match=r"changed since it was listed.*0003\.dcm"):
        read_volume(found)
