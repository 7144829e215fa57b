"""What is odd, or cannot be written for a while, is told and does not end the server."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from ctdenoise.config.peers import DimsePeer
from ctdenoise.errors import OutputError
from ctdenoise.jobs.audit import AUDIT_FILE, Audit
from ctdenoise.tasks import serve, serve_expected
from ctdenoise.tasks.serve_entrances import Poller
from ctdenoise.tasks.serve_expected import ExpectedCount
from ctdenoise.tasks.serve_folder import own_folder
from ctdenoise.tasks.serve_shared import Alarm, Shared
from ctdenoise.tasks.serve_visits import Visits
from tests.pacs.serving import HERE, settings


@pytest.fixture
def shared(tmp_path):
    with own_folder(tmp_path / "state") as folder, ExitStack() as opened:
        yield serve._shared(settings(), folder, Alarm(), opened)


def odd(*_: object, **__: object) -> None:
    raise KeyError("Marker^Someone")


def test_an_odd_answer_of_an_archive_is_a_problem_of_its_entrance(shared):
    poller = Poller("archive", odd, every_s=1, shared=shared)
    poller.look()
    assert not poller.facts.is_open
    assert "unexpected KeyError" in poller.facts.problem
    assert "Marker" not in poller.facts.problem


def test_a_study_that_was_put_off_is_a_problem_of_an_entrance_that_stays_open(shared):
    poller = Poller("archive", lambda: None, every_s=1, shared=shared, problem=lambda: "1 waits.")
    poller.look()
    assert poller.facts.is_open
    assert poller.facts.problem == "1 waits."


def test_a_study_that_was_given_up_is_in_the_audit_trail_without_its_name(shared):
    Visits(shared).gave_up("archive ORTHANC", "0123abcd-name", "it failed.")
    lines = (shared.folder.path / AUDIT_FILE).read_text()
    assert '"dead-letter"' in lines
    assert "it failed." in lines
    assert "0123abcd" not in lines


def test_an_odd_answer_to_how_many_instances_there_are_is_none(monkeypatch, caplog):
    monkeypatch.setattr(serve_expected, "find", odd)
    assert ExpectedCount("pacs", DimsePeer.model_validate(HERE))("1.2.3", ["CT1"]) is None
    assert "unexpected KeyError" in caplog.text
    assert "Marker" not in caplog.text


def test_who_came_while_the_disk_was_full_is_recorded_when_there_is_room(shared, monkeypatch):
    def full(*_: object) -> None:
        raise OutputError("the disk is full.")

    visits = Visits(shared)
    with monkeypatch.context() as patched:
        patched.setattr(Audit, "record_all", full)
        visits.turned_away("10.0.0.1", "address")
    assert not shared.alarm.is_stopping
    visits.turned_away("10.0.0.2", "address")
    visits.close()
    text = _trail(shared)
    assert "10.0.0.1" in text
    assert "10.0.0.2" in text


def _trail(shared: Shared) -> str:
    path: Path = shared.folder.path / "audit.jsonl"
    return path.read_text(encoding="utf-8")
