"""A run that is stopped leaves nothing partial; for training see test_train_resume.py."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.commands import ctdenoise, files_below, stopped

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


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("file_format", ["pair", "dicom"])
def test_a_stopped_simulation_leaves_nothing(larger_study, tmp_path, file_format, with_signal):
    outcome = stopped(
        *("simulate", larger_study, "--out", tmp_path / "out", "--format", file_format),
        when=something_is_being_written(tmp_path),
        with_signal=with_signal,
    )
    assert outcome.code == STOPPED, outcome
    assert files_below(tmp_path) == []
