"""`infer --all` on the command line: exit codes, and options that do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.e2e.commands import ctdenoise


@pytest.fixture
def studies(tmp_path) -> tuple[Path, Path]:
    """One that can be denoised, and one whose pixels cannot be right."""

    def impossible(dataset, index):
        dataset.RescaleSlope = "60"

    good, bad = tmp_path / "good", tmp_path / "bad"
    series_files(good, ct_series(marked_volume(slices=2)))
    series_files(bad, ct_series(marked_volume(slices=2), series="2", edit=impossible))
    return good, bad


def test_some_that_fail_end_the_command_with_4_and_the_others_are_whole(studies, tmp_path):
    words = ("infer", *studies, "--model", "identity", "--out", tmp_path / "out", "--all")
    for _ in range(2):  # what is whole is kept the second time
        done = ctdenoise(*words)
        assert done.code == 4, done
        assert "1 of 2 series were not denoised" in done.stderr
        assert "Traceback" not in done.stderr
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert [(folder / "run.json").is_file() for folder in folders] == [True]


@pytest.mark.parametrize(
    "words",
    [
        ("--all", "--series", "1"),
        ("--all", "--dry-run"),
        ("--workers", "2"),
        ("--dry-run", "--workers", "2"),
    ],
)
def test_options_that_do_not_go_together_are_refused(studies, tmp_path, words):
    command = ("infer", studies[0], "--model", "identity", "--out", tmp_path / "out")
    done = ctdenoise(*command, *words)
    assert (done.code, "cannot be combined" in done.stderr) == (2, True), done
    assert not (tmp_path / "out").exists()
