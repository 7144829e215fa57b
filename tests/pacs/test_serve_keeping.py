"""What the server removes by itself, and what it must not: nothing that somebody may still need."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ctdenoise.config.serve import RetentionSettings
from ctdenoise.errors import OutputError, PeerUnavailable
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.tasks import serve, serve_send
from ctdenoise.tasks.serve_folder import own_folder
from ctdenoise.tasks.serve_keep import Housekeeping
from ctdenoise.tasks.serve_shared import Alarm
from tests.pacs.sent_studies import make_study
from tests.pacs.serving import Destination, arrive, jobs, rules, serve_once, settings

NOTHING_OLD = {"inbox_days": 0, "refused_days": 0, "results_days": 0}


@pytest.fixture
def destination(monkeypatch):
    found = Destination()
    monkeypatch.setattr(serve_send, "send", found.send)
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("sent"), "one", fates=("wanted",))


@contextmanager
def housekeeping(state: Path, **changes: Any) -> Iterator[tuple[Housekeeping, Inbox]]:
    """The housekeeping of a server that does nothing else; everything is old enough for it."""
    with own_folder(state) as folder, ExitStack() as opened:
        told = settings(**{"retention": NOTHING_OLD, **changes})
        shared = serve._shared(told, folder, Alarm(), opened)
        inbox = Inbox(folder.inbox, told.inbox)
        yield Housekeeping(shared, inbox), inbox


def with_other_bytes(path: Path, folder: Path) -> Path:
    """A copy of an instance that says something else."""
    data = path.read_bytes()
    other = folder / path.name
    place = data.rindex(b"\x00\x00") if data.endswith(b"\x00\x00") else len(data) - 1
    other.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    return other


def test_what_arrived_of_a_study_that_is_done_is_removed(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)
    with housekeeping(state) as (keeping, inbox):
        keeping.step()
        assert inbox.studies() == ()


def test_an_instance_that_has_just_come_again_with_other_bytes_is_not_removed(
    tmp_path, study, destination
):
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)
    arrive(state, [with_other_bytes(study.paths[0], tmp_path)])
    with housekeeping(state) as (keeping, inbox):
        keeping.step()
        (key,) = inbox.studies()
        assert len(inbox.conflicts(key)) == 1
        assert len(inbox.files(key)) == len(study.paths)
    serve_once(state)
    assert [job.state for job in jobs(state)] == ["done", "refused"]


def test_a_result_that_a_later_job_has_still_to_send_is_not_removed(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)

    def unreachable(number: int) -> None:
        raise PeerUnavailable("it does not answer.")

    destination.before = unreachable
    peers = {"here": settings().peers["here"].model_dump(mode="json")}
    peers["there"] = {**peers["here"], "port": 11114}
    again = {"send_again": {"tries": 9, "first_wait_s": 3600, "longest_wait_s": 3600}}
    _forgotten_by_the_inbox(state)
    arrive(state, study.paths)  # once more, for a destination that is down
    serve_once(state, rules=rules("there"), peers=peers, **again)
    earlier, later = jobs(state)
    assert (earlier.state, later.state) == ("done", "made")
    assert later.result["series"][0]["folder"].startswith(earlier.id)
    with housekeeping(state) as (keeping, _):
        keeping.step()
    assert (state / "results" / later.result["series"][0]["folder"]).is_dir()


def _forgotten_by_the_inbox(state: Path) -> None:
    with housekeeping(state) as (_, inbox):
        for key in inbox.studies():
            inbox.remove(key, inbox.files(key))


def test_the_ledger_is_never_kept_for_less_long_than_what_it_knows():
    with pytest.raises(ValueError, match="ledger_days"):
        RetentionSettings(inbox_days=2, refused_days=2, results_days=30, ledger_days=20)


def test_what_cannot_be_removed_or_copied_ends_no_server(tmp_path, study, destination, monkeypatch):
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)

    def full(*_: object, **__: object) -> None:
        raise OutputError("the disk is full.")

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with housekeeping(state, retention={**NOTHING_OLD, "backup_hours": 1e-9}) as (keeping, _):
        monkeypatch.setattr(Ledger, "backup", full)
        monkeypatch.setattr("ctdenoise.tasks.serve_keep.shutil.rmtree", failing)
        monkeypatch.setattr(Inbox, "remove", failing)
        keeping.step()
    assert list((state / "results").iterdir())
