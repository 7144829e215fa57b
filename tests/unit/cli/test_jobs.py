"""People see the jobs of a folder, and lead them back, by the command line."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from ctdenoise.cli import console
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from tests.e2e.commands import ctdenoise

PATIENT = "Mustermann"
NAMES = ("11aa", "11ab", "22aa", "33aa", "44aa")


@pytest.fixture
def state(tmp_path):
    """A folder as a server leaves it that was killed: one job done, failed, refused, running."""
    with Ledger.open(tmp_path / "state") as ledger:
        for name in NAMES:
            ledger.add(Job(name, "serve", study=f"study {name[:2]}", payload={"folder": PATIENT}))
        for _ in NAMES[:4]:
            ledger.claim()
        ledger.move("11aa", "done", result={"series": PATIENT})
        ledger.move("11ab", "dead-letter", reason="no memory [errno 12]")
        ledger.move("22aa", "refused", reason="no rule fits")
    return tmp_path / "state"


class TestList:
    def test_every_job_has_a_line_and_the_newest_comes_first(self, state):
        done = ctdenoise("jobs", "list", state)
        assert done.code == 0
        lines = done.stdout.splitlines()
        assert [line.split()[0] for line in lines[2:]] == list(reversed(NAMES))
        assert "1 ready, 1 running, 1 done, 1 refused, 1 dead-letter" in done.stderr

    def test_reasons_are_shown_as_they_are(self, state):
        done = ctdenoise("jobs", "list", state, "--state", "dead-letter", "--state", "refused")
        assert "no memory [errno 12]" in done.stdout
        assert "no rule fits" in done.stdout
        assert "33aa" not in done.stdout

    def test_a_table_is_limited_and_says_so(self, state):
        done = ctdenoise("jobs", "list", state, "--limit", "2")
        assert len(done.stdout.splitlines()) == 4
        assert "newest 2 of 5" in done.stderr

    def test_it_fits_a_terminal_of_80_columns(self, state, monkeypatch):
        narrow = Console(highlight=False, width=80, force_terminal=True, color_system=None)
        monkeypatch.setattr(console, "STDOUT", narrow)
        lines = ctdenoise("jobs", "list", state).stdout.splitlines()
        assert len(lines) == 2 + len(NAMES)
        assert max(map(len, lines)) <= 80

    def test_json_holds_all_of_it(self, state):
        found = json.loads(ctdenoise("jobs", "list", state, "--json").stdout)
        assert found["counts"]["dead-letter"] == 1
        assert found["counts"]["sending"] == 0
        assert [job["id"] for job in found["jobs"]] == list(reversed(NAMES))
        assert found["jobs"][3]["reason"] == "no memory [errno 12]"

    def test_one_study_has_its_own_jobs(self, state):
        found = json.loads(ctdenoise("jobs", "list", state, "--study", "study 11", "--json").stdout)
        assert [job["id"] for job in found["jobs"]] == ["11ab", "11aa"]

    def test_a_folder_without_jobs_is_said_to_have_none(self, tmp_path):
        Ledger.open(tmp_path).close()
        done = ctdenoise("jobs", "list", tmp_path)
        assert (done.code, done.stdout, done.stderr) == (0, "", "No jobs.\n")

    def test_a_state_that_does_not_exist_is_refused(self, state):
        assert ctdenoise("jobs", "list", state, "--state", "lost").code == 2


class TestShow:
    def test_the_history_is_told_with_reasons(self, state):
        done = ctdenoise("jobs", "show", state, "11ab")
        assert done.code == 0
        became = [line.split()[2:] for line in done.stdout.splitlines()[-3:]]
        assert became == [["ready"], ["running"], ["dead-letter", "no", "memory", "[errno", "12]"]]

    def test_what_came_of_each_series_is_told_without_its_description(self, state):
        made = {"number": 1, "what": "CT", "status": "done", "slices": 24, "model": "nlm"}
        made |= {"noise_before_hu": 22.21, "noise_after_hu": 16.3, "description": PATIENT}
        left = {"number": 2, "what": "scout", "status": "skipped", "reason": "no rule wants it"}
        with Ledger.open(state) as ledger:
            ledger.claim()
            ledger.move("44aa", "done", result={"series": [made, left]})
        shown = ctdenoise("jobs", "show", state, "44").stdout
        lines = [line.split() for line in shown.splitlines()]
        assert ["1", "(CT)", "done", "24", "nlm", "22.2", "to", "16.3"] in lines
        assert ["2", "(scout)", "skipped", "0", "no", "rule", "wants", "it"] in lines
        assert PATIENT not in shown

    def test_a_beginning_is_enough_where_it_is_the_only_one(self, state):
        assert "job 22aa" in ctdenoise("jobs", "show", state, "2").stdout

    def test_a_beginning_of_several_is_refused_with_all_of_them(self, state):
        done = ctdenoise("jobs", "show", state, "11")
        assert done.code == 2
        assert "11aa" in done.stderr
        assert "11ab" in done.stderr

    @pytest.mark.parametrize("name", ["5", ""])
    def test_an_unknown_job_is_an_error_in_words(self, state, name):
        done = ctdenoise("jobs", "show", state, name)
        assert done.code == 3
        assert "no job has an id" in done.stderr

    def test_paths_are_shown_only_when_asked_for(self, state):
        for json_too in ([], ["--json"]):
            assert PATIENT not in ctdenoise("jobs", "show", state, "11aa", *json_too).stdout
            asked = ctdenoise("jobs", "show", state, "11aa", "--details", *json_too).stdout
            assert asked.count(PATIENT) == 2
        assert PATIENT not in ctdenoise("jobs", "list", state, "--json").stdout


class TestRetry:
    def test_jobs_that_ended_are_led_back(self, state):
        done = ctdenoise("jobs", "retry", state, "11ab", "22")
        assert done.code == 0
        assert "2 jobs to be tried again" in done.stderr
        assert states(state) == {
            "11aa": "done", "11ab": "ready", "22aa": "ready", "33aa": "running", "44aa": "ready",
        }  # fmt: skip

    def test_all_that_were_given_up_are_led_back_at_once(self, state):
        assert ctdenoise("jobs", "retry", state, "--all-dead-letters").code == 0
        assert states(state)["11ab"] == "ready"
        assert states(state)["22aa"] == "refused"
        again = ctdenoise("jobs", "retry", state, "--all-dead-letters")
        assert again.code == 0
        assert "0 jobs" in again.stderr

    @pytest.mark.parametrize(
        ("words", "code"),
        [(["11ab", "33"], 3), (["11ab", "5"], 3), (["11ab", "11"], 2), ([], 2)],
        ids=["running", "unknown", "several", "none"],
    )
    def test_either_all_are_led_back_or_none(self, state, words, code):
        before = states(state)
        assert ctdenoise("jobs", "retry", state, *words).code == code
        assert states(state) == before

    def test_ids_and_all_of_them_exclude_each_other(self, state):
        assert ctdenoise("jobs", "retry", state, "11ab", "--all-dead-letters").code == 2

    def test_a_server_that_is_running_takes_them_on(self, state):
        with Ledger.open(state) as running:
            assert running.claim().id == "44aa"
            assert running.claim() is None
            assert ctdenoise("jobs", "retry", state, "11ab").code == 0
            assert running.claim().id == "11ab"
            assert running.history("11ab")[-2].reason == "asked for"


@pytest.mark.parametrize("words", [["list"], ["show", "1"], ["retry", "1"]], ids=" ".join)
def test_a_folder_without_a_ledger_is_an_error_in_words_and_stays_empty(tmp_path, words):
    done = ctdenoise("jobs", words[0], tmp_path, *words[1:])
    assert done.code == 3
    assert "there is no ledger here" in done.stderr
    assert list(tmp_path.iterdir()) == []


def states(folder):
    with Ledger.open(folder, read_only=True) as ledger:
        return {job.id: job.state for job in ledger.jobs(newest_first=False)}
