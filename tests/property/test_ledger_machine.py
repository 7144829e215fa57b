"""Whatever is asked of a ledger in whatever order, it answers as a plain dictionary would."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ctdenoise.errors import IllegalMove
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import MOVES, RETRIES

NAMES = st.sampled_from([f"job {number}" for number in range(6)])
KINDS = st.sampled_from(["serve", "infer"])
UIDS = st.lists(st.integers(0, 9).map(lambda number: f"1.2.{number}"), max_size=4)
WAITING = {"running": "ready", "sending": "made"}
FIRST_MOMENT = 1_800_000_000.0


class LedgerMachine(RuleBasedStateMachine):
    """A ledger beside its model: jobs by name, in the order in which they were added."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = FIRST_MOMENT
        self.model = {}
        self.histories = {}
        self.delivered = set()
        self.ledger = None

    @initialize()
    def begin(self):
        self.open()

    def open(self):
        self.ledger = Ledger.open(self.folder)
        self.ledger._clock = lambda: self.now
        self.ledger._writing.execute("PRAGMA synchronous = OFF")

    def teardown(self):
        if self.ledger is not None:
            self.ledger.close()
        shutil.rmtree(self.folder)

    def moved(self, name, to, *, reason="", until=0.0, result=None):
        job = self.model[name]
        self.histories[name].append((self.now, job["state"], to, reason))
        if to in WAITING:
            job["tries"] += 1
        elif (job["state"], to) == ("running", "made"):
            job["tries"] = 0
        if result is not None:
            job["result"] = result
        job.update(state=to, reason=reason, until=until, since=self.now)

    @rule(name=NAMES, kind=KINDS, state=st.sampled_from(["ready", "receiving"]))
    def add(self, name, kind, state):
        job = Job(id=name, kind=kind, study="5", payload={"of": kind}, state=state)
        assert self.ledger.add(job) == (name not in self.model)
        if name not in self.model:
            self.model[name] = {
                "kind": kind, "state": state, "tries": 0, "reason": "", "until": 0.0,
                "since": self.now, "result": {},
            }  # fmt: skip
            self.histories[name] = [(self.now, None, state, "")]

    @precondition(lambda self: self.model)
    @rule(
        data=st.data(),
        reason=st.sampled_from(["", "busy"]),
        wait_s=st.sampled_from([0, 0, 10, 1000]),
        result=st.sampled_from([None, {}, {"files": [1]}]),
    )
    def move(self, data, reason, wait_s, result):
        name = data.draw(st.sampled_from(list(self.model)))
        before = self.model[name]["state"]
        # Mostly where the table leads, and at times anywhere.
        likely = st.sampled_from(sorted(MOVES[before])) if MOVES[before] else st.nothing()
        to = data.draw(likely | likely | st.sampled_from(list(MOVES)))
        until = self.now + wait_s if wait_s and to in ("ready", "made") else None
        options = {"reason": reason, "not_before": until, "result": result}
        if to not in MOVES[before]:
            with pytest.raises(IllegalMove):
                self.ledger.move(name, to, **options)
            return
        self.ledger.move(name, to, expected=before, **options)
        self.moved(name, to, reason=reason, until=until or 0.0, result=result)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def retry(self, data):
        name = data.draw(st.sampled_from(list(self.model)))
        job = self.model[name]
        if job["state"] not in RETRIES:
            with pytest.raises(IllegalMove):
                self.ledger.retry(name)
            return
        to = "made" if job["state"] == "dead-letter" and job["result"] else "ready"
        self.ledger.retry(name, reason="again")
        self.moved(name, to, reason="again")
        job["tries"] = 0

    @rule(kind=st.none() | KINDS, state=st.sampled_from(["ready", "made"]))
    def claim(self, kind, state):
        for job in self.model.values():
            if job["until"] and job["since"] > self.now:  # the clock was set back
                job["until"] += self.now - job["since"]
                job["since"] = self.now
            if job["until"] <= self.now:
                job["until"] = 0.0
        due = [
            name
            for name, job in self.model.items()
            if job["state"] == state and not job["until"] and kind in (None, job["kind"])
        ]
        claimed = self.ledger.claim(kind, state=state)
        assert (claimed and claimed.id) == (due[0] if due else None)
        if due:
            self.moved(due[0], {"ready": "running", "made": "sending"}[state])

    @rule()
    def ends_and_starts_again(self):
        self.ledger.close()
        self.open()
        assert self.ledger.restored == ""
        back = {job.id for job in self.ledger.interrupted()}
        assert back == {name for name, job in self.model.items() if job["state"] in WAITING}
        for name in back:
            self.moved(name, WAITING[self.model[name]["state"]], reason="interrupted")

    @rule(seconds=st.sampled_from([1, 10, 1000, -500, -5000]))
    def time_goes_on(self, seconds):
        self.now += seconds

    @rule(uids=UIDS)
    def deliver(self, uids):
        self.ledger.remember_delivered("archive", uids)
        self.delivered.update(uids)

    @rule(uids=UIDS)
    def ask_for_delivered(self, uids):
        assert self.ledger.delivered("archive", uids) == self.delivered & set(uids)

    @invariant()
    def holds_what_the_model_holds(self):
        if self.ledger is None:
            return
        jobs = {job.id: job for job in self.ledger.jobs(newest_first=False)}
        assert list(jobs) == list(self.model)
        for name, expected in self.model.items():
            job = jobs[name]
            found = (job.kind, job.state, job.tries, job.reason, job.not_before)
            assert found == tuple(
                expected[key] for key in ("kind", "state", "tries", "reason", "until")
            )
            assert job.result == expected["result"]
            history = [
                (move.at, move.before, move.after, move.reason)
                for move in self.ledger.history(name)
            ]
            assert history == self.histories[name]
        states = [job["state"] for job in self.model.values()]
        assert self.ledger.counts() == {state: states.count(state) for state in MOVES}


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
