"""A pretended Orthanc, and a poller of it."""

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

from ctdenoise.config.receiver import InboxSettings, OrthancSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.pacs.kept import Kept
from ctdenoise.pacs.orthanc import Fetched, OrthancPoller
from tests.dicom.builders import as_bytes
from tests.pacs.receiving import one_slice


@dataclass
class Notes:
    notes: dict[str, JsonValue] = field(default_factory=dict)

    def note(self, key: str, value: JsonValue) -> None:
        self.notes[key] = value
        if value is None:
            del self.notes[key]

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
    given_up: list[str] = field(default_factory=list)

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
            on_given_up=self.gave_up,
        )

    def gave_up(self, study: str, why: str) -> None:
        assert why
        self.given_up.append(study)

    def look(self) -> Fetched:
        return self.poller.look()

    def look_until(self, studies: int) -> None:
        until, pause = time.monotonic() + 60, threading.Event()
        while len(self.stable) < studies:
            self.look()
            assert time.monotonic() < until
            pause.wait(0.1)


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
