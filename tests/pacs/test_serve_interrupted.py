"""A server that ends between any two steps: the next one goes on, nothing is lost, nothing twice.

The server is stopped by an error that nothing catches, before and after every write to the ledger
and the audit trail, and during every instance that is sent. What a real kill leaves is the same:
files and what SQLite has committed.
"""

from __future__ import annotations

import shutil
from contextlib import suppress

import pytest

from ctdenoise.io.manifest import manifest_problems
from ctdenoise.jobs.audit import Audit
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.pacs.arrivals import Arrivals
from ctdenoise.tasks import serve_send
from tests.pacs.sent_studies import make_study
from tests.pacs.serving import Destination, arrive, jobs, serve_once, statuses

STEPS = (
    (Ledger, "add"),
    (Ledger, "move"),
    (Ledger, "claim"),
    (Ledger, "remember_instances"),
    (Ledger, "remember_delivered"),
    (Audit, "record"),
    (Arrivals, "handed_on"),
)
TRIES = {"tries": 20, "first_wait_s": 0, "jitter": 0}


class KilledError(BaseException):
    """The process is no more."""


class Reaper:
    """Ends the server at one of its steps, before or after it is done.

    Args:
        fatal: Number of the step, counted over all steps; None to count only.
        is_after: Whether the step is done before the end.
    """

    def __init__(self, monkeypatch, fatal=None, *, is_after=False):
        self.steps, self.fatal, self.is_after, self.is_dead = 0, fatal, is_after, False
        for owner, name in STEPS:
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, step):
        def counted(*args, **kwargs):
            if self.is_dead:
                raise KilledError  # a process that is no more does nothing in any thread
            number, self.steps = self.steps, self.steps + 1
            self.is_dead = number == self.fatal
            if self.is_dead and not self.is_after:
                raise KilledError
            result = step(*args, **kwargs)
            if self.is_dead:
                raise KilledError
            return result

        return counted


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sent")
    return make_study(folder, "killed", fates=("wanted", "unwanted"), slices=2, size=32)


def steps_of_a_whole_run(study, tmp_path):
    """How many steps there are when nothing goes wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve_send, "send", Destination().send)
        reaper = Reaper(patch)
        arrive(tmp_path / "whole", study.paths)
        serve_once(tmp_path / "whole", work_again=TRIES, send_again=TRIES)
        return reaper.steps


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_server_that_ends_at_any_step_loses_nothing_and_sends_nothing_else_twice(
    tmp_path, study, is_after
):
    steps = steps_of_a_whole_run(study, tmp_path)
    assert steps >= 15
    deaths = 0
    for fatal in range(steps):
        state = tmp_path / f"state{fatal}"
        destination = Destination()
        arrive(state, study.paths)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(serve_send, "send", destination.send)
            reaper = Reaper(patch, fatal, is_after=is_after)
            with suppress(KilledError):
                serve_once(state, work_again=TRIES, send_again=TRIES)
            deaths += reaper.is_dead
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(serve_send, "send", destination.send)
            serve_once(state, work_again=TRIES, send_again=TRIES)
        (job,) = jobs(state)
        assert (job.state, statuses(job)) == ("done", ["done", "skipped"]), fatal
        assert manifest_problems(state / "results" / job.id / "001") == []
        uids = destination.uids
        assert len(set(uids)) == 2, fatal
        assert len(uids) <= 3, fatal  # the one that was under way may come once more
        assert len(set(destination.delivered)) == 2, fatal  # and is the same then, bit for bit
    # How often threads look for work is not the same each time, so the last steps may not come.
    assert deaths >= 0.8 * steps


def test_work_that_is_done_again_gives_the_same_bytes_and_sends_nothing(
    tmp_path, study, monkeypatch
):
    destination = Destination()
    monkeypatch.setattr(serve_send, "send", destination.send)
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)
    (job,) = jobs(state)
    folder = state / "results" / job.id / "001"
    first = {path.name: path.read_bytes() for path in (folder / "dicom").iterdir()}
    folder.with_suffix(".json").unlink()  # as if the server had ended before it was written
    with Ledger.open(state) as ledger:
        ledger.retry(job.id)
    serve_once(state)
    assert {path.name: path.read_bytes() for path in (folder / "dicom").iterdir()} == first
    assert jobs(state)[0].state == "done"
    assert len(destination.uids) == len(first) == 2


def test_studies_are_found_again_whose_jobs_a_restored_ledger_does_not_know(
    tmp_path, study, monkeypatch
):
    destination = Destination()
    monkeypatch.setattr(serve_send, "send", destination.send)
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)
    for path in state.glob("ledger.*"):
        path.unlink()
    shutil.rmtree(state / "backup")
    serve_once(state)
    (job,) = jobs(state)
    assert (job.state, statuses(job)) == ("done", ["done", "skipped"])
    assert len(set(destination.uids)) == 2  # sent again, since nobody knows; they are the same
