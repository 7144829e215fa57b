"""The ledger keeps what it was told, and lets jobs go only where the table says."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from ctdenoise.errors import IllegalMove, LedgerError
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import ENDED, MOVES, RETRIES


def a_job(name="a", **fields):
    return Job(id=name, kind="serve", study="5" * 16, **fields)


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "state") as opened:
        yield opened


WAYS = {
    "receiving": (),
    "ready": ("ready",),
    "running": ("ready", "running"),
    "made": ("ready", "running", "made"),
    "sending": ("ready", "running", "made", "sending"),
    "done": ("ready", "running", "done"),
    "refused": ("refused",),
    "dead-letter": ("ready", "running", "dead-letter"),
}
"""A way to every state."""


def led_to(ledger, state):
    ledger.add(a_job(state="receiving"))
    for step in WAYS[state]:
        ledger.move("a", step)


class TestMoves:
    @pytest.mark.parametrize("after", MOVES)
    @pytest.mark.parametrize("before", MOVES)
    def test_only_moves_of_the_table_are_made(self, ledger, before, after):
        led_to(ledger, before)
        if after in MOVES[before]:
            assert ledger.move("a", after).state == after
        else:
            history = ledger.history("a")
            with pytest.raises(IllegalMove, match="cannot become"):
                ledger.move("a", after)
            assert ledger.history("a") == history
            assert ledger.job("a").state == before

    @pytest.mark.parametrize("state", MOVES)
    def test_a_person_leads_back_what_has_ended_and_nothing_else(self, ledger, state):
        led_to(ledger, state)
        if state in ENDED:
            again = ledger.retry("a")
            assert again.state in RETRIES[state]
            assert again.tries == 0
        else:
            with pytest.raises(IllegalMove, match="has not ended"):
                ledger.retry("a")

    def test_what_was_made_is_sent_again_and_not_made_again(self, ledger):
        led_to(ledger, "made")
        ledger.move("a", "sending", result={"series": "b"})
        ledger.move("a", "dead-letter", reason="the archive is off")
        assert ledger.retry("a").state == "made"

    def test_a_job_that_is_not_where_it_was_expected_stays(self, ledger):
        ledger.add(a_job())
        with pytest.raises(IllegalMove, match="is ready, not running"):
            ledger.move("a", "running", expected="running")
        assert ledger.job("a").state == "ready"

    def test_every_move_is_in_the_history_with_its_reason(self, ledger):
        ledger.add(a_job())
        ledger.claim()
        ledger.move("a", "ready", reason="no memory")
        found = [(move.before, move.after, move.reason) for move in ledger.history("a")]
        assert found == [
            (None, "ready", ""),
            ("ready", "running", ""),
            ("running", "ready", "no memory"),
        ]
        assert ledger.job("a").reason == "no memory"
        assert ledger.history("a")[-1].at == ledger.job("a").changed

    def test_sending_has_tries_of_its_own(self, ledger):
        led_to(ledger, "ready")
        for number in (1, 2):
            assert ledger.claim().tries == number
            ledger.move("a", "ready")
        ledger.claim()
        assert ledger.move("a", "made").tries == 0
        assert ledger.claim(state="made").tries == 1
        assert ledger.move("a", "made").tries == 1

    def test_a_result_stays_until_there_is_another(self, ledger):
        led_to(ledger, "running")
        ledger.move("a", "made", result={"files": ["x", 1.5, None]})
        assert ledger.move("a", "sending").result == {"files": ["x", 1.5, None]}
        assert ledger.job("a").result == {"files": ["x", 1.5, None]}

    def test_a_job_without_such_an_id_is_an_error_in_words(self, ledger):
        for ask in (ledger.job, ledger.history, ledger.retry):
            with pytest.raises(LedgerError, match="no such job"):
                ask("b")
        with pytest.raises(LedgerError, match="no such job"):
            ledger.move("b", "ready")


class TestAdding:
    def test_an_id_is_added_once(self, ledger):
        assert ledger.add(a_job(payload={"files": ["1"]}))
        assert not ledger.add(a_job(payload={"files": ["2"]}))
        assert ledger.job("a").payload == {"files": ["1"]}
        assert len(ledger.history("a")) == 1

    @pytest.mark.parametrize("state", sorted(set(MOVES) - {"receiving", "ready"}))
    def test_no_job_starts_in_the_middle(self, ledger, state):
        with pytest.raises(IllegalMove, match="starts as"):
            ledger.add(a_job(state=state))
        assert ledger.jobs() == ()

    def test_a_job_keeps_the_time_it_was_made_at(self, ledger):
        ledger.add(a_job(created=1_700_000_000.0))
        ledger.add(a_job("b"))
        assert ledger.job("a").created == 1_700_000_000.0
        assert ledger.job("b").created == ledger.job("b").changed > 1_700_000_000


class TestListing:
    def test_jobs_come_by_state_kind_and_study_newest_first(self, ledger):
        for number in range(4):
            kind = "infer" if number % 2 else "simulate"
            ledger.add(Job(id=str(number), kind=kind, study=f"study {number // 2}"))
        ledger.move("0", "running")
        assert ids(ledger.jobs()) == "3210"
        assert ids(ledger.jobs(newest_first=False, limit=3)) == "012"
        assert ids(ledger.jobs(("ready",))) == "321"
        assert ids(ledger.jobs(("running", "ready"), limit=2)) == "32"
        assert ids(ledger.jobs(kind="infer")) == "31"
        assert ids(ledger.jobs(("ready",), "simulate", study="study 1")) == "2"

    def test_states_without_jobs_are_counted_as_well(self, ledger):
        ledger.add(a_job())
        assert ledger.counts() == {**dict.fromkeys(MOVES, 0), "ready": 1}

    def test_ids_are_found_by_their_beginning(self, ledger):
        for name in ("abc", "abd", "b_", "bx"):
            ledger.add(a_job(name))
        assert ledger.ids_from("ab") == ("abc", "abd")
        assert ledger.ids_from("b_") == ("b_",)
        assert ledger.ids_from("ab", most=1) == ("abc",)
        assert ledger.ids_from("z") == ()


def ids(jobs):
    return "".join(job.id for job in jobs)


class TestRemembering:
    def test_what_a_destination_confirmed_is_known_for_it_alone(self, ledger):
        ledger.remember_delivered("archive", ["1.2.3", "1.2.4"])
        ledger.remember_delivered("archive", ["1.2.3"])
        assert ledger.delivered("archive", ["1.2.3", "1.2.5"]) == {"1.2.3"}
        assert ledger.delivered("viewer", ["1.2.3"]) == frozenset()

    def test_instances_belong_to_the_job_that_named_them_last(self, ledger):
        ledger.add(a_job("a"))
        ledger.add(a_job("b"))
        ledger.remember_instances("a", {"1.2.3": "0" * 64, "1.2.4": "1" * 64})
        ledger.remember_instances("b", {"1.2.4": "2" * 64})
        assert ledger.known_instances(["1.2.3", "1.2.4", "1.2.5"]) == {
            "1.2.3": ("a", "0" * 64),
            "1.2.4": ("b", "2" * 64),
        }

    def test_thousands_of_instances_are_asked_for_at_once(self, ledger):
        uids = [f"1.2.{number}" for number in range(2500)]
        ledger.add(a_job())
        ledger.remember_instances("a", dict.fromkeys(uids, "0" * 64))
        ledger.remember_delivered("archive", uids)
        assert ledger.known_instances(uids).keys() == set(uids)
        assert ledger.delivered("archive", uids) == set(uids)

    def test_uids_are_not_in_the_files(self, ledger, tmp_path):
        uid = "1.2.826.0.1.3680043.8.498.777"
        ledger.add(a_job())
        ledger.remember_instances("a", {uid: "0" * 64})
        ledger.remember_delivered("archive", [uid])
        for path in (tmp_path / "state").iterdir():
            assert uid.encode() not in path.read_bytes()

    def test_a_note_of_nothing_is_forgotten(self, ledger):
        ledger.note("cursor", 7)
        ledger.note("cursor", None)
        ledger.note("never", None)
        assert ledger.noted("cursor") is None

    def test_notes_are_kept_until_there_is_another(self, ledger):
        assert ledger.noted("cursor") is None
        ledger.note("cursor", {"last": 12})
        ledger.note("cursor", 13)
        assert ledger.noted("cursor") == 13


class TestOpening:
    def test_what_was_written_is_there_after_opening_again(self, tmp_path):
        with Ledger.open(tmp_path) as first:
            first.add(a_job())
            first.claim()
        with Ledger.open(tmp_path) as again:
            assert again.job("a").state == "running"
            assert again.restored == ""

    def test_only_its_owner_may_read_it(self, tmp_path):
        old = os.umask(0)
        try:
            with Ledger.open(tmp_path / "state") as ledger:
                ledger.add(a_job())
                ledger.backup()
                for path in (tmp_path / "state").rglob("*"):
                    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
                assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        finally:
            os.umask(old)

    def test_nothing_is_made_for_a_reader(self, tmp_path):
        for options in ({"read_only": True}, {"create": False}):
            with pytest.raises(LedgerError, match="no ledger here"):
                Ledger.open(tmp_path, **options)
            with pytest.raises(LedgerError, match="no ledger here"):
                Ledger.open(tmp_path / "absent", **options)
        assert list(tmp_path.iterdir()) == []

    def test_a_reader_sees_what_is_written_meanwhile_and_writes_nothing(self, ledger, tmp_path):
        with Ledger.open(tmp_path / "state", read_only=True) as reader:
            ledger.add(a_job())
            assert reader.job("a").state == "ready"
            with pytest.raises(LedgerError, match="for reading only"):
                reader.move("a", "running")

    def test_two_may_write_at_the_same_time(self, ledger, tmp_path):
        with Ledger.open(tmp_path / "state", restore=False) as other:
            ledger.add(a_job("a"))
            other.add(a_job("b"))
            assert {ledger.claim().id, other.claim().id} == {"a", "b"}
            assert ledger.claim() is None

    def test_closing_twice_is_no_error_and_use_after_it_is_one_in_words(self, tmp_path):
        ledger = Ledger.open(tmp_path)
        ledger.close()
        ledger.close()
        with pytest.raises(LedgerError):
            ledger.job("a")

    def test_nothing_beside_the_ledger_is_left_by_closing(self, tmp_path):
        with Ledger.open(tmp_path) as ledger:
            ledger.add(a_job())
        assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_questions_of_every_moment_use_an_index(tmp_path):
    with Ledger.open(tmp_path), closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        for query in asked(tmp_path, database):
            plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}")]
            assert not [step for step in plan if step.startswith("SCAN job")], (query, plan)


def asked(folder, database):
    """What SQLite was asked while jobs were claimed and looked for."""
    said = []
    with Ledger.open(folder, restore=False) as ledger:
        ledger._writing.set_trace_callback(said.append)
        ledger._reading.set_trace_callback(said.append)
        for name in "abc":
            ledger.add(a_job(name))
        ledger.move(ledger.claim("serve").id, "ready", not_before=1.0)
        ledger.claim()
        ledger.next_due_s()
        ledger.history("a")
        ledger.interrupted()
        ledger.jobs(("ready",), limit=1)
        ledger.ids_from("a")
    found = [query for query in said if query.startswith(("SELECT", "UPDATE"))]
    assert len(found) > 15
    return found
