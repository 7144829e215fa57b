"""Judging denoisers: known answers of identity and of a filter, what is written and refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctdenoise.config.judgement import JudgeSettings
from ctdenoise.config.load import load_settings
from ctdenoise.core.progress import SILENT
from ctdenoise.errors import GeometryError, OutputExistsError, UsageError
from ctdenoise.tasks.judge import run
from ctdenoise.tasks.judge_facts import slices_words
from ctdenoise.tasks.judge_one import ScanQuestion, judge
from ctdenoise.tasks.judge_plan import JudgeRequest, planned
from ctdenoise.tasks.judge_sample import judged_places
from tests.unit.tasks.judged import denoiser as function_denoiser
from tests.unit.tasks.test_lcd import SETTINGS as SMALL_LCD

SHAPE = (128, 128, 12)  # NIfTI order: x, y, z
QUICK = JudgeSettings().replaced(scan={"slices": 6, "draws": 100, "patch_mm": 14})
FLAT = QUICK.replaced(lcd=SMALL_LCD.replaced(repeats=8, draws=100))


def write(path: Path, *, noise: float = 0.0, shape=SHAPE) -> Path:
    """A NIfTI volume: a block of soft tissue in air."""
    hu = np.full(shape, -1000.0)
    hu[14:-14, 14:-14] = 40
    hu += np.random.default_rng(1).normal(0, noise, shape)
    nib.save(nib.Nifti1Image(hu.astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Scan, truth and labels."""
    folder = tmp_path_factory.mktemp("scan")
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[40:80, 40:80] = 1
    path = folder / "labels.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    names = ("Doe_John_1970.nii.gz", "Doe_truth.nii.gz")
    return write(folder / names[0], noise=20), write(folder / names[1]), path


def judged(out: Path, scan, *models: str, settings=QUICK, **given) -> dict:
    request = JudgeRequest(models=models, scan=scan[0], studies=("scan",), **given)
    report = run(planned(request, settings), settings, out=out)
    if len(models) > 1:
        return {"report": report}
    record = json.loads((out / "judgement.json").read_text())
    return {"report": report, "record": record, **{m["key"]: m for m in record["metrics"]}}


@pytest.fixture(scope="module")
def identity(scan, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("identity") / "out"
    return out, judged(out, scan, "identity", truth=scan[1], labels=scan[2])


def test_identity_changes_nothing_in_any_figure(identity):
    _, found = identity
    for key in ("noise_change[scan]", "fav_shift[scan]", "rmse_change", "drift[soft]"):
        assert found[key]["value"] == pytest.approx(0, abs=1e-9), key
    assert found["organ_drift[class 1]"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["record"]["outcome"] == "pass"
    assert found["record"]["sentence"].startswith("RMSE stays as it is")


def test_a_gaussian_filter_has_less_noise_coarser_texture_and_no_drift(scan, tmp_path):
    found = judged(tmp_path / "out", scan, "gaussian", truth=scan[1])
    assert found["noise_change[scan]"]["value"] < -30
    assert found["fav_shift[scan]"]["value"] < -10
    assert abs(found["drift[soft]"]["value"]) < 0.3


def test_the_noise_of_white_noise_is_measured_right(identity):
    _, found = identity
    assert found["noise[scan, input]"]["value"] == pytest.approx(20, rel=0.05)
    assert found["rmse[input]"]["value"] == pytest.approx(20, rel=0.03)


def test_files_of_one_model_lie_in_the_folder(identity):
    out, found = identity
    assert {path.name for path in out.iterdir()} == {
        "index.html",
        "judgement.json",
        "judgement.csv",
        "pictures",
        "settings.yaml",
        "run.json",
    }
    with (out / "judgement.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == [m["key"] for m in found["record"]["metrics"]]
    assert {"outcome", "limit_low", "interval_low"} <= set(rows[0])
    assert load_settings(JudgeSettings, out / "settings.yaml") == QUICK


def test_nothing_names_the_patient(identity):
    out, _ = identity
    for path in out.rglob("*"):
        assert "Doe" not in path.name
        if path.suffix in {".html", ".json", ".csv", ".yaml"}:
            assert "Doe" not in path.read_text(encoding="utf-8"), path.name


def test_the_command_on_the_page_names_options_and_no_files(identity):
    out, _ = identity
    html = (out / "index.html").read_text(encoding="utf-8")
    words = "--model identity --study scan --truth TRUTH --labels LABELS --seed 0"
    assert f"ctdenoise evaluate SCAN {words}" in html


def test_the_same_seed_gives_the_same_figures(scan, tmp_path):
    first = judged(tmp_path / "one", scan, "gaussian", seed=4)
    second = judged(tmp_path / "two", scan, "gaussian", seed=4)
    assert first["record"]["metrics"] == second["record"]["metrics"]


def test_slices_are_spread_over_the_scan_and_named():
    assert judged_places(300, 4) == [37, 112, 187, 262]
    assert judged_places(3, 24) == [0, 1, 2]
    assert slices_words([1, 2, 3], 3) == "all 3"
    assert slices_words([38, 113], 300) == "2 of 300: 38, 113"
    assert slices_words(range(1, 9), 300) == "8 of 300: 1, 2, 3, \N{HORIZONTAL ELLIPSIS}, 8"


def test_costs_are_told_before(scan):
    plan = planned(JudgeRequest(models=("identity",), scan=scan[0], studies=("scan",)), QUICK)
    assert any("--study scan: 6 slices" in cost for cost in plan.costs)
    assert any("s a slice of 128 x 128 pixels" in cost for cost in plan.costs)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"studies": ("scan",)}, "needs a scan"),
        ({"studies": ("bench",), "truth": Path("x")}, "belong to a scan"),
        ({"scan": Path("x"), "labels": Path("x"), "segment_with": Path("y")}, "not from both"),
        ({"scan": Path("x"), "studies": ("response",), "truth": Path("y")}, "--study scan alone"),
        ({"scan": Path("x"), "studies": ("lcd", "bench")}, "does not look at it"),
    ],
    ids=["scan", "truth", "labels", "unused truth", "unused scan"],
)
def test_what_cannot_be_done_is_refused_at_once(given, words):
    with pytest.raises(UsageError, match=words):
        planned(JudgeRequest(models=("identity",), **given), QUICK)


