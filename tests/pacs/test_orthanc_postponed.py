"""A study that an Orthanc cannot give holds nobody up, and is not lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctdenoise.config.peers import RetrySettings
from ctdenoise.config.receiver import InboxSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import PeerUnavailable
from ctdenoise.pacs import orthanc, postponed
from ctdenoise.pacs.inbox import Inbox, NotKeptError
from ctdenoise.pacs.orthanc import Fetched
from ctdenoise.pacs.postponed import Postponed
from tests.pacs.pretended_orthanc import Archive, Polling, ident, pretended

AT_ONCE = {"first_wait_s": 0, "longest_wait_s": 0, "jitter": 0}


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def here(archive: Archive, tmp_path: Path) -> Iterator[Polling]:
    with pretended(archive) as url:
        yield Polling(url, tmp_path, {"instances": "rest", "start": "beginning"})


def series_of(name: str) -> str:
    return f"/studies/{ident(name)}/series"


@pytest.mark.parametrize("status", [500, 403])
def test_a_study_that_always_fails_holds_nobody_up(
    archive: Archive, here: Polling, status: int
) -> None:
    for name in ("a", "b", "c"):
        archive.add(name, 1)
    archive.status[series_of("b")] = status
    assert here.look() == Fetched(studies=2, instances=2)
    assert "1 study waits" in here.poller.problem
    archive.asked.clear()
    assert here.look() == Fetched()
    assert series_of("b") not in archive.asked  # not before its time


def test_a_study_that_was_put_off_is_taken_after_a_restart(archive: Archive, here: Polling) -> None:
    archive.add("b", 1)
    archive.status[series_of("b")] = 503
    here.options["again"] = AT_ONCE
    here.restart()
    assert here.look() == Fetched()
    archive.status.clear()
    here.restart()
    assert "1 study waits" in here.poller.problem
    assert here.look() == Fetched(studies=1, instances=1)
    assert not here.poller.problem


def test_a_study_with_too_many_instances_is_given_up_and_leaves_nothing(
    archive: Archive, here: Polling, caplog: pytest.LogCaptureFixture
) -> None:
    limits = InboxSettings(free_mb=1, durable=False, study_instances=2)
    here.inbox = Inbox(here.folder / "small", limits)
    here.options["again"] = {**AT_ONCE, "tries": 3}
    here.restart()
    archive.add("big", 3)
    archive.add("fine", 2)
    assert here.look() == Fetched(studies=1, instances=2)
    for _ in range(3):
        assert here.look() == Fetched()
    assert here.given_up == [ident("big")]
    assert not here.poller.problem
    assert "given up after 3 tries" in caplog.text
    assert ident("big") not in caplog.text


def test_without_a_place_for_more_studies_nothing_is_put_off(
    archive: Archive, here: Polling
) -> None:
    here.inbox = Inbox(here.folder / "one", InboxSettings(free_mb=1, durable=False, studies=1))
    here.restart()
    archive.add("a", 1)
    archive.add("b", 1)
    with pytest.raises(NotKeptError, match="as many studies"):
        here.look()
    assert not here.poller.problem


def test_an_archive_that_gives_nothing_at_all_loses_nothing(
    archive: Archive, here: Polling
) -> None:
    archive.add("a", 1)
    archive.status[series_of("a")] = 503
    archive.status["/changes"] = 503
    with pytest.raises(PeerUnavailable):
        here.look()
    archive.status["/changes"] = 200
    here.options["again"] = {**AT_ONCE, "tries": 2}
    here.restart()
    for _ in range(5):  # its storage is gone, and its database is not
        assert here.look() == Fetched()
    assert not here.given_up
    archive.add("b", 1)
    here.look()
    here.look()
    assert here.given_up == [ident("a")]


def test_an_archive_that_ends_in_the_midst_of_a_study_puts_nothing_off(
    archive: Archive, here: Polling
) -> None:
    archive.add("a", 1)
    answer = archive.answer

    def ending(target: str) -> object:
        if target.startswith("/studies"):
            archive.status = {"/changes": 502, series_of("a"): 502}
        return answer(target)

    archive.answer = ending  # type: ignore[method-assign]
    with pytest.raises(PeerUnavailable):
        here.look()
    assert not here.poller.problem
    archive.answer, archive.status = answer, {}  # type: ignore[method-assign]
    assert here.look() == Fetched(studies=1, instances=1)


def test_what_was_put_off_and_the_cursor_are_never_written_apart(
    archive: Archive, here: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("a", 1)
    archive.add("b", 1)
    archive.status[series_of("a")] = 500
    written: list[JsonValue] = []
    note = here.memory.note

    def remembered(key: str, value: JsonValue) -> None:
        written.append(value)
        note(key, value)

    monkeypatch.setattr(here.memory, "note", remembered)
    here.look()
    cursors = [one for one in written if isinstance(one, dict)]
    assert [one["number"] for one in cursors] == [1, 2]
    assert all(list(one["later"]) == [ident("a")] for one in cursors)


def test_when_very_many_are_put_off_the_archive_waits(
    archive: Archive, here: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postponed, "POSTPONED_MOST", 2)
    for name in ("a", "b", "c"):
        archive.add(name, 1)
        archive.status[series_of(name)] = 500
    with pytest.raises(PeerUnavailable):
        here.look()
    del archive.status[series_of("c")]
    assert here.look() == Fetched(studies=1, instances=1)


def test_notes_do_not_grow_with_the_studies(
    archive: Archive, here: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orthanc, "_KNOWN_MOST", 3)
    for index in range(3):
        archive.add(f"s{index}", 1)
    here.look()
    count = len(here.memory.notes)
    for index in range(5):
        archive.add(f"t{index}", 1)
        here.restart()
        here.look()
    assert len(here.memory.notes) == count
    archive.add("t4", 1)
    assert here.look() == Fetched()  # the last ones are known


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
def test_a_clock_that_jumps_changes_no_wait(jump_s: float) -> None:
    now, today = [0.0], [2e9]
    retry = RetrySettings(tries=5, first_wait_s=60, factor=2, longest_wait_s=600, jitter=0)

    def one() -> Postponed:
        return Postponed(retry, clock=lambda: now[0], time_of_day=lambda: today[0])

    waiting = one()
    waiting.failed("a", "why.", own_fault=False)
    today[0] += jump_s
    assert not waiting.due()
    now[0] = 61
    assert waiting.due() == ("a",)
    waiting.failed("a", "why.", own_fault=False)
    remembered = waiting.as_json()
    today[0] += jump_s
    after = one()
    after.restore(remembered)
    now[0] += 600
    assert after.due() == ("a",)  # whatever the time of day is
    after.failed("a", "why.", own_fault=False)
    assert not after.due()


def test_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    retry = RetrySettings(tries=9, first_wait_s=60, factor=2, longest_wait_s=200, jitter=0)
    waiting = Postponed(retry, clock=lambda: now[0])
    for wait_s in (60, 120, 200, 200):
        waiting.failed("a", "why.", own_fault=True)
        now[0] += wait_s - 1
        assert not waiting.due()
        now[0] += 1
        assert waiting.due() == ("a",)
