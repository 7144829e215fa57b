"""The whole chain by the real command line, on a phantom and on real CT."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.e2e.commands import ctdenoise, ctdenoise_process
from tests.e2e.conftest import TINY_TRAINING


def pixels(folder: Path) -> dict[float, np.ndarray]:
    """Stored values of a series by slice position."""
    datasets = [pydicom.dcmread(path) for path in folder.rglob("*.dcm")]
    return {float(ds.ImagePositionPatient[2]): ds.pixel_array for ds in datasets}


def figures(folder: Path) -> dict[str, dict[str, float]]:
    record = json.loads((folder / "evaluation.json").read_text())
    return {t["name"]: {m["key"]: m["value"] for m in t["metrics"]} for t in record["tests"]}


def test_identity_gives_the_same_pixels_under_a_new_identity(study, tmp_path):
    done = ctdenoise("infer", study, "--model", "identity", "--out", tmp_path / "out")
    assert done.code == 0, done.stderr
    before, after = pixels(study), pixels(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[z], after[z]) for z in before)
    uids = {pydicom.dcmread(p).SOPInstanceUID for p in study.rglob("*.dcm")}
    assert uids.isdisjoint(pydicom.dcmread(p).SOPInstanceUID for p in tmp_path.rglob("*.dcm"))


def test_strength_zero_gives_the_same_pixels(study, model, tmp_path):
    done = ctdenoise("infer", study, "--model", model, "--strength", "0", "--out", tmp_path / "out")
    assert done.code == 0, done.stderr
    before, after = pixels(study), pixels(tmp_path / "out")
    assert all(np.array_equal(before[z], after[z]) for z in before)


def test_a_lower_dose_is_noisier_and_evaluate_says_so(study, tmp_path):
    done = ctdenoise(
        *("simulate", study, "--out", tmp_path / "low", "--format", "dicom"),
        *("--dose", "0.5", "0.125", "--set", "source_noise=none"),
    )
    assert done.code == 0, done.stderr
    half, eighth = tmp_path / "low" / "dose_0.5", tmp_path / "low" / "dose_0.125"
    judged = ctdenoise(
        *("evaluate", study, half, eighth, "--out", tmp_path / "page"),
        *("--names", "half", "eighth"),
    )
    assert judged.code == 0, judged.stderr
    rmse = {name: values["rmse"] for name, values in figures(tmp_path / "page").items()}
    # A quarter of the dose: twice the noise, a little more where electronic noise counts.
    assert rmse["eighth"] / rmse["half"] == pytest.approx(2.0, rel=0.1)
    assert (tmp_path / "page" / "index.html").stat().st_size > 10_000


def test_a_segmentation_head_trains_on_real_masks_and_still_denoises(ctdata, tmp_path):
    for patient in ("STS_003", "STS_008"):
        source = ctdata / "masks" / "tumours" / patient
        done = ctdenoise(
            *("simulate", source / "CT_image.nii.gz", "--labels", source / "CT_mask.nii.gz"),
            *("--out", tmp_path / "pairs" / patient),
        )
        assert done.code == 0, done.stderr
    done = ctdenoise(
        *("train", tmp_path / "pairs", "--config", "redcnn_seg", "--out", tmp_path / "model"),
        *TINY_TRAINING,
        *("--set", "network.head.classes=2", "--set", "data.labels=null"),
        *("--set", "data.class_names=null"),
    )
    assert done.code == 0, done.stderr
    rows = (tmp_path / "model" / "metrics.csv").read_text().splitlines()
    columns = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    # The sum of 1 - overlap over two classes lies between 0 and 2.
    assert 0 < float(columns["loss_dice"]) <= 2
    source = ctdata / "masks" / "tumours" / "STS_012" / "CT_image.nii.gz"
    done = ctdenoise("infer", source, "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert done.code == 0, done.stderr
    assert (tmp_path / "out" / "image.nii.gz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["siemens_chest", "ge_abdomen", "philips_chest"])
def test_the_four_commands_work_on_real_ct(ctdata, tmp_path, name):
    study, low, pair = ctdata / "series" / name, tmp_path / "low", tmp_path / "pair"
    model, denoised, page = tmp_path / "model", tmp_path / "denoised", tmp_path / "page"
    for words in (
        ("simulate", study, "--dose", "0.25", "--out", pair),
        ("simulate", study, "--dose", "0.25", "--format", "dicom", "--out", low),
        ("train", pair, "--out", model, *TINY_TRAINING),
        ("infer", low, "--model", model, "--out", denoised),
        ("evaluate", study, low, denoised, "--names", "low", "denoised", "--out", page),
    ):
        done = ctdenoise_process(*words)
        assert done.code == 0, done.stderr
    numbers = figures(page)
    assert numbers["low"]["rmse"] > 5
    assert numbers["denoised"]["rmse"] > 0
    assert len(list(denoised.rglob("*.dcm"))) == len(list(study.rglob("*.dcm")))
