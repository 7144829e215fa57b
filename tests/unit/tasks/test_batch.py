"""`batch`: every study ends somewhere, whatever fails, and the same again goes on."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.errors import OutputExistsError, UsageError
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.tasks import batch
from ctdenoise.tasks.batch import BatchReport
from ctdenoise.tasks.batch_dispatch import BatchRequest
from ctdenoise.tasks.batch_sources import BatchSources
from tests.unit.tasks import batch_samples as samples

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")

DEADLINE_S = 120.0


def study(place: Path, says: str) -> Path:
    place.mkdir(parents=True)
    (place / "what.txt").write_text(says)
    return place


def request(tmp_path: Path, **changes: Any) -> BatchRequest:
    place = changes.pop("place", {"name": "in-process"})
    own = {"executor": {"place": place}, "retries": 1, "retry_after_s": 0.0}
    words: dict[str, Any] = {
        "kind": "simulate",
        "work": samples.copy_study,
        "sources": BatchSources(below=tmp_path / "in"),
        "out": tmp_path / "out",
        "settings": SimulateSettings(),
        "batch": BatchSettings.model_validate(own),
    }
    return BatchRequest(**{**words, **changes})


def run(tmp_path: Path, **changes: Any) -> BatchReport:
    return batch.run(request(tmp_path, **changes))


def table(out: Path) -> list[dict[str, str]]:
    with (out / "studies.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tries(tmp_path: Path, name: str) -> int:
    return (tmp_path / "in" / f"{name}.tries").stat().st_size


PLACES = [{"name": "in-process"}, {"name": "processes", "workers": 2}]


@pytest.mark.parametrize("place", PLACES, ids=["in-process", "processes"])
def test_every_study_ends_somewhere_and_the_table_says_where(tmp_path, place):
    for name, says in (("a-Doe", "fine"), ("b-Doe", "refuse"), ("c-Doe", "once then fine")):
        study(tmp_path / "in" / name, says)
    study(tmp_path / "in" / "d-Doe", "always")
    study(tmp_path / "in" / "e-Doe", "partly")
    report = run(tmp_path, place=place)
    rows = table(tmp_path / "out")
    assert [row["status"] for row in rows] == ["made", "refused", "made", "failed", "partly"]
    assert [row["tries"] for row in rows] == ["1", "1", "2", "2", "1"]
    assert [tries(tmp_path, name) for name in ("a-Doe", "b-Doe", "c-Doe", "d-Doe")] == [1, 1, 2, 2]
    assert (report.made, report.kept, report.failures) == (3, 0, 3)
    folders = sorted(path.name for path in (tmp_path / "out" / "studies").iterdir())
    assert folders == sorted(row["folder"] for row in rows if row["folder"])
    assert [name[:7] for name in folders] == ["000001-", "000003-", "000005-"]
    failures = sorted(path.name[:6] for path in (tmp_path / "out" / "failures").iterdir())
    assert failures == ["000002", "000004"]
    as_json = json.loads((tmp_path / "out" / "studies.json").read_text())
    assert [row["status"] for row in as_json] == [row["status"] for row in rows]


def test_nothing_but_the_ledger_names_a_study(tmp_path):
    for number, says in enumerate(("fine", "refuse", "partly")):
        study(tmp_path / "in" / f"Doe{number}", says)
    run(tmp_path)
    for path in (tmp_path / "out").rglob("*"):
        assert "Doe" not in path.name
        if path.is_file() and "ledger" not in path.name:
            text = path.read_text()
            assert "Doe" not in text.replace("Doe is in", "")
            assert str(tmp_path / "in") not in text
    assert "says no: Doe is in STUDY" in table(tmp_path / "out")[1]["reason"]


def test_the_same_again_keeps_what_is_done_and_tries_what_failed(tmp_path):
    study(tmp_path / "in" / "a", "fine")
    study(tmp_path / "in" / "b", "refuse")
    run(tmp_path)
    made = next((tmp_path / "out" / "studies").iterdir())
    before = (made / "said.txt").stat().st_mtime_ns
    (tmp_path / "in" / "b" / "what.txt").write_text("mended")
    study(tmp_path / "in" / "c", "new")
    report = run(tmp_path)
    assert (report.made, report.kept, report.failures) == (2, 1, 0)
    assert (made / "said.txt").stat().st_mtime_ns == before
    assert tries(tmp_path, "a") == 1
    assert not list((tmp_path / "out" / "failures").iterdir())


@pytest.mark.parametrize("change", ["file", "removed"])
def test_a_study_that_was_changed_or_whose_result_is_gone_is_done_again(tmp_path, change):
    study(tmp_path / "in" / "a", "fine")
    study(tmp_path / "in" / "b", "fine")
    run(tmp_path)
    (folder,) = (tmp_path / "out" / "studies").glob("000001*")
    if change == "file":
        (tmp_path / "in" / "a" / "what.txt").write_text("better")
    else:
        shutil.rmtree(folder)
    report = run(tmp_path)
    assert (report.made, report.kept) == (1, 1)
    assert (tries(tmp_path, "a"), tries(tmp_path, "b")) == (2, 1)
    said = (folder / "said.txt").read_text()
    assert said.startswith("better" if change == "file" else "fine")


def test_a_study_that_is_gone_keeps_what_was_made_of_it(tmp_path):
    study(tmp_path / "in" / "a", "fine")
    sources = BatchSources([tmp_path / "in" / "a"])
    run(tmp_path, sources=sources)
    shutil.rmtree(tmp_path / "in" / "a")
    report = run(tmp_path, sources=sources)
    assert (report.made, report.kept, report.failures) == (0, 1, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 3}, "another --seed"),
        ({"model_digest": "x"}, "another model"),
        ({"settings": SimulateSettings(dose=(0.5, 0.25))}, "other settings"),
        ({"kind": "infer", "file_format": "dicom"}, "another command and another --format"),
    ],
)
def test_results_of_different_requests_are_never_mixed(tmp_path, change, words):
    study(tmp_path / "in" / "a", "fine")
    run(tmp_path)
    with pytest.raises(OutputExistsError, match=f"this folder was made with {words}"):
        run(tmp_path, **change)


def test_a_folder_of_something_else_is_refused(tmp_path):
    study(tmp_path / "in" / "a", "fine")
    study(tmp_path / "out", "mine")
    with pytest.raises(OutputExistsError, match="no batch made it"):
        run(tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["what.txt"]


def test_a_killed_process_loses_one_study_which_is_tried_again(tmp_path):
    study(tmp_path / "in" / "a", "die-once then fine")
    study(tmp_path / "in" / "b", "die")
    study(tmp_path / "in" / "c", "fine")
    report = run(tmp_path, place={"name": "processes", "workers": 1})
    rows = table(tmp_path / "out")
    assert [row["status"] for row in rows] == ["made", "failed", "made"]
    assert rows[1]["reason"] == "its process was ended by SIGKILL; is there enough memory?"
    assert (tries(tmp_path, "a"), tries(tmp_path, "b")) == (2, 2)
    assert report.made == 2
    assert not list((tmp_path / "out" / "studies").glob(".*"))


def test_the_study_of_a_killed_worker_of_a_cluster_is_done_again_and_no_other_twice(tmp_path):
    pytest.importorskip("distributed")
    for name, says in (("a", "fine"), ("b", "kill-worker then fine"), ("c", "fine"), ("d", "fine")):
        study(tmp_path / "in" / name, says)
    report = run(tmp_path, place={"name": "distributed", "address": "local:2"})
    rows = table(tmp_path / "out")
    assert [row["status"] for row in rows] == ["made"] * 4
    assert [tries(tmp_path, name) for name in "abcd"] == [1, 2, 1, 1]
    assert [row["tries"] for row in rows] == ["1"] * 4  # Dask itself began it again
    assert (report.made, report.failures) == (4, 0)
    assert not list((tmp_path / "out" / "studies").glob(".*"))


def test_what_is_made_is_dated_by_the_job_whatever_the_clock_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    study(tmp_path / "in" / "a", "fine")
    run(tmp_path)
    (said,) = (tmp_path / "out" / "studies").glob("*/said.txt")
    assert said.read_text() == "fine 2001-09-09 01:46:40+00:00"


PROGRAM = """
import sys
from pathlib import Path
from ctdenoise.tasks import batch
from tests.unit.tasks.test_batch import request

