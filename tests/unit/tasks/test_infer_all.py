"""`infer --all`: every series of many studies, one that fails apart from the others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import CheckpointError, OutputExistsError, StudyError, UsageError
from ctdenoise.inference import processes
from ctdenoise.inference.processes import gpus_for, prepare_process
from ctdenoise.io.read import read_volume
from ctdenoise.tasks import infer_all
from ctdenoise.tasks.infer_all import InferAllReport
from tests.dicom.builders import ct_series, marked_volume, series_files


@pytest.fixture
def studies(tmp_path) -> list[Path]:
    for number in (1, 2):
        volume = marked_volume(slices=3, seed=number)
        series_files(tmp_path / f"study-{number}", ct_series(volume, series=str(number)))
    return [tmp_path / "study-1", tmp_path / "study-2"]


def run(studies: list[Path], out: Path, **more: object) -> InferAllReport:
    words = {"model": "identity", "settings": InferSettings(), "workers": 1, **more}
    return infer_all.run(studies, out=out, **words)


def spoil(study: Path) -> None:
    """A slice whose pixels cannot be right, which shows when they are read."""

    def impossible(dataset, index):
        dataset.RescaleSlope = "60"

    series_files(study, ct_series(marked_volume(slices=3, seed=9), series="9", edit=impossible))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_series_gets_a_folder_of_its_own(studies, tmp_path, workers):
    report = run(studies, tmp_path / "out", workers=workers)
    assert [outcome.status for outcome in report.outcomes] == ["made", "made"]
    for study, outcome in zip(studies, report.outcomes, strict=True):
        found = read_volume(tmp_path / "out" / outcome.folder / "dicom")
        assert np.array_equal(found.hu, read_volume(study).hu)


def test_one_that_fails_does_not_stop_the_others(studies, tmp_path):
    spoil(tmp_path / "bad")
    report = run([tmp_path / "bad", *studies], tmp_path / "out")
    assert [outcome.status for outcome in report.outcomes] == ["failed", "made", "made"]
    assert "cannot be read right" in report.failed[0].reason
    rows = json.loads((tmp_path / "out" / "series.json").read_text())
    assert [row["status"] for row in rows] == ["failed", "made", "made"]


def test_what_was_done_before_is_kept(studies, tmp_path):
    first = run(studies[:1], tmp_path / "out")
    done = tmp_path / "out" / first.outcomes[0].folder / "run.json"
    before = done.stat().st_mtime_ns
    report = run(studies, tmp_path / "out")
    assert [outcome.status for outcome in report.outcomes] == ["kept", "made"]
    assert done.stat().st_mtime_ns == before


def test_what_was_done_with_other_settings_is_not_taken_for_this(studies, tmp_path):
    run(studies, tmp_path / "out")
    report = run(studies, tmp_path / "out", settings=InferSettings(strength=0.5))
    assert [outcome.status for outcome in report.outcomes] == ["failed", "failed"]
    assert "other settings" in report.failed[0].reason


def test_what_was_written_in_another_format_is_not_taken_for_this(studies, tmp_path):
    run(studies[:1], tmp_path / "out")
    report = run(studies[:1], tmp_path / "out", file_format="nifti")
    assert "another format" in report.failed[0].reason
    again = run(studies[:1], tmp_path / "out", file_format="dicom")
    assert [outcome.status for outcome in again.outcomes] == ["kept"]


def test_a_folder_that_holds_something_else_is_refused(studies, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        run(studies, tmp_path / "out")


def test_a_model_that_is_none_is_told_once(studies, tmp_path):
    with pytest.raises(CheckpointError):
        run(studies, tmp_path / "out", model=tmp_path / "no.safetensors")
    assert not (tmp_path / "out").exists()


def test_nothing_to_denoise_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError):
        run([tmp_path / "empty"], tmp_path / "out")


def test_no_worker_at_all_is_refused(studies, tmp_path):
    with pytest.raises(UsageError, match="0 workers"):
        run(studies, tmp_path / "out", workers=0)


class TestGpus:
    @pytest.fixture(autouse=True)
    def three(self, monkeypatch):
        monkeypatch.setattr(processes.torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(processes.torch.cuda, "device_count", lambda: 3)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def test_studies_are_spread_over_all_of_them(self, monkeypatch):
        monkeypatch.setattr(processes.torch, "set_num_threads", lambda _: None)
        seen = []
        for seat in range(4):
            prepare_process(1, gpus_for("auto"), seat)
            seen.append(processes.os.environ["CUDA_VISIBLE_DEVICES"])
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        assert seen == ["0", "1", "2", "0"]

    def test_over_those_that_are_visible(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
        assert gpus_for("cuda") == ["2", "5"]

    @pytest.mark.parametrize("device", ["cpu", "cuda:1"])
    def test_not_where_one_is_meant(self, device):
        assert gpus_for(device) == []
