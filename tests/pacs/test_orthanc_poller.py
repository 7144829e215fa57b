"""Studies that an Orthanc calls stable are fetched, once, whatever becomes of its history."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctdenoise.config.receiver import InboxSettings
from ctdenoise.errors import PeerRefused, PeerUnavailable
from ctdenoise.pacs.inbox import Inbox, NotKeptError
from ctdenoise.pacs.orthanc import Fetched
from tests.dicom.builders import as_bytes, uid
from tests.pacs.orthanc import Orthanc
from tests.pacs.pretended_orthanc import Archive, Polling, ident, pretended
from tests.pacs.receiving import one_slice, without_meta


def real(orthanc: Orthanc, folder: Path, instances: str) -> dict[str, Any]:
    """Runs beside a real Orthanc; see `test_a_real_archive`."""
    before = as_bytes(one_slice("before"))
    orthanc.post("/instances", before)
    _wait_for_stable(orthanc, 1)
    here = Polling(orthanc.url, folder, {"instances": instances})
    first = here.look().instances
    files = [as_bytes(one_slice("a", index)) for index in range(3)]
    ours = one_slice("a", 7)
    ours.Manufacturer, ours.SeriesInstanceUID = "ctdenoise", uid("ours")
    for file in (*files, as_bytes(ours)):
        orthanc.post("/instances", file)
    here.look_until(1)
    kept = sorted(without_meta(one.path.read_bytes()).hex() for one in here.kept)
    again = here.look().instances
    orthanc.stop()
    orthanc.start()
    here.restart()
    orthanc.post("/instances", as_bytes(one_slice("a", 3)))
    here.look_until(2)
    orthanc.stop()
    for path in (orthanc.folder / "db").rglob("*"):
        if path.is_file():
            path.unlink()
    orthanc.start()  # with an empty database
    orthanc.post("/instances", as_bytes(one_slice("b")))
    here.look_until(3)
    return {
        "first": first,
        "same": kept == sorted(without_meta(file).hex() for file in files),
        "again": again,
        "outcomes": [one.outcome for one in here.kept],
        "stable": here.stable,
        "senders": sorted({one.sender for one in here.kept}),
    }


def _wait_for_stable(orthanc: Orthanc, count: int) -> None:
    until, pause = time.monotonic() + 60, threading.Event()
    while True:
        changes = orthanc.json("/changes?since=0&limit=1000")["Changes"]
        if sum(one["ChangeType"] == "StableStudy" for one in changes) >= count:
            return
        assert time.monotonic() < until
        pause.wait(0.1)


@pytest.mark.parametrize("instances", ["dicomweb", "rest"])
def test_a_real_archive(beside_orthanc, tmp_path: Path, instances: str) -> None:
    done = beside_orthanc(real, settings={"StableAge": 1}, folder=tmp_path, instances=instances)
    assert done["first"] == 0  # what was there before we came
    assert done["same"]
    assert done["again"] == 0
    assert sorted(done["outcomes"]) == ["again"] * 3 + ["new"] * 5
    assert done["stable"] == [uid("study", "a"), uid("study", "a"), uid("study", "b")]
    assert done["senders"] == ["ORTHANC"]


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def here(archive: Archive, tmp_path: Path) -> Iterator[Polling]:
    with pretended(archive) as url:
        yield Polling(url, tmp_path, {"instances": "rest", "start": "beginning"})


def test_history_is_read_in_pieces_and_only_once(archive: Archive, here: Polling) -> None:
    here.options["changes_per_request"] = 2
    here.restart()
    for index in range(7):
        archive.add(f"s{index}", 1)
    assert here.look() == Fetched(studies=7, instances=7)
    archive.asked.clear()
    assert here.look() == Fetched()
    assert len(archive.asked) == 1


def test_from_now_on_means_what_comes_from_now_on(archive: Archive, here: Polling) -> None:
    here.options["start"] = "now"
    here.restart()
    archive.add("old", 1)
    assert here.look() == Fetched()
    archive.add("new", 1)
    here.restart()
    assert here.look() == Fetched(studies=1, instances=1)


def test_an_archive_whose_last_changes_were_removed_gives_nothing_twice(
    archive: Archive, here: Polling
) -> None:
    archive.add("a", 2)
    archive.add("b", 2)
    assert here.look().studies == 2
    archive.changes.pop()  # study b was deleted, and its changes with it
    assert here.look() == Fetched()
    archive.add("c", 1)
    assert here.look() == Fetched(studies=1, instances=1)


@pytest.mark.parametrize("more", [0, 5])
def test_an_archive_with_a_new_database_loses_nothing(
    archive: Archive, here: Polling, more: int
) -> None:
    for index in range(3):
        archive.add(f"o{index}", 1)
    assert here.look().studies == 3
    archive.changes.clear()
    archive.number = 0
    for index in range(1 + more):  # fewer changes than before, or more
        archive.add(f"n{index}", 1, day="20260102")
    assert here.look().studies == 1 + more


def test_a_study_that_is_gone_holds_nobody_up(archive: Archive, here: Polling) -> None:
    archive.add("a", 1)
    archive.add("b", 1)
    del archive.studies[ident("a")]
    assert here.look() == Fetched(studies=1, instances=1)


def test_an_instance_that_is_none_is_left_out(archive: Archive, here: Polling) -> None:
    archive.add("a", 2)
    archive.studies[ident("a")][0] = b"no DICOM at all"
    assert here.look() == Fetched(studies=1, instances=1, refused=1)


def test_without_room_nothing_is_skipped(archive: Archive, here: Polling) -> None:
    archive.add("a", 1)
    here.inbox = Inbox(here.folder / "full", InboxSettings(free_mb=2**30))
    here.restart()
    with pytest.raises(NotKeptError):
        here.look()
    here.inbox = Inbox(here.folder / "inbox", InboxSettings(free_mb=1))
    here.restart()
    assert here.look() == Fetched(studies=1, instances=1)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"Changes": [{}], "Last": 1, "Done": True},
        {"Changes": 3, "Last": 1, "Done": True},
        {
            "Changes": [
                {"Seq": 1, "ChangeType": "StableStudy", "ID": "../../x", "Date": "20260101T101112"}
            ],
            "Last": 1,
            "Done": True,
        },
    ],
    ids=["list", "empty", "no change", "no list", "path"],
)
def test_what_is_no_orthanc_is_refused_in_words(
    archive: Archive, here: Polling, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "answer", lambda _: answer)
    with pytest.raises(PeerRefused, match="none of Orthanc"):
        here.look()


def test_an_archive_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable):
        Polling("http://127.0.0.1:9", tmp_path).look()
