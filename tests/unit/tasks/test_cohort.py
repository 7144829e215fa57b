"""Evaluations of several patients as one cohort, by the real command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.errors import InputError, UsageError
from ctdenoise.tasks import cohort, evaluate
from tests.e2e.commands import ctdenoise

SHAPE = (48, 48, 2)
NUMBERS = EvaluateSettings(page=None, vif=False, threads=1)


def write(path: Path, hu: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(hu.astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory) -> list[Path]:
    """Seven patients of very different noise; the second test always has nine tenths of it."""
    folder = tmp_path_factory.mktemp("Doe")
    made = []
    for number in range(7):
        rng = np.random.default_rng(number)
        hu = np.full(SHAPE, -1000.0)
        hu[6:42, 6:42] = 40
        noise = (10 + 8 * number) * rng.normal(size=SHAPE)
        paths = [
            write(folder / f"Doe_{number}_{name}.nii", hu + share * noise)
            for name, share in (("full", 0.0), ("low", 1.0), ("denoised", 0.9))
        ]
        out = folder / f"Doe_{number}"
        evaluate.run(paths[0], paths[1:], NUMBERS, out=out, names=["low", "denoised"])
        made.append(out)
    return made


def value(folder: Path, test: int) -> float:
    record = json.loads((folder / "evaluation.json").read_text())
    return next(m["value"] for m in record["tests"][test]["metrics"] if m["key"] == "rmse")


def test_a_cohort_has_means_of_patients_intervals_and_paired_tests(tmp_path, evaluations):
    done = ctdenoise("summarise", *evaluations, "--out", tmp_path / "out")
    assert done.code == 0, done.stderr
    record = json.loads((tmp_path / "out" / "cohort.json").read_text())
    assert record["patients"] == 7
    found = {one["key"]: one for one in record["tests"][0]["metrics"]}["rmse"]
    assert found["value"] == pytest.approx(np.mean([value(one, 0) for one in evaluations]))
    assert found["interval"]["low"] < found["value"] < found["interval"]["high"]
    (difference,) = record["differences"]
    assert difference["difference"] == pytest.approx(-0.1 * found["value"], rel=1e-3)
    assert difference["p"] == difference["p_holm"] == 2**-6
    assert difference["better"] == "denoised"
    with (tmp_path / "out" / "cohort.csv").open(newline="") as file:
        lines = {(row["test"], row["key"]): row for row in csv.DictReader(file)}
    assert float(lines["low", "rmse"]["interval_high"]) == found["interval"]["high"]
    assert "RMSE, denoised less low" in " ".join(done.stdout.split())
    for path in (tmp_path / "out").iterdir():
        assert "Doe" not in path.read_text(encoding="utf-8")


def test_studies_of_one_patient_count_as_one(tmp_path, evaluations):
    words = ["a", "a", "b", "b", "c", "c", "d"]
    report = cohort.run(evaluations, StatisticsSettings(), out=tmp_path / "out", patients=words)
    rmse = report.figures[0]["rmse"]
    values = [value(one, 0) for one in evaluations]
    pairs = [np.mean(values[n : n + 2]) for n in (0, 2, 4, 6)]
    assert list(rmse.patients) == ["patient 1", "patient 2", "patient 3", "patient 4"]
    assert rmse.metric.value == pytest.approx(np.mean(pairs))
    assert "n too small for p<0.05 (min p = 2^(1-n) = 0.125 for n = 4)" in report.words
    assert report.contrasts[0].p_value is None


def test_what_makes_no_cohort_is_refused(tmp_path, evaluations):
    out, settings = tmp_path / "out", StatisticsSettings()
    with pytest.raises(UsageError, match="of two patients"):
        cohort.run(evaluations[:1], settings, out=out)
    with pytest.raises(UsageError, match="all evaluations are of one patient"):
        cohort.run(evaluations[:2], settings, out=out, patients=["a", "a"])
    with pytest.raises(UsageError, match="need 2 patients, and 1"):
        cohort.run(evaluations[:2], settings, out=out, patients=["a"])
    with pytest.raises(InputError, match="no evaluation that can be read"):
        cohort.run([evaluations[0], tmp_path], settings, out=out)
    other = tmp_path / "other"
    other.mkdir()
    text = (evaluations[1] / "evaluation.json").read_text().replace('"denoised"', '"unet"')
    (other / "evaluation.json").write_text(text)
    with pytest.raises(UsageError, match="different tests: low, denoised; low, unet"):
        cohort.run([evaluations[0], other], settings, out=out)
    assert not out.exists()
