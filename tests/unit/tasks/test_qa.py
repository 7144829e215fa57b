"""Scans of water: figures, limits, and what changed since earlier days."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.cli.app import app
from ctdenoise.cli.failure import guarded
from ctdenoise.config.load import load_settings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, WaterSettings
from ctdenoise.config.qa import ConstancySettings, QaSettings
from ctdenoise.errors import InputError, OutputExistsError, UsageError
from ctdenoise.tasks import phantom as make_phantom
from ctdenoise.tasks.qa import run
from ctdenoise.tasks.qa_constancy import Day, baseline_of, changes, day_of

QUICK = QaSettings(noise_patch=32, page=False)


@pytest.fixture(scope="module")
def water(tmp_path_factory) -> Path:
    """Two slices of water as DICOM, without noise."""
    out = tmp_path_factory.mktemp("water") / "out"
    settings = PhantomSettings(
        phantom=WaterSettings(diameter_mm=200.0),
        grid=GridSettings(size=200, field_of_view_mm=230.0, slices=2),
    )
    make_phantom.run(settings, out=out, file_format="dicom")
    return out


def scanned(
    water: Path, folder: Path, date: str, *, offset: float = 0.0, noise: float = 5.0
) -> Path:
    """The same water on a day, with noise of its own."""
    folder.mkdir()
    rng = np.random.default_rng(int(date))
    for path in sorted(water.rglob("*.dcm")):
        image = pydicom.dcmread(path)
        hu = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        hu = np.where(hu > -900, hu + offset, hu) + rng.normal(0, noise, hu.shape)
        stored = np.rint((hu - float(image.RescaleIntercept)) / float(image.RescaleSlope))
        low, high = np.iinfo(image.pixel_array.dtype).min, np.iinfo(image.pixel_array.dtype).max
        image.PixelData = np.clip(stored, low, high).astype(image.pixel_array.dtype).tobytes()
        image.AcquisitionDate = date
        image.PatientName, image.PatientID = "Doe^John", "PATIENT-12345"
        image.save_as(folder / path.name)
    return folder


def test_water_has_the_figures_it_was_made_with(water, tmp_path):
    scan = scanned(water, tmp_path / "day", "20200101", offset=2.0)
    report = run(scan, QUICK, out=tmp_path / "out")
    found = {one.key: one.value for one in report.measured.metrics}
    assert found["mean_hu[centre]"] == pytest.approx(2.0, abs=0.6)
    assert found["noise"] == pytest.approx(5.0, rel=0.1)
    assert found["nonuniformity"] < 2
    # White noise: rings 1 to n of equal weight.
    assert found["nps_fav"] == pytest.approx((16 + 1) / 2 / (32 * 1.15), rel=0.05)
    assert report.outcome == "pass"
    assert report.sentences == ()


def test_what_is_written_can_be_read_and_names_no_patient(water, tmp_path):
    scan = scanned(water, tmp_path / "day", "20200101")
    history = tmp_path / "history.jsonl"
    report = run(scan, QUICK.replaced(page=True), out=tmp_path / "out", history=history)
    record = json.loads((report.out / "qa.json").read_text())
    assert record["outcome"] == "pass"
    assert record["date"] == "2020-01-01"
    assert [one["key"] for one in record["curves"]] == ["nps"]
    rows = list(csv.DictReader((report.out / "qa.csv").read_text().splitlines()))
    assert rows[0]["key"] == "mean_hu[centre]"
    assert rows[0]["outcome"] == "pass"
    assert (report.out / "regions.png").stat().st_size > 10_000
    page = (report.out / "index.html").read_text()
    assert "All 3 limits are met." in page
    assert "2020-01-01 (this scan)" in page
    assert "mean of the pixels of 2 slices" in page
    assert "http" not in page.replace("http-equiv", "")
    assert load_settings(QaSettings, report.out / "settings.yaml") == QUICK.replaced(page=True)
    texts = [path.read_text() for path in report.out.iterdir() if path.suffix != ".png"]
    assert not any("Doe^" in text or "T-12345" in text for text in [*texts, history.read_text()])


def test_a_day_that_differs_fails_in_words_and_never_becomes_the_baseline(water, tmp_path):
    history = tmp_path / "history.jsonl"
    days = (
        ("20200101", {}, "pass"),
        ("20200102", {"noise": 8.0}, "fail"),
        ("20200103", {"noise": 5.2}, "pass"),
        ("20200104", {"offset": 9.0}, "fail"),
    )
    for date, given, outcome in days:
        scan = scanned(water, tmp_path / date, date, **given)
        report = run(scan, QUICK, out=tmp_path / f"out{date}", history=history)
        assert report.outcome == outcome, date
        if date == "20200101":
            assert "nothing to compare" in report.sentences[0]
        else:
            assert report.baseline is not None
            assert report.baseline.text == "2020-01-01"
        if date == "20200102":
            assert report.sentences[0].startswith("Change of the noise is")
    assert report.sentences[0].startswith("CT number, centre is 9")
    assert [json.loads(line)["passed"] for line in history.read_text().splitlines()] == [
        True,
        False,
        True,
        False,
    ]
    again = run(scan, QUICK, out=tmp_path / "again", history=history)
    assert "already" in again.sentences[-1]
    assert len(history.read_text().splitlines()) == 4


def test_something_else_in_the_water_is_named(water, tmp_path):
    scan = scanned(water, tmp_path / "day", "20200101")
    for path in scan.iterdir():
        image = pydicom.dcmread(path)
        pixels = image.pixel_array.copy()
        pixels[60:90, 80:110] += 150
        image.PixelData = pixels.tobytes()
        image.save_as(path)
    report = run(scan, QUICK, out=tmp_path / "out")
    assert report.outcome == "fail"
    assert "does not belong to a uniform object" in report.sentences[-1]
    assert "o'clock" in report.sentences[-1]


def day(date: str, noise: float, *, passed: bool = True, series: str = "a") -> Day:
    figures = {"noise": noise, "mean_hu[centre]": 0.0, "nps_fav": None}
    return Day(date, series, date, figures, passed)


def test_the_baseline_is_the_mean_of_the_first_days_that_passed():
    days = [day("2", 5.0), day("1", 6.0), day("3", 9.0), day("0", 1.0, passed=False)]
    settings = ConstancySettings(baseline_days=2)
    found = baseline_of([*days, day("0", 7.0, series="b")], series="a", scan="x", settings=settings)
    assert found is not None
    assert found["noise"] == 5.5
    assert found.text == "2 days, 1 to 2"
    assert baseline_of(days[:1], series="a", scan="2", settings=settings) is None
    by_key = {one.key: one for one in changes({"noise": 6.6}, found)}
    assert by_key["change_noise"].value == pytest.approx(20.0)
    assert by_key["change_texture"].value is None


def test_a_named_day_can_be_the_baseline():
    days = [day("2020-01-01", 5.0), day("2020-01-02", 6.0)]
    settings = ConstancySettings(baseline_date="2020-01-02")
    found = baseline_of(days, series="a", scan="x", settings=settings)
    assert found is not None
    assert found["noise"] == 6.0
    with pytest.raises(InputError, match="no scan of 2020-01-02"):
        baseline_of(days[:1], series="a", scan="x", settings=settings)


def test_a_day_is_read_as_it_was_written():
    one = day("2020-01-01", 5.0)
    kept = {"noise": 5.0, "mean_hu[centre]": 0.0}
    assert day_of(one.as_json()) == Day("2020-01-01", "a", "2020-01-01", kept, passed=True)
    with pytest.raises(InputError, match="not one"):
        day_of({"version": 99})


def test_a_damaged_history_is_named_and_an_output_is_not_overwritten(water, tmp_path):
    scan = scanned(water, tmp_path / "day", "20200101")
    history = tmp_path / "history.jsonl"
    history.write_text("{\n")
    with pytest.raises(InputError, match="line 1"):
        run(scan, QUICK, out=tmp_path / "out", history=history)
    assert not (tmp_path / "out").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(OutputExistsError):
        run(scan, QUICK, out=tmp_path / "taken")


def test_the_command_line_judges_a_scan_and_tells_a_failure_by_its_exit_code(
    water, tmp_path, capsys
):
    scan = scanned(water, tmp_path / "day", "20200101", offset=20.0)
    arguments = ["evaluate", str(scan), "--study", "qa", "--set", "page=false"]
    assert guarded(app, [*arguments, "--out", str(tmp_path / "one")]) == 0
    said = capsys.readouterr().out
    assert "Scan 2020-01-01: fail" in said
    assert "CT number, centre is" in said
    code = guarded(app, [*arguments, "--fail-on-limits", "--out", str(tmp_path / "two")])
    assert code == 6
    assert guarded(app, ["evaluate", "--study", "qa", "--out", str(tmp_path / "three")]) == 2
    assert guarded(app, [*arguments, "--model", "nlm", "--out", str(tmp_path / "four")]) == 2
    refused = ["evaluate", str(scan), str(scan), "--history", "x", "--out", str(tmp_path / "five")]
    assert guarded(app, refused) == 2
    assert "Add --study qa" in capsys.readouterr().err


def test_an_image_file_has_no_date_for_a_history(tmp_path):
    import nibabel as nib

    hu = np.full((64, 64, 2), 0.0, dtype=np.float32)
    nib.save(nib.Nifti1Image(hu, np.eye(4)), tmp_path / "water.nii")
    with pytest.raises(UsageError, match="does not have"):
        run(tmp_path / "water.nii", QUICK, out=tmp_path / "out", history=tmp_path / "h.jsonl")
