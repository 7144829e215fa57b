"""A run that is stopped leaves nothing partial, and training goes on bit for bit."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest

from tests.e2e.commands import ctdenoise, files_below, stopped
from tests.e2e.conftest import TINY_TRAINING

STOPPED = 130


@pytest.fixture(scope="module")
def larger_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough slices that there is time to stop the work on them."""
    out = tmp_path_factory.mktemp("stop") / "study"
    done = ctdenoise(
        "phantom", "water", "--out", out, "--set", "grid.size=256", "--set", "grid.slices=64"
    )
    assert done.code == 0, done.stderr
    return out


def something_is_being_written(folder: Path):
    return lambda: any(folder.rglob(".ctdenoise-partial-*/**/*.*"))


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_inference_leaves_nothing(larger_study, tmp_path, with_signal):
    outcome = stopped(
        *("infer", larger_study, "--model", "identity", "--out", tmp_path / "deep" / "out"),
        when=something_is_being_written(tmp_path),
        with_signal=with_signal,
    )
    assert outcome.code == STOPPED, outcome
    assert "Traceback" not in outcome.stderr
    assert files_below(tmp_path) == []


def test_a_stopped_simulation_leaves_nothing(larger_study, tmp_path):
    outcome = stopped(
        *("simulate", larger_study, "--out", tmp_path / "out", "--format", "dicom"),
        when=something_is_being_written(tmp_path),
    )
    assert outcome.code == STOPPED, outcome
    assert files_below(tmp_path) == []


def without_timing(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: v for k, v in row.items() if "second" not in k and "per_s" not in k} for row in rows
    ]


def test_a_stopped_training_goes_on_to_the_same_bits(pair, tmp_path):
    training = (*TINY_TRAINING, "--set", "steps=150", "--set", "validation.every=50")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert ctdenoise("train", pair, "--out", whole, *training).code == 0
    metrics = parts / "metrics.csv"
    outcome = stopped(
        *("train", pair, "--out", parts, *training),
        when=lambda: metrics.is_file() and len(metrics.read_text().splitlines()) > 1,
    )
    assert outcome.code == STOPPED, outcome
    assert "--resume" in outcome.stdout + outcome.stderr
    assert not list(parts.rglob(".ctdenoise-partial-*"))
    resumed = ctdenoise("train", pair, "--out", parts, "--resume", *training)
    assert resumed.code == 0, resumed.stderr
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert without_timing(metrics) == without_timing(whole / "metrics.csv")
