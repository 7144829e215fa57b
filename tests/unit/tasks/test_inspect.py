"""`ctdenoise inspect`: what is said about a series, and that it shows no patient."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.errors import OutputExistsError, UsageError
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.study import find_series
from ctdenoise.tasks import inspect, inspect_pictures, inspect_uses
from ctdenoise.tasks.inspect_advice import ADVICE
from ctdenoise.tasks.inspect_report import JSON_SCHEMA, SeriesReport, as_json, report_of
from tests.builders import water_disc
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.unit.io.test_finding import IO, codes_of

HOW_TO = Path(__file__).parents[3] / "docs" / "how_to" / "inspect.md"


def report(folder: Path) -> SeriesReport:
    return report_of(find_series(folder)[0])


def test_the_grid_names_the_place_of_a_gap(tmp_path):
    datasets = ct_series(marked_volume(slices=10))
    series_files(tmp_path, datasets[:4] + datasets[5:])
    grid = report(tmp_path).grid
    assert grid is not None
    assert [run.first_slice for run in grid.runs] == [1, 5]
    (gap,) = grid.gaps
    assert (gap.after_slice, gap.distance_mm) == (4, pytest.approx(5.0))
    assert grid.step_mm == pytest.approx(2.5)
    assert grid.field_of_view_mm == pytest.approx((40 * 0.8, 36 * 0.7))


def test_remarks_come_by_severity_and_say_what_to_do(tmp_path):
    datasets = ct_series(marked_volume(slices=10))
    for dataset in datasets:
        dataset.PhotometricInterpretation = "MONOCHROME1"
    series_files(tmp_path, datasets[:4] + datasets[5:])
    remarks = report(tmp_path).remarks
    assert [remark.severity for remark in remarks] == ["warning", "warning", "note"]
    assert {remark.code for remark in remarks} >= {"missing-slices", "monochrome1"}
    assert all(remark.advice for remark in remarks if remark.severity == "warning")


def test_a_reason_why_a_series_cannot_be_read_is_an_error_with_advice(tmp_path):
    datasets = ct_series(marked_volume())
    for dataset in datasets:
        del dataset.ImagePositionPatient
    series_files(tmp_path, datasets)
    (remark,) = report(tmp_path).remarks
    assert (remark.severity, remark.code) == ("error", "unreadable")
    assert "screenshots" in remark.advice


def test_a_label_map_is_no_error(tmp_path):
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), tmp_path / "labels.nii")
    said = report(tmp_path)
    assert not said.readable
    assert [remark.severity for remark in said.remarks] == ["note"]
    assert "--labels" in said.remarks[0].advice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OMNIPAQUE 350 / DOE JOHN", ("yes", "omnipaque")),
        ("None", ("no", "")),
        ("DOE JOHN", ("yes", "")),
        ("", ("not said", "")),
    ],
)
def test_of_a_contrast_agent_only_known_names_are_shown(tmp_path, text, expected):
    datasets = ct_series(marked_volume())
    for dataset in datasets:
        dataset.ContrastBolusAgent = text
    series_files(tmp_path, datasets)
    scan = report(tmp_path).scan
    assert (scan.contrast, scan.contrast_agent) == expected


def test_json_is_the_same_twice_and_holds_nothing_of_the_patient(tmp_path):
    datasets = ct_series(marked_volume())
    for dataset in datasets:
        dataset.PatientName, dataset.PatientID = "Marker^Patient", "MARKER-4711"
        dataset.AccessionNumber, dataset.PatientBirthDate = "MARKER-ACC", "19510203"
        dataset.ReferringPhysicianName, dataset.InstitutionName = "Marker^Doctor", "Marker Clinic"
    series_files(tmp_path, datasets)
    texts = [as_json([report(tmp_path)]) for _ in range(2)]
    assert texts[0] == texts[1]
    record = json.loads(texts[0])
    assert record["schema"] == JSON_SCHEMA
    assert record["series"][0]["grid"]["slices"] == 6
    secrets = ("marker", "4711", "19510203", datasets[0].StudyDate, datasets[0].SeriesInstanceUID)
    assert [secret for secret in secrets if secret in texts[0].lower()] == []


def test_noise_is_measured_where_there_is_soft_tissue(tmp_path):
    volume = water_disc(slices=3, size=128, noise_hu=15.0)
    write_nifti(volume, tmp_path / "a.nii")
    noise = inspect.measure_noise(find_series(tmp_path)[0])
    assert noise.noise_hu == pytest.approx(15.0, rel=0.1)
    assert len(noise.slices) == 3


def test_noise_that_cannot_be_measured_says_why(tmp_path):
    air = water_disc(slices=2, size=64)
    write_nifti(type(air)(np.full(air.shape, -1000, np.float32), air.geometry), tmp_path / "a.nii")
    noise = inspect.measure_noise(find_series(tmp_path)[0])
    assert noise.noise_hu is None
    assert noise.reason == "no body in it"


def test_uses_say_which_command_cannot_work_on_a_series_and_why(tmp_path):
    datasets = ct_series(marked_volume(slices=10, size=(64, 64)))
    series_files(tmp_path, datasets[:4] + datasets[6:])
    uses = {use.what: use for use in inspect_uses.possible_uses(find_series(tmp_path)[0])}
    assert uses["denoise to DICOM"].possible
    assert not uses["denoise to NIfTI"].possible
    assert "unevenly spaced" in uses["denoise to NIfTI"].reason


def test_every_code_of_a_finding_is_explained():
    codes = {code for path in IO.glob("*.py") for code in codes_of(path)}
    documented = set(re.findall(r"^\| `([a-z0-9-]+)` \|", HOW_TO.read_text(), re.MULTILINE))
    assert codes - documented == set()
    assert set(ADVICE) - codes == set()


def test_slices_are_spread_evenly_and_never_twice():
    assert inspect.spread(3, 8) == [0, 1, 2]
    chosen = inspect.spread(100, 6)
    assert len(set(chosen)) == 6
    assert 5 < chosen[0] < 12
    assert 88 < chosen[-1] < 95


def test_a_contact_sheet_is_a_picture_that_is_not_written_over(tmp_path):
    from PIL import Image

    series_files(tmp_path / "study", ct_series(marked_volume()))
    inspect_pictures.write(find_series(tmp_path), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size[0] > 1000
    with pytest.raises(OutputExistsError, match="not replaced"):
        inspect_pictures.write(find_series(tmp_path), tmp_path / "sheet.png")
    with pytest.raises(UsageError, match="is a PNG file"):
        inspect_pictures.write(find_series(tmp_path), tmp_path / "sheet.jpg")
