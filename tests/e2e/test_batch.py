"""`ctdenoise batch` as it is typed: real studies, real commands, on every kind of executor."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.tasks import batch
from ctdenoise.tasks.batch_infer import infer_request
from ctdenoise.tasks.batch_sources import BatchSources
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.e2e.commands import ctdenoise as command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")

PLACES = (
    {"name": "in-process"},
    {"name": "processes", "workers": 2},
    {"name": "distributed", "address": "local:2"},
)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Three studies in folders that are named after a patient, and a folder without any image."""
    for number in (1, 2, 3):
        volume = marked_volume(slices=3, seed=number)
        files = ct_series(volume, series=str(number))
        series_files(tmp_path / "in" / f"Doe^Jane {number}", files)
    (tmp_path / "in" / "Doe^Jane empty").mkdir()
    (tmp_path / "in" / "Doe^Jane empty" / "Doe^Jane.txt").write_text("Doe^Jane")
    return tmp_path / "in"


def test_every_executor_gives_the_same_bytes(studies, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    new_job = batch._new_job
    monkeypatch.setattr(
        batch, "_new_job", lambda *words: replace(new_job(*words), created=1_790_000_000.0)
    )
    settings = InferSettings(device="cpu")
    found = []
    for number, place in enumerate(PLACES):
        own = BatchSettings.model_validate({"executor": {"place": place, "threads": 1}})
        out = tmp_path / f"out-{number}"
        sources = BatchSources(below=studies)
        request = infer_request(sources, "gaussian", settings, own, out=out, kind="same")
        report = batch.run(request)
        assert (report.made, report.failures) == (3, 1)
        files = sorted((out / "studies").glob("*/*/dicom/*"))
        found.append([path.read_bytes() for path in files])
    assert [len(files) for files in found] == [9, 9, 9]
    assert found[0] == found[1] == found[2]


def test_the_commands_work_one_after_the_other_and_are_told_in_words(studies, tmp_path):
    out = tmp_path / "out"
    words = ("batch", "infer", "--below", str(studies), "--model", "gaussian", "--out", str(out))
    first = command(*words)
    assert first.code == 4, first.stderr
    assert "1 study was not denoised" in first.stderr
    assert "holds no DICOM" in first.stderr
    again = command(*words)
    assert "Denoised: 0, 3 before" in again.stdout
    listing = command("jobs", "list", str(out))
    assert listing.code == 0, listing.stderr
    for text in (first.stdout, first.stderr, again.stdout, again.stderr, listing.stdout):
        assert "Jane" not in text
    for path in out.rglob("*"):
        assert "Jane" not in path.name
    with (out / "studies.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["made", "made", "made", "refused"]
    assert {row["slices"] for row in rows} == {"3", "0"}


def test_comparisons_of_a_table_become_a_cohort(studies, tmp_path):
    one, two, three = (f"in/Doe^Jane {number}" for number in (1, 2, 3))
    table = tmp_path / "pairs.csv"
    table.write_text(
        f"reference,test,name\n{one},{one},first\n{two},{two},second\n{three},x,third\n"
    )
    out = tmp_path / "out"
    words = ("--studies", str(table), "--out", str(out), "--set", "page=null")
    done = command("batch", "evaluate", *words)
    assert done.code == 4, done.stderr
    assert "study 3 (third): there is no such study" in done.stderr
    assert (out / "cohort" / "cohort.json").is_file()
    with (out / "studies.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["first", "second", "third"]
    assert [row["test 1: rmse"] for row in rows] == ["0.0", "0.0", ""]


def test_options_that_contradict_each_other_are_refused(studies, tmp_path):
    words = ("batch", "infer", "--model", "gaussian", "--out", str(tmp_path / "out"))
    for more, message in (
        ((), "no study is named"),
        (("--below", str(studies), "--workers", "2", "--cluster", "local:2"), "--workers is for"),
        (("--below", str(studies), "--gpu"), "--gpu chooses workers of a cluster"),
        (("--studies", str(tmp_path / "none.csv")), "the list of studies cannot be read"),
    ):
        done = command(*words, *more)
        assert done.code == 2, done.stderr
        assert message in done.stderr
