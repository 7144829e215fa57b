"""A web server for tests of the client: it answers what it is told, and worse."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydicom import dcmread

from ctdenoise.config.load import checked
from ctdenoise.config.peers import WebPeer
from tests.pacs.listening import QUICK
from tests.pacs.web_destination import parts

DICOM_JSON = "application/dicom+json"


@dataclass
class Asked:
    """One request.

    Args:
        path: With its query.
        files: What was stored with it, by SOPInstanceUID.
        size: Of its body.
    """

    path: str
    files: dict[str, bytes] = field(default_factory=dict)
    size: int = 0


@dataclass
class Reply:
    """What is answered.

    Args:
        status: HTTP status.
        body: The body.
        kind: Its media type.
        length: What is said of its length; None for the truth.
        headers: Others.
    """

    status: int = 200
    body: bytes = b""
    kind: str = DICOM_JSON
    length: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


def stored(asked: Asked, reasons: dict[int, int] | None = None, status: int = 200) -> Reply:
    """An answer of STOW-RS: everything is stored but those that have a reason, by their place."""
    reasons = reasons or {}
    good, bad = [], []
    for place, uid in enumerate(asked.files):
        item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
        if place not in reasons:
            good.append(item)
        elif reasons[place] >> 12 == 0xB:
            good.append({**item, "00081196": {"vr": "US", "Value": [reasons[place]]}})
        else:
            bad.append({**item, "00081197": {"vr": "US", "Value": [reasons[place]]}})
    answer = {}
    if good:
        answer["00081199"] = {"vr": "SQ", "Value": good}
    if bad:
        answer["00081198"] = {"vr": "SQ", "Value": bad}
    return Reply(status, json.dumps(answer).encode())


@contextmanager
def web_server(
    answer: Callable[[Asked], Reply | None], **more: Any
) -> Iterator[tuple[WebPeer, list[Asked]]]:
    """A server and what it was asked.

    Args:
        answer: Gives the reply to each request; None to close without one.
        more: Settings of the peer that is given.
    """
    seen: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._reply(Asked(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = Asked(self.path, size=len(body))
            for file in parts(body, self.headers["Content-Type"]):
                asked.files[str(dcmread(io.BytesIO(file)).SOPInstanceUID)] = file
            self._reply(asked)

        def _reply(self, asked: Asked) -> None:
            seen.append(asked)
            reply = answer(asked)
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            length = len(reply.body) if reply.length is None else reply.length
            self.send_header("Content-Length", str(length))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            if length != len(reply.body):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that leaves is what is tested
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
        yield checked(WebPeer, {"url": url, "timeouts": QUICK, **more}), seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
