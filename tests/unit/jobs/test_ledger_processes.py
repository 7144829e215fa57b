"""Several processes and threads may use one ledger, and may be killed while they do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("CTDENOISE_LEDGER_KILLS", "40"))

CLAIM_ALL = """
import sys
from pathlib import Path
from ctdenoise.jobs.ledger import Ledger
with Ledger.open(Path(sys.argv[1]), restore=False) as ledger:
    print("opened", flush=True)
    sys.stdin.readline()
    while job := ledger.claim():
        print(job.id, flush=True)
"""


def a_job(name):
    return Job(id=name, kind="serve", study="5" * 16)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_killed_at_any_moment_it_keeps_what_it_confirmed(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.unit.jobs.killed_writers",
            tmp_path / "state",
            str(KILLS),
            "1",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert f"{KILLS} kills" in done.stdout


def test_no_job_is_claimed_by_two_processes(tmp_path):
    names = {f"job {number}" for number in range(60)}
    with Ledger.open(tmp_path) as ledger:
        for name in names:
            ledger.add(a_job(name))
        dispatchers = [
            subprocess.Popen(
                [sys.executable, "-c", CLAIM_ALL, tmp_path],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for dispatcher in dispatchers:
            assert dispatcher.stdout.readline() == "opened\n"
        for dispatcher in dispatchers:
            dispatcher.stdin.write("go\n")
            dispatcher.stdin.flush()
        claimed = [
            line for one in dispatchers for line in one.communicate(timeout=120)[0].splitlines()
        ]
        assert sorted(claimed) == sorted(names)
        assert ledger.counts()["running"] == len(names)
        assert {job.tries for job in ledger.jobs()} == {1}


def test_threads_share_one_ledger(tmp_path):
    claimed, errors = [], []

    def dispatch(ledger):
        try:
            while job := ledger.claim():
                claimed.append(job.id)
                ledger.remember_delivered("archive", [job.id])
                ledger.move(job.id, "made")
                assert ledger.job(job.id).state == "made"
        except Exception as error:
            errors.append(error)
            raise

    with Ledger.open(tmp_path) as ledger:
        ledger._writing.execute("PRAGMA synchronous = OFF")
        for number in range(100):
            ledger.add(a_job(f"job {number}"))
        threads = [threading.Thread(target=dispatch, args=(ledger,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        assert errors == []
        assert len(claimed) == len(set(claimed)) == 100
        assert ledger.counts()["made"] == 100


def test_what_was_under_way_when_a_process_ended_is_led_back(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        for name in "abc":
            ledger.add(a_job(name))
        ledger.move(ledger.claim().id, "made")
        ledger.claim(state="made")
        ledger.claim()
    with Ledger.open(tmp_path) as again:
        back = {job.id: (job.state, job.tries, job.reason) for job in again.interrupted()}
        assert back == {"a": ("made", 1, "interrupted"), "b": ("ready", 1, "interrupted")}
        assert again.interrupted() == ()
        assert again.job("c").state == "ready"


def test_the_wal_file_is_taken_over_now_and_then(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        ledger._writing.execute("PRAGMA synchronous = OFF")
        for number in range(5000):  # each writes a page of 4096 bytes
            ledger.note("cursor", number)
        assert (tmp_path / "ledger.sqlite-wal").stat().st_size < 10_000_000


ADD_AND_CLOSE = """
import sys
from pathlib import Path
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
with Ledger.open(Path(sys.argv[1]), create=False, restore=False) as ledger:
    ledger.add(Job(id=sys.argv[2], kind="serve", study="5" * 16))
"""


def test_what_others_write_is_seen_whoever_else_of_this_process_looks_at_the_file(tmp_path):
    """A second reader in the process must not take the locks of the first away."""
    with Ledger.open(tmp_path) as ledger:
        for name in ("first", "second"):
            with Ledger.open(tmp_path, read_only=True):
                subprocess.run(
                    [sys.executable, "-c", ADD_AND_CLOSE, tmp_path, name], cwd=ROOT, check=True
                )
            ledger.backup()
            claimed = ledger.claim()
            assert claimed is not None
            assert claimed.id == name
    with Ledger.open(tmp_path, read_only=True) as ledger:
        assert ledger.counts()["running"] == 2
