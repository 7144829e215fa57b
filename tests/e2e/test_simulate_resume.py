"""A simulation that is killed, and goes on, by the real command line."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.commands import ctdenoise, ctdenoise_process, files_below, stopped

SETTINGS = (
    *("--dose", "0.5", "0.25", "--n0", "2e4", "--set", "slices_per_batch=4"),
    # A small detector: there are many blocks, and the tests are about what happens between them.
    *("--set", "scanner.distances=setting", "--set", "scanner.channels=96"),
    *("--set", "scanner.channel_pitch_mm=3", "--set", "scanner.views_per_turn=96"),
)
pytestmark = pytest.mark.slow

MARK = ".ctdenoise-partial-"


@pytest.fixture(scope="module")
def long_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough blocks of slices that there is time to kill the work on them."""
    out = tmp_path_factory.mktemp("resume") / "study"
    done = ctdenoise(
        "phantom", "water", "--out", out, "--set", "grid.size=128", "--set", "grid.slices=96"
    )
    assert done.code == 0, done.stderr
    return out


def finished_blocks(folder: Path) -> int:
    """Blocks that the journal of an unfinished run names."""
    journals = list(folder.glob(f"{MARK}*/.journal"))
    return len(journals[0].read_text().splitlines()) - 1 if journals else 0


def digests(folder: Path) -> dict[str, str]:
    """Content of every file but the records of the run itself."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in files_below(folder)
        if (folder / name).is_file() and name != "run.json"
    }


def simulate(study: Path, out: Path, *more: str):
    return ("simulate", study, "--out", out, "--seed", "4", *SETTINGS, *more)


@pytest.mark.parametrize("file_format", ["pair", "dicom"])
def test_a_killed_run_ends_as_if_it_never_was(long_study, tmp_path, monkeypatch, file_format):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    words = ("--format", file_format)
    out, whole = tmp_path / "out", tmp_path / "whole"
    killed = stopped(
        *simulate(long_study, out, *words),
        when=lambda: finished_blocks(tmp_path) >= 2,
        with_signal=signal.SIGKILL,
    )
    assert killed.code == -signal.SIGKILL
    assert not out.exists()
    assert 2 <= finished_blocks(tmp_path) < 24
    other = ctdenoise(*simulate(long_study, out, *words, "--set", "count_floor=2", "--resume"))
    assert other.code == 2
    assert "with other settings." in other.stderr
    if file_format == "dicom":
        syntax = ("--transfer-syntax", "rle")
        other = ctdenoise(*simulate(long_study, out, *words, *syntax, "--resume"))
        assert other.code == 2
        assert "with other settings of DICOM output." in other.stderr
    assert finished_blocks(tmp_path) >= 2
    # A run that was killed for want of memory must be able to go on with smaller batches.
    batches = () if file_format == "pair" else ("--set", "slices_per_batch=3")
    second = ctdenoise_process(*simulate(long_study, out, *words, *batches, "--resume"))
    assert second.code == 0, second.stderr
    assert "slices before" in second.stdout
    assert ctdenoise_process(*simulate(long_study, whole, *words, *batches)).code == 0
    assert digests(out) == digests(whole)
    assert not [name for name in files_below(tmp_path) if MARK in name or ".journal" in name]


def test_damage_after_the_kill_is_not_believed(long_study, tmp_path, monkeypatch):
    out, whole = tmp_path / "out", tmp_path / "whole"
    stopped(
        *simulate(long_study, out),
        when=lambda: finished_blocks(tmp_path) >= 3,
        with_signal=signal.SIGKILL,
    )
    (low,) = tmp_path.glob(f"{MARK}*/low_0.25.nii")
    with low.open("r+b") as file:
        file.seek(352 + 5 * 128 * 128 * 2)  # in the second block of four slices
        file.write(os.urandom(64))
    second = ctdenoise_process(*simulate(long_study, out, "--resume"))
    assert second.code == 0, second.stderr
    assert "4 slices before" in second.stdout
    assert ctdenoise_process(*simulate(long_study, whole)).code == 0
    assert digests(out) == digests(whole)


def test_without_resume_what_a_killed_run_left_is_removed(long_study, tmp_path):
    out = tmp_path / "out"
    stopped(
        *simulate(long_study, out),
        when=lambda: finished_blocks(tmp_path) >= 1,
        with_signal=signal.SIGKILL,
    )
    done = ctdenoise_process(*simulate(long_study, out))
    assert done.code == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
