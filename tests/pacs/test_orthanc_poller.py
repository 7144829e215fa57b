"""Studies that an Orthanc calls stable are fetched, once, whatever becomes of its history."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ctdenoise.config.receiver import InboxSettings, OrthancSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import PeerRefused, PeerUnavailable
from ctdenoise.pacs.inbox import Inbox, NotKeptError
from ctdenoise.pacs.kept import Kept
from ctdenoise.pacs.orthanc import Fetched, OrthancPoller
from tests.dicom.builders import as_bytes, uid
from tests.pacs.orthanc import Orthanc
from tests.pacs.receiving import one_slice, without_meta


@dataclass
class Notes:
    notes: dict[str, JsonValue] = field(default_factory=dict)

    def note(self, key: str, value: JsonValue) -> None:
        self.notes[key] = value

    def noted(self, key: str) -> JsonValue:
        return self.notes.get(key)


@dataclass
class Polling:
    """A poller and what it brought."""

    url: str
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    memory: Notes = field(default_factory=Notes)
    kept: list[Kept] = field(default_factory=list)
    stable: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.folder / "inbox", InboxSettings(free_mb=1, durable=False))
        self.restart()

    def restart(self) -> None:
        settings = OrthancSettings.model_validate(
            {"archive": {"url": self.url, "timeouts": {"answer_s": 5}}, **self.options}
        )
        self.poller = OrthancPoller(
            settings,
            self.inbox,
            on_kept=self.kept.append,
            on_stable=self.stable.append,
            memory=self.memory,
        )

    def look(self) -> Fetched:
        return self.poller.look()

    def look_until(self, studies: int) -> None:
        until, pause = time.monotonic() + 60, threading.Event()
        while len(self.stable) < studies:
            self.look()
            assert time.monotonic() < until
            pause.wait(0.1)


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


@dataclass
class Archive:
    """What a pretended Orthanc holds: its history and its studies."""

    changes: list[dict[str, Any]] = field(default_factory=list)
    studies: dict[str, list[bytes]] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    number: int = 0

    def add(self, name: str, count: int, *, day: str = "20260101") -> None:
        """A study becomes stable, with so many instances in it."""
        self.studies[ident(name)] = [as_bytes(one_slice(name, index)) for index in range(count)]
        self.number += 1
        self.changes.append(
            {
                "Seq": self.number,
                "ChangeType": "StableStudy",
                "ID": ident(name),
                "Date": f"{day}T101112",
            }
        )

    def answer(self, target: str) -> Any:
        path, _, query = target.partition("?")
        if path == "/changes":
            asked = dict(part.split("=") for part in query.split("&"))
            if "last" in asked:
                return {"Changes": self.changes[-1:], "Done": True, "Last": self._last}
            since, limit = int(asked["since"]), int(asked["limit"])
            found = [one for one in self.changes if one["Seq"] > since]
            last = found[:limit][-1]["Seq"] if found else self._last
            return {"Changes": found[:limit], "Done": len(found) <= limit, "Last": last}
        kind, name, *rest = path.strip("/").split("/")
        if kind == "studies" and name in self.studies:
            return self._series(name) if rest else {"MainDicomTags": {"StudyInstanceUID": "1.2"}}
        if kind == "instances":
            study, index = name[:8], int(name[-8:])
            return next(files[index] for one, files in self.studies.items() if one[:8] == study)
        return None

    @property
    def _last(self) -> int:
        return max((one["Seq"] for one in self.changes), default=0)

    def _series(self, name: str) -> list[dict[str, Any]]:
        ids = [f"{name[:36]}{index:08d}" for index in range(len(self.studies[name]))]
        return [{"MainDicomTags": {"Manufacturer": "Maker"}, "Instances": ids}]


def ident(name: str) -> str:
    part = name.encode().hex().rjust(8, "0")
    return "-".join([part] * 5)


@contextmanager
def pretended(archive: Archive) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            archive.asked.append(self.path)
            found = archive.answer(self.path)
            status = archive.status.get(self.path.partition("?")[0], 404 if found is None else 200)
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


def test_a_failure_in_the_midst_is_tried_again_without_the_studies_before(
    archive: Archive, here: Polling
) -> None:
    for name in ("a", "b", "c"):
        archive.add(name, 1)
    broken = f"/studies/{ident('b')}/series"
    archive.status[broken] = 503
    for _ in range(2):
        with pytest.raises(PeerUnavailable):
            here.look()
    assert len(here.stable) == 1
    archive.status.clear()
    assert here.look() == Fetched(studies=2, instances=2)


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
