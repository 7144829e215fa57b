"""`simulate --all`: what a resumed run keeps, and what its table may hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.io.nifti import write_nifti
from ctdenoise.tasks import simulate_all, simulate_request
from ctdenoise.tasks.simulate_all import SimulatedSeries
from tests.builders import water_disc
from tests.dicom.builders import ct_series, series_files

SETTINGS = SimulateSettings(
    photons=2e4,
    scanner=ScannerSettings(
        distances="setting", channels=96, channel_pitch_mm=3.0, views_per_turn=96
    ),
)


@pytest.fixture
def study(tmp_path) -> Path:
    path = tmp_path / "scan.nii"
    write_nifti(water_disc(noise_hu=5.0), path)
    return path


def outcome_of(study: Path, out: Path, settings=SETTINGS, **words) -> SimulatedSeries:
    (outcome,) = simulate_all.run([study], settings, out=out, workers=1, **words).outcomes
    return outcome


@pytest.fixture
def made(study, tmp_path) -> Path:
    """What a first run made of the study."""
    out = tmp_path / "out"
    assert outcome_of(study, out).status == "made"
    return out


def test_what_was_asked_for_before_is_kept_whatever_the_size_of_the_batches(study, made):
    again = outcome_of(study, made, SETTINGS.replaced(slices_per_batch=3), resume=True)
    assert (again.status, again.reason) == ("kept", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"settings": SETTINGS.replaced(dose=0.5)}, "other settings"),
        ({"seed": 1}, "another seed"),
        ({"file_format": "dicom"}, "another --format"),
        ({"preview": True}, "no --preview"),
    ],
)
def test_what_was_made_otherwise_is_not_kept(study, made, words, told):
    again = outcome_of(study, made, **{"resume": True, **words})
    assert again.status == "failed"
    assert told in again.reason


def test_what_was_written_as_another_dicom_is_not_kept(study, tmp_path):
    out, words = tmp_path / "dicom", {"file_format": "dicom"}
    assert outcome_of(study, out, **words).status == "made"
    other = SETTINGS.replaced(dicom={"transfer_syntax": "rle"})
    reason = outcome_of(study, out, other, resume=True, **words).reason
    assert "other settings of DICOM output" in reason
    assert outcome_of(study, out, resume=True, **words).status == "kept"


def test_how_dicom_is_written_does_not_matter_to_pairs(study, made):
    other = SETTINGS.replaced(dicom={"transfer_syntax": "rle"})
    assert outcome_of(study, made, other, resume=True).status == "kept"


def test_what_another_version_made_is_not_kept(study, made, monkeypatch):
    monkeypatch.setattr(simulate_request, "__version__", "0.0.1")
    assert "another version" in outcome_of(study, made, resume=True).reason


def test_what_was_made_of_files_that_changed_since_is_not_kept(tmp_path):
    first, other = (
        series_files(tmp_path / str(n), ct_series(water_disc(noise_hu=n))) for n in (5.0, 6.0)
    )
    del first, other
    out = tmp_path / "out"
    assert outcome_of(tmp_path / "5.0", out).status == "made"
    assert outcome_of(tmp_path / "5.0", out, resume=True).status == "kept"
    for path in (tmp_path / "6.0").iterdir():
        shutil.copy(path, tmp_path / "5.0" / path.name)
    assert "files that have changed" in outcome_of(tmp_path / "5.0", out, resume=True).reason


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"inputs": {"request": 3}}'])
def test_a_record_that_cannot_be_read_is_told_as_such(study, made, content):
    (record,) = made.glob("*/run.json")
    record.write_text(content)
    again = outcome_of(study, made, resume=True)
    assert again.status == "failed"
    assert "run.json of its folder, made before, cannot be read" in again.reason


def test_the_table_names_no_file(tmp_path):
    series_files(tmp_path / "in", ct_series(water_disc(noise_hu=5.0)))
    paths = sorted((tmp_path / "in").iterdir())
    for number, path in enumerate(paths):
        path.rename(path.with_name(f"Doe, John ({number}).dcm"))
    victim = tmp_path / "in" / "Doe, John (1).dcm"
    victim.write_bytes(victim.read_bytes()[:3000])
    series_files(tmp_path / "twice", ct_series(water_disc(noise_hu=5.0)))
    series_files(tmp_path / "other", ct_series(water_disc(noise_hu=6.0)))
    for path in (tmp_path / "other").iterdir():  # the same slices with other pixels
        path.rename(tmp_path / "twice" / f"Doe-{path.name}")
    good = tmp_path / "scan.nii"
    write_nifti(water_disc(noise_hu=5.0), good)
    out = tmp_path / "out"
    report = simulate_all.run(
        [tmp_path / "in", tmp_path / "twice", good], SETTINGS, out=out, workers=1
    )
    assert "1 of 4: file 2)" in report.outcomes[0].reason
    text = (out / "series.json").read_text()
    assert len(json.loads(text)) == 3
    assert "Doe" not in text + (out / "series.csv").read_text()


def test_a_reason_is_one_line_of_the_table(study, tmp_path):
    settings = SETTINGS.replaced(dose=("50 mAs", "20 mAs"))
    failed = outcome_of(study, tmp_path / "out", settings)
    assert failed.reason.startswith("No twin can be made at every dose that was asked for: 50.0")
    assert failed.reason.count("; 20.0 mAs:") == 1
    assert len((tmp_path / "out" / "series.csv").read_text().splitlines()) == 2
