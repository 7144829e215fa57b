"""Bad input gets one clear message and the promised exit code, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.e2e.commands import Outcome, ctdenoise, files_below


def assert_refused(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome
    assert "Traceback" not in outcome.stderr
    assert outcome.stderr.count("Error") == 1, outcome.stderr
    for word in words:
        assert word in outcome.stderr, outcome.stderr


def commands_that_read(study: Path, out: Path, model: Path | str = "identity"):
    return {
        "simulate": ("simulate", study, "--out", out),
        "infer": ("infer", study, "--model", model, "--out", out),
        "evaluate": ("evaluate", study, study, "--out", out),
        "train": ("train", study, "--out", out),
    }


@pytest.mark.parametrize("command", ["simulate", "infer", "evaluate", "train"])
def test_an_empty_folder_is_refused(tmp_path, command):
    (tmp_path / "empty").mkdir()
    words = commands_that_read(tmp_path / "empty", tmp_path / "out")[command]
    assert_refused(ctdenoise(*words), 3, "empty")
    assert files_below(tmp_path) == ["empty"]


@pytest.mark.parametrize("command", ["simulate", "infer"])
def test_a_folder_of_text_files_is_refused(tmp_path, command):
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text("not an image\n")
    words = commands_that_read(folder, tmp_path / "out")[command]
    assert_refused(ctdenoise(*words), 3)
    assert not (tmp_path / "out").exists()


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    outcome = ctdenoise("infer", tmp_path / "no", "--model", "identity", "--out", tmp_path / "out")
    assert_refused(outcome, 3, "no")


@pytest.fixture
def damaged(study: Path, tmp_path: Path) -> Path:
    """The study with one slice cut off in the middle of its pixels."""
    folder = tmp_path / "damaged"
    shutil.copytree(study / "dicom", folder)
    victim = sorted(folder.iterdir())[2]
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    return folder


@pytest.mark.parametrize("command", ["simulate", "infer"])
def test_a_truncated_slice_is_named_and_never_dropped(damaged, tmp_path, command):
    words = commands_that_read(damaged, tmp_path / "out")[command]
    victim = sorted(damaged.iterdir())[2].name
    assert_refused(ctdenoise(*words), 3, victim)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def two_series(study: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "two"
    second = tmp_path / "other"
    made = ctdenoise(
        "phantom", "water", "--out", second, "--set", "grid.size=64", "--set", "grid.slices=3"
    )
    assert made.code == 0, made.stderr
    shutil.copytree(study / "dicom", folder / "a")
    shutil.copytree(second / "dicom", folder / "b")
    return folder


def test_two_series_are_listed_and_one_can_be_chosen(two_series, tmp_path):
    refused = ctdenoise("infer", two_series, "--model", "identity", "--out", tmp_path / "out")
    assert_refused(refused, 2, "--series")
    assert not (tmp_path / "out").exists()
    sizes = set()
    for number in ("1", "2"):
        out = tmp_path / f"out{number}"
        done = ctdenoise(
            "infer", two_series, "--series", number, "--model", "identity", "--out", out
        )
        assert done.code == 0, done.stderr
        sizes.add(len(list((out / "dicom").glob("*.dcm"))))
    assert sizes == {3, 6}


@pytest.mark.parametrize("command", ["simulate", "infer", "evaluate", "train", "phantom"])
def test_an_output_folder_that_exists_is_refused_and_kept(study, pair, tmp_path, command):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    words = commands_that_read(study, out) | {
        "phantom": ("phantom", "water", "--out", out),
        "train": ("train", pair, "--out", out),
    }
    assert_refused(ctdenoise(*words[command]), 2, "exists already")
    assert files_below(out) == ["mine.txt"]


@pytest.mark.parametrize("kind", ["text", "pickle", "settings", "missing", "foreign"])
def test_a_checkpoint_of_another_kind_is_refused(study, pair, tmp_path, kind):
    path = tmp_path / "model.safetensors"
    match kind:
        case "text":
            path.write_text("weights\n")
        case "pickle":
            path.write_bytes(
                b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s."
            )
        case "settings":
            path = pair / "settings.yaml"
        case "foreign":
            save_file({"layer.weight": np.zeros((2, 2), np.float32)}, path)
        case "missing":
            path = tmp_path / "nothing.safetensors"
    outcome = ctdenoise("infer", study, "--model", path, "--out", tmp_path / "out")
    assert outcome.code in (2, 3)
    assert_refused(outcome, outcome.code, path.name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("simulate", "STUDY", "--out", "OUT", "--dose", "25"), "dose"),
        (("simulate", "STUDY", "--out", "OUT", "--set", "doze=0.5"), "did you mean `dose`"),
        (("train", "PAIR", "--out", "OUT", "--config", "redcn"), "Did you mean redcnn?"),
        (("infer", "STUDY", "--out", "OUT", "--model", "identity", "--strength", "2"), "strength"),
        (("train", "PAIR", "--out", "OUT", "--set", "steps=0"), "steps"),
        (("train", "--out", "OUT"), "nothing to train on"),
    ],
)
def test_impossible_settings_are_refused_before_any_work(study, pair, tmp_path, words, expected):
    places = {"STUDY": study, "PAIR": pair, "OUT": tmp_path / "out"}
    outcome = ctdenoise(*(places.get(word, word) for word in words))
    assert_refused(outcome, 2, expected)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 300 kB; the test is skipped where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("command", ["simulate", "infer", "evaluate", "train", "phantom"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(study, pair, small_disk, command):
    # 90 kB are left: enough to begin, too little to end.
    (small_disk / "ballast").write_bytes(bytes(210_000))
    out = small_disk / "out"
    words = commands_that_read(study, out) | {
        "phantom": ("phantom", "torso", "--out", out, "--set", "grid.size=128"),
        "train": ("train", pair, "--out", out, "--set", "network.channels=16", "--set", "steps=2"),
    }
    assert_refused(ctdenoise(*words[command]), 3, "disk is full")
    assert files_below(small_disk) == ["ballast"]


def test_a_path_that_does_not_exist_is_no_series_to_check(tmp_path):
    outcome = ctdenoise("check", tmp_path / "absent")
    assert_refused(outcome, 3, "no such file or folder")


def test_an_output_below_a_file_is_refused_before_any_work(study, tmp_path):
    (tmp_path / "file").write_text("x")
    outcome = ctdenoise("infer", study, "--model", "identity", "--out", tmp_path / "file" / "out")
    assert outcome.code not in {0, 1}
    assert "a file lies where a folder is to be made" in outcome.stderr
    assert "Denoising" not in outcome.stderr