def test_names_must_fit_the_models(scan):
    request = JudgeRequest(models=("identity",), scan=scan[0], names=("a", "b"))
    with pytest.raises(UsageError, match="1 models need 1 different names"):
        planned(request, QUICK)


def test_a_truth_on_another_grid_is_refused_and_nothing_is_left(scan, tmp_path):
    other = write(tmp_path / "other.nii.gz", shape=(128, 128, 10))
    with pytest.raises(GeometryError, match="the truth"):
        judged(tmp_path / "out", scan, "identity", truth=other)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("voxels", "words"),
    [(0, "no voxel is labelled"), (2, "judged: class 1")],
    ids=["none", "tiny"],
)
def test_organs_without_figures_are_named(scan, tmp_path, voxels, words):
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[60 : 60 + voxels, 60, 5] = 1
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    settings = QUICK.replaced(scan={"slices": 12, "draws": 100, "patch_mm": 14})
    record = judged(tmp_path / "out", scan, "identity", labels=path, settings=settings)["record"]
    assert any(line.startswith("organs: ") and words in line for line in record["not_measured"])


@pytest.mark.parametrize(("option", "kind"), [("truth", "f4"), ("labels", "u1")])
def test_another_grid_is_refused_before_anything_is_denoised(scan, tmp_path, option, kind):
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((128, 128, 10), kind), np.eye(4)), other)
    request = JudgeRequest(models=("identity",), scan=scan[0], **{option: other})
    with pytest.raises(GeometryError):
        planned(request, QUICK)


def test_a_single_slice_costs_one_slice(tmp_path):
    one = write(tmp_path / "one.nii.gz", shape=(128, 128, 1))
    plan = planned(JudgeRequest(models=("identity",), scan=one, studies=("scan",)), QUICK)
    assert any("--study scan: 1 slice, " in cost for cost in plan.costs)


def test_a_taken_folder_is_never_overwritten(scan, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()
    with pytest.raises(OutputExistsError):
        judged(tmp_path / "out", scan, "identity")


def test_a_study_that_an_output_without_noise_ends_is_named_and_the_others_are_judged(scan):
    denoiser = function_denoiser(np.zeros_like)
    question = ScanQuestion(scan[0])
    found = judge(denoiser, "flat", ("scan", "lcd"), question, FLAT, seed=0, progress=SILENT)
    assert any(line.startswith("lcd: A channel answers the same") for line in found.absent)
    assert "noise_change[scan]" in {metric.key for metric in found.measured.metrics}
