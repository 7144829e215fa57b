"""Many phantoms to train on, in folders."""

from __future__ import annotations

import json

import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.load import load_settings
from ctdenoise.config.sampling import SampleSettings
from ctdenoise.errors import OutputExistsError, UsageError
from ctdenoise.io.pairs import find_pairs, read_pair
from ctdenoise.io.read import read_volume
from ctdenoise.phantoms.sample import draw_sample
from ctdenoise.tasks import phantom_sample as task

TINY = SampleSettings(size=32, slices=2)


def test_any_number_of_workers_makes_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    contents = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        task.run(TINY, out=out, count=3, seed=5, workers=workers)
        paths = [path for path in sorted(out.rglob("*")) if path.is_file()]
        contents.append(
            {
                str(path.relative_to(out)): path.read_bytes()
                for path in paths
                if path.name != "run.json"  # it says how long it took
            }
        )
    assert len(contents[0]) == 3 + 3 * 6  # per sample: 2 slices, labels, truth, two settings
    assert contents[0] == contents[1]


def test_a_set_can_be_gone_on_with(tmp_path):
    whole = task.run(TINY, out=tmp_path / "whole", count=3, workers=1, file_format="nifti")
    rest = task.run(TINY, out=tmp_path / "rest", count=1, first=3, workers=1, file_format="nifti")
    assert rest.samples == whole.samples[2:]
    images = [tmp_path / name / "00003/study/volume.nii" for name in ("whole", "rest")]
    assert images[0].read_bytes() == images[1].read_bytes()


def test_each_sample_has_its_settings_and_its_row(tmp_path):
    report = task.run(TINY, out=tmp_path / "out", count=2, workers=1)
    rows = json.loads((report.out / "samples.json").read_text())
    assert tuple(rows) == report.samples
    for row in rows:
        folder = report.out / row["folder"]
        sample = draw_sample(TINY, row["seed"])
        assert load_settings(SimulateSettings, folder / "simulate.yaml") == sample.simulate
        truth = json.loads((folder / "study/truth.json").read_text())
        assert truth["phantom"] == row["phantom"]
        assert truth["shapes"] == []
        assert read_volume(folder / "study").shape == (2, 32, 32)


def test_pairs_can_be_trained_on(tmp_path):
    report = task.run(TINY, out=tmp_path / "out", count=1, workers=1, with_pairs=True)
    (files,) = find_pairs([report.out])
    pair = read_pair(files)
    assert pair.labels is not None
    assert pair.exposure.dose_fraction == pytest.approx(report.samples[0]["dose"])


def test_nothing_is_left_of_a_run_that_fails(tmp_path, monkeypatch):
    def broken(job: object) -> None:
        raise UsageError("no")

    monkeypatch.setattr(task, "_made", broken)
    with pytest.raises(UsageError):
        task.run(TINY, out=tmp_path / "out", count=1, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"count": 0}, {"first": 0}, {"workers": 0}])
def test_no_sample_is_refused(tmp_path, wrong):
    with pytest.raises(UsageError):
        task.run(TINY, out=tmp_path / "out", **{"count": 1, **wrong})


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        task.run(TINY, out=tmp_path, count=1)
