"""Jobs wait as long as they were told to, even if the clock of the machine jumps."""

from __future__ import annotations

import pytest

from ctdenoise.errors import IllegalMove
from ctdenoise.jobs import ledger_remembered
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger

NOON = 1_800_000_000.0
HOUR = 3600.0


class Clock:
    """Says the time that a test sets."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    with Ledger.open(tmp_path) as opened:
        opened._clock = clock
        yield opened


def failed(ledger, name, *, wait_s):
    """A job that failed once and waits."""
    ledger.add(Job(id=name, kind="serve", study="5" * 16))
    assert ledger.claim().id == name
    return ledger.move(name, "ready", reason="busy", not_before=ledger._clock() + wait_s)


class TestWaiting:
    def test_a_job_is_not_begun_before_its_time(self, ledger, clock):
        failed(ledger, "a", wait_s=60)
        clock.now += 59
        assert ledger.claim() is None
        assert ledger.next_due_s() == pytest.approx(1)
        clock.now += 1
        assert ledger.next_due_s() == 0
        assert ledger.claim().id == "a"
        assert ledger.next_due_s() is None

    def test_the_oldest_whose_time_has_come_goes_first(self, ledger, clock):
        failed(ledger, "a", wait_s=120)
        failed(ledger, "b", wait_s=60)
        ledger.add(Job(id="c", kind="serve", study="5" * 16))
        clock.now += 60
        assert ledger.claim().id == "b"
        clock.now += 60
        assert ledger.claim().id == "a"
        assert ledger.claim().id == "c"

    def test_of_another_kind_or_state_nothing_is_taken(self, ledger):
        ledger.add(Job(id="a", kind="serve", study="5" * 16))
        assert ledger.claim("infer") is None
        assert ledger.claim(state="made") is None
        assert ledger.claim("serve").id == "a"

    def test_what_has_ended_waits_for_nothing(self, ledger):
        ledger.add(Job(id="a", kind="serve", study="5" * 16))
        ledger.claim()
        with pytest.raises(IllegalMove, match="does not wait"):
            ledger.move("a", "done", not_before=NOON)
        assert ledger.job("a").state == "running"


class TestJumps:
    def test_set_back_it_waits_no_longer_than_it_was_told_to(self, ledger, clock):
        failed(ledger, "a", wait_s=60)
        clock.now -= 24 * HOUR
        assert ledger.claim() is None
        assert ledger.job("a").not_before == clock.now + 60
        clock.now += 60
        assert ledger.claim().id == "a"

    def test_set_back_again_and_again_it_is_begun_at_last(self, ledger, clock):
        failed(ledger, "a", wait_s=60)
        for _ in range(5):
            clock.now -= HOUR
            assert ledger.claim() is None
            clock.now += 30
            assert ledger.claim() is None
        clock.now += 30
        assert ledger.claim().id == "a"

    def test_set_forward_it_is_begun_at_once(self, ledger, clock):
        failed(ledger, "a", wait_s=60)
        clock.now += 24 * HOUR
        assert ledger.claim().id == "a"

    def test_set_back_before_a_job_was_added_it_is_begun_all_the_same(self, ledger, clock):
        ledger.add(Job(id="a", kind="serve", study="5" * 16))
        clock.now -= 24 * HOUR
        ledger.add(Job(id="b", kind="serve", study="5" * 16))
        assert [job.id for job in ledger.jobs(newest_first=False)] == ["a", "b"]
        assert ledger.claim().id == "a"
        assert [move.after for move in ledger.history("a")] == ["ready", "running"]


class TestForgetting:
    def test_what_ended_long_ago_is_forgotten_with_its_instances(self, ledger, clock):
        for name in "abc":
            ledger.add(Job(id=name, kind="serve", study="5" * 16, state="receiving"))
            ledger.remember_instances(name, {f"1.2.{ord(name)}": "0" * 64})
        ledger.remember_delivered("archive", ["1.3"])
        ledger.move("a", "refused")
        clock.now += 2 * HOUR
        ledger.move("b", "refused")
        clock.now += HOUR
        assert ledger.forget(2 * HOUR) == 1
        assert [job.id for job in ledger.jobs()] == ["c", "b"]
        assert list(ledger.known_instances(["1.2.97", "1.2.98"])) == ["1.2.98"]
        assert ledger._reading.execute("SELECT count(DISTINCT job) FROM move").fetchone() == (2,)
        assert ledger.delivered("archive", ["1.3"])  # c may still need it
        ledger.move("c", "refused")
        ledger.forget(2 * HOUR)
        assert not ledger.delivered("archive", ["1.3"])

    def test_what_was_given_up_stays_unless_asked_for(self, ledger, clock):
        ledger.add(Job(id="a", kind="serve", study="5" * 16))
        ledger.claim()
        ledger.move("a", "dead-letter")
        clock.now += HOUR
        assert ledger.forget(60) == 0
        assert ledger.forget(60, states=["dead-letter"]) == 1

    def test_what_has_not_ended_is_never_forgotten(self, ledger):
        with pytest.raises(IllegalMove, match="have ended"):
            ledger.forget(0, states=["ready"])

    @pytest.mark.parametrize("worth_it", [True, False], ids=["large", "small"])
    def test_the_room_of_thousands_is_given_back_where_it_is_much(
        self, ledger, clock, tmp_path, monkeypatch, worth_it
    ):
        if worth_it:
            monkeypatch.setattr(ledger_remembered, "_FREE_BYTES", 100_000)
        ledger._writing.execute("PRAGMA synchronous = OFF")
        payload = {"files": ["x" * 500]}
        for number in range(1200):
            job = Job(id=str(number), kind="serve", study="5", state="receiving", payload=payload)
            ledger.add(job)
            ledger.move(str(number), "refused")
        clock.now += HOUR
        ledger.add(Job(id="new", kind="serve", study="5"))
        assert ledger.forget(60) == 1200
        ledger._take_over()
        assert ((tmp_path / "ledger.sqlite").stat().st_size < 200_000) is worth_it
        assert [job.id for job in ledger.jobs()] == ["new"]
