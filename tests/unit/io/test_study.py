"""Listing a study and choosing from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from ctdenoise.errors import StudyError, UsageError
from ctdenoise.io import study as study_module
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.study import FoundSeries, choose_series, find_series
from ctdenoise.tasks import inspect
from tests.builders import water_disc
from tests.dicom.builders import ct_series, marked_volume, series_files


@pytest.fixture
def two_series(tmp_path: Path) -> Path:
    for name in ("1", "2"):
        series_files(tmp_path / name, ct_series(marked_volume(seed=int(name)), series=name))
    return tmp_path


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such file or folder"):
        find_series(tmp_path / "absent")


def test_an_empty_folder_says_that_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="it is empty"):
        find_series(tmp_path)


def test_a_folder_of_other_files_says_what_is_there(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.pdf", "noextension"):
        (tmp_path / name).write_text("some words that are no image at all")
    with pytest.raises(StudyError) as caught:
        find_series(tmp_path)
    said = str(caught.value)
    assert "2 files .txt" in said
    assert "1 file .pdf" in said
    assert "(no extension)" in said


def test_a_single_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(StudyError, match="no DICOM, NIfTI"):
        find_series(tmp_path / "a.txt")


def test_a_single_dicom_file_is_a_series_of_one_slice(tmp_path: Path) -> None:
    paths = series_files(tmp_path, ct_series(marked_volume()))
    (found,) = find_series(paths[3])
    assert found.readable
    assert found.slices == 1


def test_dicom_and_nifti_are_listed_together_and_numbered(two_series: Path) -> None:
    write_nifti(water_disc(), two_series / "disc.nii.gz")
    found = find_series(str(two_series))
    assert [(s.number, s.kind, s.description) for s in found] == [
        (1, "dicom", "Series 1"),
        (2, "dicom", "Series 2"),
        (3, "nifti", "disc.nii.gz"),
    ]


def test_image_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for case in ("a", "b"):
        (tmp_path / case).mkdir()
        write_nifti(water_disc(slices=2, size=16), tmp_path / case / "ct.nii")
    found = find_series(tmp_path)
    assert [series.description for series in found] == ["a/ct.nii", "b/ct.nii"]
    assert choose_series(found, "b/ct", where=tmp_path).number == 2
    assert find_series(tmp_path / "a")[0].description == "ct.nii"


def test_the_list_is_the_same_every_time(two_series: Path) -> None:
    first, second = (
        [(s.number, s.source, s.description) for s in find_series(two_series)] for _ in range(2)
    )
    assert first == second


def test_listing_does_not_read_pixels(two_series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> Iterator[None]:
        pytest.fail("pixels were read")

    monkeypatch.setattr("ctdenoise.io.dicom_series.read_instance", never)
    monkeypatch.setattr("ctdenoise.io.dicom_series.stored_values", never)
    assert len(find_series(two_series)) == 2


def test_a_found_series_holds_what_a_table_shows(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.CTDIvol = 7.5
        dataset.ConvolutionKernel = ["Br38f", "3"]
        dataset.DistanceSourceToDetector, dataset.DistanceSourceToPatient = "1085.6", "595"
        dataset.ReconstructionDiameter = "500"
        dataset.DataCollectionCenterPatient = [0.0, 50.0, 0.0]
        dataset.FilterType, dataset.ExposureModulationType = "HEAD FILTER", "XYZ_EC"

    volume = marked_volume(slices=3)
    series_files(tmp_path, ct_series(volume, edit=edit))
    (found,) = inspect.run(tmp_path)
    acquisition = found.acquisition
    assert (found.what, found.slices, found.number) == ("CT", 3, 1)
    assert found.geometry is not None
    assert found.geometry.shape == (3, 40, 36)
    assert found.geometry.slice_spacing_mm == pytest.approx(2.5)
    assert acquisition.convolution_kernel == "Br38f/3"
    assert acquisition.kvp == 120.0
    assert acquisition.exposure_mas == (100.0, 101.0, 102.0)
    assert acquisition.ctdi_vol_mgy == 7.5
    assert acquisition.slice_thickness_mm == 2.5
    assert acquisition.distance_source_to_patient_mm == 595.0
    assert acquisition.distance_source_to_detector_mm == 1085.6
    assert acquisition.reconstruction_diameter_mm == 500.0
    # The image is centred on (-12.5 + 17.5 * 0.7, 31.25 + 19.5 * 0.8).
    assert acquisition.reconstruction_centre_offset_mm == pytest.approx((0.25, 3.15))
    assert acquisition.filter_type == "HEAD FILTER"
    assert acquisition.exposure_modulation_type == "XYZ_EC"


def test_a_centre_of_zeros_off_the_slices_says_nothing(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        x, y, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, 700.0 + 2.5 * index]
        dataset.DataCollectionCenterPatient = [0.0, 0.0, 0.0]

    series_files(tmp_path, ct_series(marked_volume(slices=3), edit=edit))
    (found,) = inspect.run(tmp_path)
    assert found.acquisition.reconstruction_centre_offset_mm is None


@pytest.mark.parametrize(
    ("keywords", "mas"),
    [
        ({"Exposure": "80"}, 80.0),
        ({"ExposureInuAs": "81500"}, 81.5),
        ({"XRayTubeCurrent": "200", "ExposureTime": "500"}, 100.0),
    ],
)
def test_exposure_is_taken_from_whatever_the_header_has(
    tmp_path: Path, keywords: dict[str, str], mas: float
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        del dataset.Exposure
        for keyword, value in keywords.items():
            setattr(dataset, keyword, value)

    series_files(tmp_path, ct_series(marked_volume(slices=2), edit=edit))
    assert find_series(tmp_path)[0].acquisition.exposure_mas == pytest.approx((mas, mas))


@pytest.mark.parametrize("wanted", ["2", "Series 2", "series 2", " 2 "])
def test_a_series_is_chosen_by_number_or_description(two_series: Path, wanted: str) -> None:
    found = find_series(two_series)
    assert choose_series(found, wanted, where=two_series) is found[1]


def test_a_series_is_chosen_by_the_end_of_its_uid(two_series: Path) -> None:
    found = find_series(two_series)
    for series in found:
        end = series.source.series_instance_uid[-10:]
        assert choose_series(found, end, where=two_series) is series


def test_a_number_wins_over_a_description_that_contains_it(two_series: Path) -> None:
    found = find_series(two_series)
    assert choose_series(found, "1", where=two_series).description == "Series 1"


@pytest.mark.parametrize("wanted", [None, "Series", "nothing like it", "7", ""])
def test_an_unclear_choice_lists_what_can_be_chosen(two_series: Path, wanted: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        choose_series(find_series(two_series), wanted, where=two_series)
    assert "Series 1" in str(caught.value)
    assert "Series 2" in str(caught.value)
    assert "--series" in str(caught.value)


def spoil(dataset: Dataset, index: int) -> None:
    del dataset.ImageOrientationPatient
    dataset.RescaleType = "HU_MOD"


def test_choosing_what_cannot_be_read_says_every_reason(tmp_path: Path) -> None:
    series_files(tmp_path / "a", ct_series(marked_volume(), series="1"))
    series_files(tmp_path / "b", ct_series(marked_volume(), series="2", edit=spoil))
    found = find_series(tmp_path)
    with pytest.raises(StudyError) as caught:
        choose_series(found, "2", where=tmp_path)
    assert "ImageOrientationPatient" in str(caught.value)
    assert "RescaleType is HU_MOD" in str(caught.value)


def test_the_only_readable_series_is_chosen_and_the_others_are_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series_files(tmp_path / "a", ct_series(marked_volume(), series="1"))
    series_files(tmp_path / "b", ct_series(marked_volume(), series="2", edit=spoil))
    chosen = choose_series(find_series(tmp_path), None, where=tmp_path)
    assert chosen.number == 1
    assert "1 other CT series here cannot be read" in caplog.text


def test_hidden_files_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series_files(tmp_path, ct_series(marked_volume(slices=2)))
    (tmp_path / ".0003.dcm").write_bytes(b"")
    looked: list[str] = []
    look = study_module._look_at

    def watch(path: Path, found: object) -> None:
        looked.append(path.name)
        look(path, found)

    monkeypatch.setattr(study_module, "_look_at", watch)
    (found,) = find_series(tmp_path)
    assert isinstance(found, FoundSeries)
    assert found.readable
    assert ".0003.dcm" not in looked
