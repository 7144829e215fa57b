"""Every series of many studies, by the real command line."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.commands import ctdenoise, ctdenoise_process, files_below, stopped

SMALL = (
    *("--n0", "2e4", "--set", "slices_per_batch=4"),
    *("--set", "scanner.distances=setting", "--set", "scanner.channels=96"),
    *("--set", "scanner.channel_pitch_mm=3", "--set", "scanner.views_per_turn=96"),
)


pytestmark = pytest.mark.slow


def phantom(out: Path, diameter_mm: int, slices: int = 4) -> Path:
    made = ctdenoise(
        *("phantom", "water", "--out", out, "--set", f"phantom.diameter_mm={diameter_mm}"),
        *("--set", "grid.size=64", "--set", f"grid.slices={slices}"),
    )
    assert made.code == 0, made.stderr
    return out / "dicom"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with two good series and a truncated one, and a study of one series."""
    root = tmp_path_factory.mktemp("studies")
    folder = root / "folder"
    for diameter in (150, 160, 170):
        shutil.copytree(phantom(root / str(diameter), diameter), folder / str(diameter))
    victim = sorted((folder / "160").iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:3000])
    return folder, phantom(root / "single", 180)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "series.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def images(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in files_below(out) if name.endswith(".nii")}


def test_every_good_series_is_made_and_a_bad_one_is_told(studies, tmp_path):
    out, other = tmp_path / "two", tmp_path / "one"
    done = ctdenoise_process("simulate", *studies, "--all", "--out", out, "--workers", "2", *SMALL)
    assert done.code == 4, done.stderr
    assert "1 of 4 series were not simulated" in done.stderr
    assert "Traceback" not in done.stderr
    rows = rows_of(out)
    assert sorted(row["status"] for row in rows) == ["failed", "made", "made", "made"]
    assert [bool(row["reason"]) for row in rows] == [row["status"] == "failed" for row in rows]
    assert json.loads((out / "series.json").read_text())[3]["study"] == 2
    folders = [row["folder"] for row in rows if row["folder"]]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == sorted(folders)
    for folder in folders:
        assert {"full.nii", "low_0.25.nii", "pair.json", "run.json"} <= {
            path.name for path in (out / folder).iterdir()
        }
    # The same voxels from one process as from two.
    again = ctdenoise("simulate", *studies, "--all", "--out", other, "--workers", "1", *SMALL)
    assert again.code == 4
    assert images(out) == images(other)
    # What is finished is kept; what is missing is made.
    shutil.rmtree(other / folders[0])
    resumed = ctdenoise(
        *("simulate", *studies, "--all", "--out", other, "--workers", "1", "--resume", *SMALL)
    )
    assert resumed.code == 4
    assert sorted(row["status"] for row in rows_of(other)) == ["failed", "kept", "kept", "made"]
    assert images(out) == images(other)
    changed = ctdenoise(
        *("simulate", studies[1], "--all", "--out", other, "--workers", "1", "--resume", *SMALL),
        *("--dose", "0.5"),
    )
    assert changed.code == 4
    assert "other settings" in changed.stderr


def test_stopped_work_on_many_studies_keeps_only_what_is_whole(tmp_path):
    study = phantom(tmp_path / "study", 170, slices=200)
    twin = phantom(tmp_path / "twin", 160, slices=200)
    out = tmp_path / "out"
    outcome = stopped(
        *("simulate", study, twin, "--all", "--out", out, "--workers", "2", *SMALL),
        when=lambda: any(out.glob(".ctdenoise-partial-*/full.nii")),
        with_signal=signal.SIGTERM,
    )
    assert outcome.code == 130, outcome
    assert "Traceback" not in outcome.stderr
    assert [name for name in files_below(out) if "partial" in name] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--all", "--series", "1"), "cannot be combined"),
        (("--workers", "2"), "cannot be combined"),
        (("--all", "--workers", "0"), "at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(studies, tmp_path, words, told):
    outcome = ctdenoise("simulate", studies[1], "--out", tmp_path / "out", *words)
    assert outcome.code == 2
    assert told in outcome.stderr
    assert not (tmp_path / "out").exists()
