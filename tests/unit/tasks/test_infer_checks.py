"""`infer` says what its checks found, records it, and stops where it is asked to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from ctdenoise.cli.checks_text import show_checks
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import OutputError
from ctdenoise.io.nifti import write_nifti
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.tasks import infer
from tests.builders import water_disc


@pytest.fixture
def study(tmp_path):
    return write_nifti(water_disc(slices=3, size=64, noise_hu=20.0), tmp_path / "study.nii")


@pytest.fixture
def drifting(tmp_path):
    """A network that moves every value by a fifteenth of its range, 41 HU or more."""
    settings = RedCnnSettings(channels=4)
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    weights["tconv5.bias"] += 0.01
    record = {"trained_on": {"pixel_spacing_mm": [0.5, 0.9], "noise_hu": [5.0, 50.0]}}
    checkpoint = Checkpoint(settings, weights, HuRange(), training=record)
    return save_checkpoint(tmp_path / "drifting.safetensors", checkpoint)


def settings(on_error):
    plain = InferSettings()
    return plain.replaced(checks=plain.checks.replaced(on_error=on_error))


def test_the_record_and_the_report_hold_what_was_found(study, drifting, tmp_path):
    report = infer.run(study, model=drifting, settings=settings("warn"), out=tmp_path / "out")
    assert report.checks is not None
    codes = {finding.code for finding in report.checks.findings}
    assert {"hu-drift", "outside-training"} <= codes
    record = json.loads((tmp_path / "out" / "run.json").read_text())["results"]["checks"]
    assert record["passed"] is False
    assert {finding["code"] for finding in record["findings"]} == codes
    assert record["figures"]["scan"]["pixel_spacing_mm"] == [2.0, 2.0]
    assert record["figures"]["trained_on"]["noise_hu"] == [5.0, 50.0]


def test_nothing_appears_where_an_error_is_to_stop(study, drifting, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="not fit for use"):
        infer.run(study, model=drifting, settings=settings("stop"), out=tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_the_identity_passes_where_errors_stop(study, tmp_path):
    report = infer.run(study, model="identity", settings=settings("stop"), out=tmp_path / "out")
    assert report.checks is not None
    assert report.checks.passed


def test_the_terminal_shows_a_line_for_each_finding(study, drifting, tmp_path, capsys):
    report = infer.run(study, model=drifting, settings=settings("warn"), out=tmp_path / "out")
    assert report.checks is not None
    show_checks(report.checks)
    show_checks(replace(report.checks, findings=()))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("  error") for line in lines) == len(report.checks.of("error"))
    assert lines[0].startswith("Checks: ")
    assert lines[-1] == "Checks: passed, 3 slices looked at"
