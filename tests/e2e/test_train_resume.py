"""Training that is stopped or killed, and goes on, by the real command line."""

from __future__ import annotations

import csv
import hashlib
import signal
from pathlib import Path

import pytest

from tests.e2e.commands import ctdenoise, ctdenoise_process, stopped

pytestmark = pytest.mark.slow

SETTINGS = (
    "network.channels=4",
    "patches.size=32",
    "batch_size=2",
    "steps=20",
    "validation.every=5",
    "validation.slices=1",
    "validation.crop=32",
    "record_every=1",
    "checkpoint_every=5",
)
TIMINGS = ("patches_per_second", "seconds")


def _words(pair: Path, out: Path) -> list[str | Path]:
    changes = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["train", pair, "--out", out, "--seed", "5", *changes]


def _lines(out: Path) -> list[dict[str, str]]:
    path = out / "metrics.csv"
    if not path.is_file():
        return []
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    return [{key: row[key] for key in row if key not in TIMINGS} for row in rows]


def _result(out: Path) -> tuple[list[dict[str, str]], list[str]]:
    files = [out / "model.safetensors", *sorted((out / "last").glob("*.safetensors"))]
    return _lines(out), [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


@pytest.fixture(scope="module")
def whole(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "whole"
    done = ctdenoise_process(*_words(pair, out))
    assert done.code == 0, done.stderr
    return out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_stopped_in_the_middle_ends_as_if_it_never_was(
    pair, whole, tmp_path, number
):
    out = tmp_path / "run"
    first = stopped(*_words(pair, out), when=lambda: len(_lines(out)) >= 8, with_signal=number)
    assert first.code == (130 if number == signal.SIGINT else -signal.SIGKILL)
    done = len(_lines(out))
    assert 8 <= done < 20
    second = ctdenoise_process(*_words(pair, out), "--resume")
    assert second.code == 0, second.stderr
    assert _result(out) == _result(whole)
    assert len(_lines(out)) == 20


def test_other_settings_are_refused_on_resume_and_the_written_ones_accepted(pair, whole):
    before = _result(whole)
    other = ctdenoise_process(*_words(pair, whole), "--set", "batch_size=3", "--resume")
    assert other.code == 2
    assert "batch_size was 2 and is 3" in other.stderr
    same = ctdenoise(
        "train",
        pair,
        "--out",
        whole,
        "--seed",
        "5",
        "--config",
        whole / "settings.yaml",
        "--resume",
    )
    assert same.code == 0, same.stderr
    assert _result(whole) == before
