"""Labels, removed noise and a noise map by the real command line, from a phantom on."""

from __future__ import annotations

import json

import pydicom

from tests.e2e.commands import ctdenoise
from tests.e2e.conftest import TINY_TRAINING


def test_everything_beside_the_images_is_written_listed_and_told(study, tmp_path):
    done = ctdenoise(
        *("simulate", study, "--labels", study / "labels.nii", "--dose", "0.25"),
        *("--out", tmp_path / "pair"),
    )
    assert done.code == 0, done.stderr
    done = ctdenoise(
        *("train", tmp_path / "pair", "--config", "redcnn_seg", "--out", tmp_path / "model"),
        *TINY_TRAINING,
        *("--set", "network.head.classes=13", "--set", "data.labels=null"),
    )
    assert done.code == 0, done.stderr
    out = tmp_path / "out"
    done = ctdenoise(
        *("infer", study / "dicom", "--model", tmp_path / "model", "--out", out),
        *("--residual", "--noise-map", "ct"),
    )
    assert done.code == 0, done.stderr
    folders = ["segmentation", "residual", "noise_map"]
    told = " ".join(done.stdout.split())
    assert "beside the images segmentation, residual, noise_map" in told
    assert "noise map local standard deviation of what was removed" in told
    record = json.loads((out / "run.json").read_text())
    assert record["results"]["objects"] == folders
    assert len(record["results"]["label_names"]) == 12
    manifest = (out / "manifest.json").read_text()
    written = [path for name in folders for path in (out / name).iterdir()]
    assert len(written) == 1 + 6 + 6
    for path in written:
        assert pydicom.dcmread(path).SOPInstanceUID in manifest