name = sys.argv[2]
place = {"name": name} if name == "in-process" else {"name": name, "workers": 2}
batch.run(request(Path(sys.argv[1]), place=place))
"""


@pytest.mark.parametrize("place", PLACES, ids=["in-process", "processes"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_coordinator_that_is_stopped_leaves_what_the_same_command_goes_on_with(
    tmp_path, place, number
):
    study(tmp_path / "in" / "a", "fine")
    study(tmp_path / "in" / "b", "wait then fine")
    study(tmp_path / "in" / "c", "fine")
    root = Path(__file__).parents[3]
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), place["name"]]
    with subprocess.Popen(words, cwd=root, stderr=subprocess.DEVNULL) as process:
        wait_for(tmp_path / "in" / "b.tries")
        wait_for(tmp_path / "out" / "studies", "/000001-*/study.json")
        with pytest.raises(UsageError, match="another batch works in this folder"):
            run(tmp_path, place=place)
        os.kill(process.pid, number)
    if number == signal.SIGINT:
        assert [row["status"] for row in table(tmp_path / "out")].count("waiting") >= 1
    run(tmp_path, place=place)
    assert [row["status"] for row in table(tmp_path / "out")] == ["made"] * 3
    assert (tries(tmp_path, "a"), tries(tmp_path, "b")) == (1, 2)
    assert not list((tmp_path / "out" / "studies").glob(".*"))


def wait_for(path: Path, pattern: str = "") -> None:
    """Wait for a file that is not empty; with a pattern for one below."""
    end = time.monotonic() + DEADLINE_S
    while not any(one.stat().st_size for one in path.parent.glob(f"{path.name}{pattern}")):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_study_that_was_made_just_before_the_coordinator_was_killed_is_not_made_twice(tmp_path):
    study(tmp_path / "in" / "a", "fine")
    run(tmp_path)
    with Ledger.open(tmp_path / "out") as ledger:
        (job,) = ledger.jobs()
        ledger.retry(job.id)  # as if its end had never been written down
        ledger.claim()
    run(tmp_path)
    assert tries(tmp_path, "a") == 1
    assert table(tmp_path / "out")[0]["status"] == "made"


def test_many_tiny_studies_are_scheduled_in_seconds(tmp_path):
    count = int(os.environ.get("CTDENOISE_BATCH_STUDIES", "300"))
    (tmp_path / "list.txt").write_text("".join(f"/none/{n}\n" for n in range(count)))
    sources = BatchSources(table=tmp_path / "list.txt")
    begun = time.perf_counter()
    report = run(tmp_path, sources=sources, work=samples.nothing, place=PLACES[1])
    assert report.made == count
    assert time.perf_counter() - begun < 30 + count / 50


def test_a_study_that_is_named_twice_and_failed_does_not_stop_the_next_run(tmp_path):
    study(tmp_path / "in" / "bad", "refuse")
    study(tmp_path / "in" / "good", "well")
    twice = BatchSources(studies=[tmp_path / "in" / "bad"], below=tmp_path / "in")
    first, again = run(tmp_path, sources=twice), run(tmp_path, sources=twice)
    assert (first.made, first.failures) == (1, 1)
    assert (again.made, again.kept, again.failures) == (0, 1, 1)


def test_a_link_to_nothing_among_its_files_fails_no_study(tmp_path):
    (study(tmp_path / "in" / "one", "well") / "gone.dcm").symlink_to(tmp_path / "nothing")
    assert run(tmp_path).made == 1
