"""Independent validators find nothing in a derived series that its source did not have."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from ctdenoise.core.provenance import Step
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.standard import violations_of
from tests.dicom.validators import disagreements, errors_of

DENOISE = Step("denoise", {"model": "redcnn", "model_digest": "0123456789ab", "strength": 1.0})
SIMULATE = Step("simulate_low_dose", {"dose_fraction": 0.1, "seed": 1})

pytestmark = pytest.mark.validators

REAL_SERIES = [
    "series/siemens_chest",
    "series/ge_abdomen",
    "series/philips_chest",
    "series/philips_head_phantom_5mm_UB",
    "series/philips_head_phantom_1mm_UB",
    "series/philips_head_phantom_1mm_YA",
    "zoo/ge_head_tilt_uneven_gaps",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    series_files(folder, ct_series(marked_volume(slices=3, size=(16, 16)), padding_value=63536))
    return folder


@pytest.mark.parametrize("steps", [(DENOISE,), (SIMULATE,), (SIMULATE, DENOISE)])
def test_a_derived_series_has_no_error(
    source: Path, tmp_path: Path, dicom_validators: tuple[str, str], steps: tuple[Step, ...]
) -> None:
    volume = read_volume(source)
    for step in steps:
        volume = volume.with_step(step)
    for path in write_series(volume, tmp_path / "out"):
        assert not errors_of(dicom_validators[0], path)


def test_a_derived_series_belongs_to_the_study_of_its_source(
    source: Path, tmp_path: Path, dicom_validators: tuple[str, str]
) -> None:
    volume = read_volume(source)
    paths = write_series(volume.with_step(SIMULATE), tmp_path / "low")
    again = read_volume(tmp_path / "low")
    paths += write_series(again.with_step(DENOISE), tmp_path / "denoised")
    assert not disagreements(dicom_validators[1], [*paths, *source.iterdir()])


def _lose(keyword: str) -> object:
    def spoil(dataset: Dataset) -> None:
        delattr(dataset, keyword)

    return spoil


def _set(keyword: str, value: object) -> object:
    def spoil(dataset: Dataset) -> None:
        setattr(dataset, keyword, value)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _lose("RescaleSlope"),
        _lose("SliceThickness"),
        _lose("ImagePositionPatient"),
        _set("ImageType", "DERIVED"),
        _set("BitsStored", 8),
    ],
)
def test_the_validator_would_notice_an_illegal_instance(
    source: Path, tmp_path: Path, dicom_validators: tuple[str, str], spoil: object
) -> None:
    path = write_series(read_volume(source).with_step(DENOISE), tmp_path / "out")[0]
    dataset = pydicom.dcmread(path)
    spoil(dataset)
    dataset.save_as(path)
    assert errors_of(dicom_validators[0], path)


@pytest.mark.parametrize("keyword", ["PatientName", "StudyDate"])
def test_the_validator_would_notice_another_patient_or_study(
    source: Path, tmp_path: Path, dicom_validators: tuple[str, str], keyword: str
) -> None:
    path = write_series(read_volume(source).with_step(DENOISE), tmp_path / "out")[0]
    dataset = pydicom.dcmread(path)
    dataset[keyword].value = "20200101"
    dataset.save_as(path)
    assert disagreements(dicom_validators[1], [path, *source.iterdir()])


@pytest.mark.ctdata
@pytest.mark.parametrize("name", REAL_SERIES)
@pytest.mark.parametrize("step", [DENOISE, SIMULATE], ids=["denoised", "simulated"])
def test_a_real_series_gains_no_error(
    ctdata: Path, tmp_path: Path, dicom_validators: tuple[str, str], name: str, step: Step
) -> None:
    volume = read_volume(ctdata / name)
    assert volume.source is not None
    middle = volume.shape[0] // 2
    part = volume.select(slice(middle, middle + 3))
    paths = write_series(part.with_step(step), tmp_path / "out")
    originals = [volume.source.instances[middle + index].path for index in range(len(paths))]
    for path, original in zip(paths, originals, strict=True):
        new = errors_of(dicom_validators[0], path) - errors_of(dicom_validators[0], original)
        assert not new
    assert not disagreements(dicom_validators[1], [*paths, *originals])


@pytest.mark.ctdata
@pytest.mark.parametrize("name", REAL_SERIES)
@pytest.mark.parametrize("step", [DENOISE, SIMULATE], ids=["denoised", "simulated"])
def test_a_real_series_violates_the_standard_of_today_no_more_than_its_source(
    ctdata: Path, tmp_path: Path, name: str, step: Step
) -> None:
    volume = read_volume(ctdata / name)
    assert volume.source is not None
    (path,) = write_series(volume.select([3]).with_step(step), tmp_path / "out")
    assert not violations_of(path) - violations_of(volume.source.instances[3].path)
