"""Studies that were made to hurt end refused, with a reason; the others are worked on.

A server takes them all at once from a watched folder, in processes whose memory is limited.
CTDENOISE_TINY_FILES gives the number of files of the study that consists of very many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.pacs.inbox import study_key
from tests.conftest import ROOT
from tests.dicom.builders import as_bytes, series_files, uid
from tests.security.hostile import NOT_TAKEN, PREAMBLES, REFUSED, lay_traps, study

TINY_FILES = int(os.environ.get("CTDENOISE_TINY_FILES", "700"))
MOST_OF_A_STUDY = 150
DATA_MB = 6000  # address space for data, of the server and of each of its workers
HELD_MB = 1500
SECONDS = 240

_WATCHED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[2:], check=False)
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(done.returncode)
"""
"""Runs a program and writes down the largest of its processes (KB); nothing else was its child."""

_LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, ({data}, {data}))
sys.argv = ["ctdenoise", *sys.argv[1:]]
runpy.run_module("ctdenoise", run_name="__main__")
"""


@dataclass(frozen=True)
class Outcome:
    """What became of everything."""

    state: Path
    watched: Path
    code: int
    said: str
    seconds: float
    held_mb: float
    jobs: dict[str, Job]

    def of(self, name: str) -> Job | None:
        """The job of a study."""
        return self.jobs.get(study_key(uid("hostile study", name)))


def settings(watched: Path) -> dict[str, object]:
    return {
        "receiver": None,
        "folders": [{"path": str(watched), "poll_s": 0.1}],
        "inbox": {"free_mb": 0, "instance_mb": 64, "study_instances": MOST_OF_A_STUDY},
        "rules": [{"name": "all", "do": {"model": "identity"}}],
        "executor": {
            "place": {"name": "processes", "workers": 1},
            "limits": {"seconds": 60, "memory_mb": HELD_MB, "file_mb": 500},
            "threads": 1,
        },
        "work_again": {"tries": 2, "first_wait_s": 0, "jitter": 0},
        "http": {"enabled": False},
    }


def fill(watched: Path, outside: Path) -> None:
    for name, make in {**REFUSED, **NOT_TAKEN}.items():
        (watched / f"{name}.dcm").write_bytes(make())
    for name, preamble in PREAMBLES.items():
        for number, dataset in enumerate(study(name, slices=3)):
            (watched / f"{name} {number}").write_bytes(preamble + as_bytes(dataset)[128:])
    series_files(watched / "good", study("good", slices=4))
    series_files(outside, study("outside", slices=2))
    (tiny,) = study("tiny")
    del tiny.PixelData
    data = as_bytes(tiny)
    folder = watched / "tiny"
    folder.mkdir()
    digits = str(tiny.SOPInstanceUID)[-6:]
    for number in range(TINY_FILES):
        (folder / f"{number}").write_bytes(
            data.replace(digits.encode(), f"{number + 100_000}".encode())
        )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    place = tmp_path_factory.mktemp("hostile")
    watched, _state, outside = (place / name for name in ("watched", "state", "outside"))
    watched.mkdir()
    fill(watched, outside)
    with ExitStack() as opened:
        for one in lay_traps(watched, outside):
            opened.enter_context(one)
        return served(place)


def served(place: Path) -> Outcome:
    watched, state = place / "watched", place / "state"
    config = place / "serve.yaml"
    config.write_text(json.dumps(settings(watched)))
    began = time.monotonic()
    program = _LIMITED.format(data=DATA_MB * 10**6)
    words = ("serve", "--once", "--config", config, "--state", state)
    largest = place.with_name(f"{place.name}-largest")
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, largest, sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    seconds = time.monotonic() - began
    held = float(largest.read_text()) / 1000
    with closing(Ledger.open(state, read_only=True)) as ledger:
        jobs = {job.study: job for job in ledger.jobs()}
    return Outcome(state, watched, done.returncode, done.stdout + done.stderr, seconds, held, jobs)


def test_the_server_survives_in_bounded_memory_and_time(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.said
    assert "Unexpected" not in outcome.said
    assert outcome.held_mb < HELD_MB, outcome.held_mb


def test_a_good_study_among_them_is_made(outcome: Outcome) -> None:
    job = outcome.of("good")
    assert job is not None
    assert job.state == "done"
    assert [one["status"] for one in job.result["series"]] == ["done"]


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_hostile_study_ends_refused_with_a_reason_or_is_not_taken(
    outcome: Outcome, name: str
) -> None:
    file = REFUSED[name]
    words = {"deflate bomb": "deflate", "forged JPEG 2000": "jpeg2000", "forged JPEG-LS": "jpegls"}
    words |= {"forged RLE": "rle", "forged matrix": "matrix", "2 000 000 000 frames": "frames"}
    words |= {"nested sequences": "nested", "forged length": "length"}
    job = outcome.of(words[name])
    rejected = [path.name for path in (outcome.watched / "rejected").glob("*.txt")]
    if job is None:
        assert any(name in found for found in rejected), (file, rejected)
        return
    assert job.state == "refused", (job.state, job.reason)
    assert job.reason
    assert job.tries == 1


@pytest.mark.parametrize("name", list(NOT_TAKEN))
def test_what_is_no_instance_is_put_aside_with_a_reason(outcome: Outcome, name: str) -> None:
    reasons = list((outcome.watched / "rejected").glob(f"*{name}.dcm.txt"))
    assert len(reasons) == 1
    assert reasons[0].read_text().strip()


def test_nothing_was_written_anywhere_else(outcome: Outcome) -> None:
    place = outcome.state.parent
    names = {path.name for path in place.iterdir()}
    assert names == {"watched", "state", "outside", "serve.yaml"}
    assert not list(Path("/tmp").glob("escaped*"))  # noqa: S108 - where the studies lead
    assert sorted(path.name for path in (place / "outside").iterdir()) == ["0001.dcm", "0002.dcm"]


def test_links_and_pipes_are_neither_followed_nor_removed(outcome: Outcome) -> None:
    assert outcome.of("outside") is None
    for name in ("link.dcm", "linked study", "loop", "dangling.dcm", "pipe.dcm", "s.dcm"):
        assert os.path.lexists(outcome.watched / name)


def test_a_file_that_claims_a_terabyte_takes_none(outcome: Outcome) -> None:
    assert outcome.of("sparse") is None
    used = sum(path.stat().st_blocks * 512 for path in outcome.state.rglob("*") if path.is_file())
    assert used < 200 * 2**20


@pytest.mark.parametrize("name", list(PREAMBLES))
def test_what_a_file_begins_with_is_never_passed_on(outcome: Outcome, name: str) -> None:
    job = outcome.of(name)
    assert job is not None
    assert job.state == "done", job.reason
    files = [
        *(outcome.state / "inbox" / job.study).glob("*.dcm"),
        *(outcome.state / "results" / job.id).rglob("*.dcm"),
    ]
    assert len(files) == 6
    for path in files:
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"


def test_a_study_of_very_many_files_is_bounded(outcome: Outcome) -> None:
    job = outcome.of("tiny")
    assert job is not None
    assert job.state == "refused"
    assert len(job.payload["files"]) == MOST_OF_A_STUDY
    left = len(list((outcome.watched / "tiny").iterdir()))
    assert left == TINY_FILES - MOST_OF_A_STUDY
