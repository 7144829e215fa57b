"""The evaluate task: what it writes, and what it refuses before it works."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.errors import (
    GeometryError,
    MissingExtraError,
    OutputExistsError,
    SettingsError,
    UsageError,
)
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.tasks import evaluate as task

SHAPE = (64, 64, 3)  # NIfTI order: x, y, z


def write(path: Path, offset: float = 0.0, *, noise: float = 0.0, shape=SHAPE) -> Path:
    """A NIfTI volume: a block of soft tissue in air."""
    hu = np.full(shape, -1000.0)
    hu[8:56, 8:56] = 40 + offset
    hu += np.random.default_rng(1).normal(0, noise, shape)
    image = nib.Nifti1Image(hu.astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]))
    nib.save(image, path)
    return path


@pytest.fixture
def studies(tmp_path) -> tuple[Path, Path, Path]:
    names = ("Doe_John_1970.nii.gz", "Doe_low.nii.gz", "Doe_den.nii.gz")
    paths = [tmp_path / name for name in names]
    return (
        write(paths[0], noise=2),
        write(paths[1], 5, noise=20),
        write(paths[2], 1, noise=6),
    )


def test_a_run_writes_the_page_the_numbers_and_the_record(tmp_path, studies):
    reference, *tests = studies
    out = tmp_path / "out"
    report = task.run(reference, tests, EvaluateSettings(), out=out, names=["low", "denoised"])
    assert {path.name for path in out.iterdir()} == {
        "evaluation.json",
        "evaluation.csv",
        "index.html",
        "pictures",
        "settings.yaml",
        "run.json",
    }
    assert report.page == out / "index.html"
    record = json.loads((out / "evaluation.json").read_text())
    assert [test["name"] for test in record["tests"]] == ["low", "denoised"]
    written = {m["key"]: m["value"] for m in record["tests"][1]["metrics"]}
    assert written["bias"] == pytest.approx(report.evaluations["denoised"]["bias"].value)
    with (out / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["test"] for row in rows} == {"low", "denoised"}
    assert float(next(r["value"] for r in rows if r["key"] == "rmse")) > 0
    assert load_settings(EvaluateSettings, out / "settings.yaml") == EvaluateSettings()


def test_nothing_written_holds_the_names_of_the_inputs(tmp_path, studies):
    reference, *tests = studies
    out = tmp_path / "out"
    task.run(reference, tests, EvaluateSettings(), out=out)
    for path in out.rglob("*"):
        assert "Doe" not in path.name
        if path.suffix in {".json", ".csv", ".html", ".yaml"}:
            assert "Doe_" not in path.read_text(encoding="utf-8")
    assert "test 2" in (out / "index.html").read_text(encoding="utf-8")


def test_numbers_alone_need_no_report_packages(tmp_path, studies, monkeypatch):
    monkeypatch.setattr("ctdenoise.report.requirements.find_spec", lambda _: None)
    settings = load_settings(EvaluateSettings, find_settings_file("evaluate", "numbers"))
    report = task.run(studies[0], studies[1:2], settings, out=tmp_path / "out")
    assert report.page is None
    assert not (tmp_path / "out" / "index.html").exists()
    assert (tmp_path / "out" / "evaluation.json").exists()


def test_missing_packages_are_reported_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ctdenoise.report.requirements.find_spec", lambda _: None)
    missing = tmp_path / "absent"
    with pytest.raises(MissingExtraError):
        task.run(missing, [missing], EvaluateSettings(), out=tmp_path / "out")


@pytest.mark.parametrize("names", [["one"], ["same", "same"], ["", "two"], ["a", "b", "c"]])
def test_names_must_tell_the_tests_apart(tmp_path, studies, names):
    with pytest.raises(UsageError, match="different names"):
        task.run(studies[0], studies[1:], EvaluateSettings(), out=tmp_path / "out", names=names)


def test_series_must_be_as_many_as_tests(tmp_path, studies):
    with pytest.raises(UsageError, match="need 2 series"):
        task.run(
            studies[0], studies[1:], EvaluateSettings(), out=tmp_path / "out", test_series=["1"]
        )


def test_no_test_is_refused(tmp_path, studies):
    with pytest.raises(UsageError, match="nothing to compare"):
        task.run(studies[0], [], EvaluateSettings(), out=tmp_path / "out")


def test_another_grid_is_refused_by_the_name_of_the_test_and_leaves_nothing(tmp_path, studies):
    other = write(tmp_path / "other.nii.gz", shape=(64, 64, 4))
    out = tmp_path / "out"
    with pytest.raises(GeometryError, match="denoised are not on the same grid"):
        task.run(
            studies[0], [studies[1], other], EvaluateSettings(), out=out, names=["low", "denoised"]
        )
    assert not out.exists()


def test_a_taken_folder_is_refused(tmp_path, studies):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(OutputExistsError):
        task.run(studies[0], studies[1:], EvaluateSettings(), out=out)


@pytest.mark.parametrize("name", ["default", "abdomen", "chest", "neuro", "numbers"])
def test_the_ready_settings_load(name):
    settings = load_settings(EvaluateSettings, find_settings_file("evaluate", name))
    assert settings.windows


def test_an_unknown_window_is_refused_with_the_names_there_are():
    with pytest.raises(SettingsError, match="ldctbench-chest") as caught:
        load_settings(EvaluateSettings, None, ["windows=[full, lung]"])
    assert "windows.1" in str(caught.value)


def test_an_empty_window_is_refused():
    with pytest.raises(SettingsError, match="is empty"):
        load_settings(EvaluateSettings, None, ["windows=[{low_hu: 5, high_hu: 2}]"])


def test_long_studies_go_by_in_blocks_with_the_numbers_of_whole_volumes(tmp_path):
    """21 slices are three blocks; one slice differs most, and one of the two shown is that one."""
    shape = (64, 64, 21)
    reference = write(tmp_path / "full.nii.gz", noise=3, shape=shape)
    hu = nib.load(reference).get_fdata()
    noise = np.random.default_rng(2).normal(0, 20, shape)
    noise[..., 17] *= 2
    low = tmp_path / "low.nii.gz"
    nib.save(nib.Nifti1Image((hu + noise).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0])), low)
    found = task.run(reference, [low], EvaluateSettings(), out=tmp_path / "out", names=["low"])
    expected = evaluate(read_volume(reference), read_volume(low), EvaluateSettings(threads=1))
    assert found.evaluations["low"].metrics == expected.metrics
    assert found.evaluations["low"].slices == expected.slices
    pictures = {path.name for path in (tmp_path / "out" / "pictures").iterdir()}
    assert {"slice11_soft_0.png", "slice18_soft_1.png"} <= pictures
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Middle slice (slice 11 of 21)" in page
    assert "Slice with the highest RMSE of low (slice 18 of 21)" in page
