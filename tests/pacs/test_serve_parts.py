"""Parts of the server: what outlasts a full disk, clocks, and where a study goes."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from ctdenoise.errors import OutputError
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.tasks import serve_send, serve_shared, serve_work
from ctdenoise.tasks.serve_dispatch import verdict_on
from ctdenoise.tasks.serve_keep import CarefulClock
from ctdenoise.tasks.serve_outcomes import ServedSeries
from tests.pacs.sent_studies import make_study
from tests.pacs.serving import Destination, arrive, jobs, serve_once, until_done


def one(status, **changes):
    return ServedSeries(number=1, what="CT", slices=20, status=status, **changes)


@pytest.mark.parametrize(
    ("outcomes", "to", "reason"),
    [
        ([one("done", send_to=("here",)), one("skipped")], "made", ""),
        ([one("done"), one("refused", reason="why")], "done", ""),
        ([one("kept", send_to=("here",))], "made", ""),
        ([one("done"), one("failed", reason="why")], "made", ""),
        ([one("failed", reason="why")], "dead-letter", "series 1: why"),
        ([one("refused", reason="why"), one("skipped")], "refused", "series 1: why"),
        ([one("skipped", reason="a scout")], "refused", "no rule wants it: series 1: a scout"),
    ],
    ids=["sent", "kept-here", "made-before", "half-failed", "failed", "refused", "unwanted"],
)
def test_a_study_goes_where_its_series_lead(outcomes, to, reason):
    verdict = verdict_on(outcomes, {})
    assert (verdict.to, verdict.reason) == (to, reason)


def test_a_clock_that_is_set_ahead_hurries_nothing():
    clock = CarefulClock(now=1000.0, at=0.0)
    assert clock.advanced(1010.0, 10.0) == 1010.0
    assert clock.advanced(1e9, 20.0) == 1030.0  # ten seconds passed: at most twenty
    assert clock.advanced(1040.0, 30.0) == 1040.0
    assert clock.advanced(900.0, 40.0) == 900.0  # never ahead of the clock of the machine


def test_a_disk_that_is_full_for_a_while_loses_nothing(tmp_path, monkeypatch):
    study = make_study(tmp_path / "sent", "full", fates=("wanted",), slices=2, size=32)
    state, destination = tmp_path / "state", Destination()
    arrive(state, study.paths)
    monkeypatch.setattr(serve_send, "send", destination.send)
    monkeypatch.setattr(serve_shared, "PAUSE_S", 0.01)
    full = {"move": 4, "remember_delivered": 1, "add": 1}
    for name in full:
        monkeypatch.setattr(Ledger, name, failing(getattr(Ledger, name), name, full))
    until_done(state)
    (job,) = jobs(state)
    assert (job.state, set(full.values())) == ("done", {0})
    assert len(set(destination.uids)) == 2
    assert len(destination.uids) == 3  # the one whose confirmation could not be written down


def failing(step, name, left):
    """A step that finds no room so many times, then works."""

    def tried(*args, **kwargs):
        if left[name]:
            left[name] -= 1
            raise OutputError("the ledger could not be written: the disk is full.")
        return step(*args, **kwargs)

    return tried


def test_the_process_that_receives_and_sends_loads_nothing_that_computes():
    """What computes takes 500 MB, and lies in the workers."""
    heavy = "{'torch', 'monai', 'numba', 'skimage', 'matplotlib'}"
    asked = f"import sys, ctdenoise.tasks.serve; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_what_a_worker_warns_of_stands_in_the_log_of_the_server_with_its_job(
    tmp_path, monkeypatch, caplog
):
    infer_run = serve_work.infer.run

    def warns(*given, **more):
        logging.getLogger("ctdenoise.io").warning("the slices are odd")
        return infer_run(*given, **more)

    monkeypatch.setattr(serve_work.infer, "run", warns)
    monkeypatch.setattr(serve_work, "is_worker", lambda: True)
    monkeypatch.setattr(serve_send, "send", Destination().send)
    state = tmp_path / "state"
    arrive(state, make_study(tmp_path / "sent", "one", fates=("wanted",), size=32).paths)
    serve_once(state)
    (job,) = jobs(state)
    assert job.state == "done"
    said = [one.getMessage() for one in caplog.records if "odd" in one.getMessage()]
    assert said == [f"job {job.id}: the slices are odd"]
