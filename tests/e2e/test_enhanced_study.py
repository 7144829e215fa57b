"""A study of multi-frame objects through the real command line: simulated, killed, denoised."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.io.manifest import manifest_problems
from ctdenoise.io.read import read_volume
from tests.builders import water_disc
from tests.dicom.multi_frames import multi_frame_ct, object_file
from tests.e2e.commands import ctdenoise, ctdenoise_process, stopped
from tests.e2e.test_simulate_resume import digests, finished_blocks

SCANNER = (
    *("--set", "scanner.distances=setting", "--set", "scanner.channels=96"),
    *("--set", "scanner.channel_pitch_mm=3", "--set", "scanner.views_per_turn=96"),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two objects of one series whose slices alternate."""
    folder = tmp_path_factory.mktemp("enhanced") / "study"
    volume = water_disc(slices=48, size=96)
    for number in (0, 1):
        dataset = multi_frame_ct(volume, name=str(number), order=range(number, 48, 2))
        object_file(folder, dataset, name=f"object{number}")
    return folder


def test_an_identical_copy_comes_out_of_infer(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = ctdenoise(
        *("infer", study, "--model", "identity", "--out", out),
        *("--set", "dicom.transfer_syntax=jpeg-ls"),
    )
    assert done.code == 0, done.stderr
    assert [path.name for path in sorted((out / "dicom").iterdir())] == ["00001.dcm", "00002.dcm"]
    assert np.array_equal(read_volume(out / "dicom").hu, read_volume(study).hu)
    assert not manifest_problems(out)
    (series,) = json.loads((out / "manifest.json").read_text())["series"]
    assert [len(one["sources"]) for one in series["instances"]] == [24, 24]
    assert [source["frame"] for source in series["instances"][1]["sources"]] == [*range(1, 25)]


@pytest.mark.slow
def test_a_killed_simulation_ends_as_if_it_never_was(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def simulate(out: Path, *more: str) -> tuple[str | Path, ...]:
        return (
            *("simulate", study, "--out", out, "--format", "dicom", "--dose", "0.5", "0.25"),
            *("--n0", "2e4", "--seed", "4", "--set", "slices_per_batch=4", *SCANNER),
            *more,
        )

    out, whole = tmp_path / "out", tmp_path / "whole"
    killed = stopped(
        *simulate(out), when=lambda: finished_blocks(tmp_path) >= 2, with_signal=signal.SIGKILL
    )
    assert killed.code == -signal.SIGKILL
    second = ctdenoise_process(*simulate(out, "--resume"))
    assert second.code == 0, second.stderr
    assert "slices before" in second.stdout
    assert ctdenoise_process(*simulate(whole)).code == 0
    assert digests(out) == digests(whole)
    low = pydicom.dcmread(out / "dose_0.25" / "00002.dcm", stop_before_pixels=True)
    assert low.NumberOfFrames == 24
    assert low.SyntheticData == "YES"
    assert low.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "ADDITION"]
    assert not manifest_problems(out)
