"""A deliberately bad denoiser is caught: its RMSE improves, lesions fade, and the page says so."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tests.e2e.commands import Outcome, ctdenoise

SIZE, SLICES = 160, 8

STRONG = ("infer.filters.bilateral.tolerance=3", "infer.filters.bilateral.width_mm=3")
"""A bilateral filter that is three times as wide and twice as tolerant as it should be."""

SMALL = (
    "scan.slices=6",
    "response.slices=2",
    "response.soft={contrasts_hu: [15, 40], diameters_mm: [7, 10]}",
    "lcd.inserts=[{hu: 40, diameter_mm: 3}]",
    "lcd.doses=[0.25, 0.5, 1.0]",
    "lcd.copies=3",
    "lcd.repeats=24",
    "lcd.scan.size=192",
)
"""Studies of seconds."""


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A body with organs and 25 HU of noise like that of CT, and its truth."""
    folder = tmp_path_factory.mktemp("judge")
    rows, columns = np.ogrid[:SIZE, :SIZE]
    truth = np.where(((rows - 80) / 62) ** 2 + ((columns - 80) / 74) ** 2 < 1, 50.0, -1000.0)
    for row, column, radius, hu in ((60, 60, 14, 110), (100, 95, 10, 30), (70, 110, 8, 300)):
        truth[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = hu
    truth = np.repeat(ndimage.gaussian_filter(truth, 0.7)[None], SLICES, 0)
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE))
    shape = np.sqrt(frequency * np.exp(-((frequency / 0.3) ** 2)))
    white = np.random.default_rng(0).normal(size=truth.shape)
    noise = np.fft.ifft2(np.fft.fft2(white) * shape).real
    paths = folder / "scan.nii.gz", folder / "truth.nii.gz"
    for path, hu in zip(paths, (truth + 25 * noise / noise.std(), truth), strict=True):
        image = nib.Nifti1Image(hu.transpose(2, 1, 0).astype(np.float32), np.diag([1, 1, 3, 1.0]))
        nib.save(image, path)
    return paths


def evaluate(scan: tuple[Path, Path], out: Path, *words: str, settings=()) -> Outcome:
    sets = [word for change in settings for word in ("--set", change)]
    return ctdenoise("evaluate", scan[0], "--truth", scan[1], "--out", out, *sets, *words)


@pytest.fixture(scope="module")
def caught(scan, tmp_path_factory) -> tuple[Outcome, Path]:
    out = tmp_path_factory.mktemp("caught") / "out"
    words = ("--model", "bilateral", "--config", "judge_quick", "--fail-on-limits")
    studies = ("--study", "scan", "response", "lcd")
    return evaluate(scan, out, *words, *studies, settings=(*STRONG, *SMALL)), out


def test_a_strong_bilateral_filter_is_caught_though_its_rmse_improves(caught):
    done, out = caught
    record = json.loads((out / "judgement.json").read_text())
    figures = {metric["key"]: metric for metric in record["metrics"]}
    assert figures["rmse_change"]["value"] < -30
    faint = figures["contrast_recovery[15 HU, 7 mm]"]
    assert faint["value"] < 0.7
    small = figures["dprime_ratio[3 mm, 40 HU, 100 %]"]
    assert small["interval"]["high"] < 0.95
    failed = {one["key"] for one in record["limits"] if one["outcome"] == "fail"}
    assert {faint["key"], small["key"]} <= failed
    assert done.code == 6, done.stderr


def test_the_page_says_in_words_what_was_lost(caught):
    done, out = caught
    sentence = json.loads((out / "judgement.json").read_text())["sentence"]
    assert sentence.startswith("RMSE falls by ")
    assert "but contrast of 15 HU lesions of 7 mm falls to 0." in sentence
    assert "detectability of 40 HU lesions of 3 mm at 100 % dose falls to 0." in sentence
    assert sentence.endswith("fails.")
    assert sentence in (out / "index.html").read_text(encoding="utf-8")
    assert sentence in done.stdout
    assert "could not be done: bilateral" in " ".join(done.stderr.split())


def test_identity_fails_nothing_and_keeps_everything(scan, tmp_path):
    words = ("--model", "identity", "--config", "judge_quick", "--fail-on-limits")
    done = evaluate(scan, tmp_path / "out", *words, settings=SMALL)
    assert done.code == 0, done.stderr
    record = json.loads((tmp_path / "out" / "judgement.json").read_text())
    undecided = {one["key"] for one in record["limits"] if one["outcome"] != "pass"}
    assert undecided <= {"false_structure"}, "two slices cannot rule out rare false structure"
    figures = {metric["key"]: metric["value"] for metric in record["metrics"]}
    assert figures["contrast_recovery[15 HU, 7 mm]"] == pytest.approx(1, abs=1e-4)
    assert figures["drift[soft]"] == 0


def test_a_dry_run_says_the_costs_and_writes_nothing(scan, tmp_path):
    words = ("--model", "identity", "--study", "all", "--dry-run")
    done = evaluate(scan, tmp_path / "out", *words)
    assert done.code == 0, done.stderr
    for study in ("scan", "response", "bench", "lcd"):
        assert f"--study {study}: " in done.stdout
    assert not (tmp_path / "out").exists()


def test_several_models_have_a_page_each_and_one_that_compares_them(scan, tmp_path):
    words = ("--model", "identity", "--model", "gaussian", "--names", "none", "blur")
    done = evaluate(scan, tmp_path / "out", *words, "--study", "scan", settings=SMALL)
    assert done.code == 0, done.stderr
    for page in ("index.html", "none/index.html", "blur/index.html", "blur/judgement.csv"):
        assert (tmp_path / "out" / page).is_file()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--study", "scan"), "--study judges a denoiser, and none was named"),
        (("--model", "nowhere"), "there is no such model"),
        (("--model", "nlm", "--input", "low"), "--input: images are compared with a reference"),
        (("--study", "qa", "--dry-run", "--names", "a"), "does not know --dry-run, --names"),
    ],
    ids=["no model", "no such model", "option of references", "option of models"],
)
def test_what_cannot_be_judged_is_one_clear_error(scan, tmp_path, words, what):
    done = ctdenoise("evaluate", scan[0], *words, "--out", tmp_path / "out")
    assert done.code in {2, 3}
    assert what in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_taken_folder_is_refused_before_costs_are_measured(scan, tmp_path):
    (tmp_path / "kept").touch()
    done = ctdenoise("evaluate", scan[0], "--model", "nlm", "--dry-run", "--out", tmp_path)
    assert done.code == 2
    assert "exists already" in done.stderr
    assert not done.stdout
