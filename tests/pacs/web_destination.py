"""A DICOMweb archive that keeps and counts what it is sent by STOW-RS, in a process of its own.

    python -m tests.pacs.web_destination FOLDER PORT

Written from PS3.18 10.5 (Store) and 10.6 (Search) with nothing but Python's own HTTP server. It
answers searches for instances of a study or a series by what it has kept. The port is printed once
it listens (0: a free one). It ends when its stdin does.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import socket
import sys
import threading
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread

from tests.pacs.recording import Recorder, obey

_OK = {0, int(HTTPStatus.OK)}
_SEARCH = re.compile(r"^(?:/studies/(?P<study>[\d.]+))?(?:/series/(?P<series>[\d.]+))?/instances$")


def parts(body: bytes, content_type: str) -> list[bytes]:
    """The files of a multipart body (RFC 2046 5.1).

    Raises:
        ValueError: If the body does not end with its closing boundary.
    """
    message = Message()
    message["Content-Type"] = content_type
    boundary = b"\r\n--" + str(message.get_param("boundary")).encode()
    _, *found = (b"\r\n" + body).split(boundary)
    if not found or not found[-1].startswith(b"--"):
        raise ValueError("The body does not end with its closing boundary.")
    return [part.split(b"\r\n\r\n", 1)[1] for part in found[:-1]]


class _Answers(BaseHTTPRequestHandler):
    """One request after the other of one connection."""

    protocol_version = "HTTP/1.1"
    server: _Archive

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Store (PS3.18 10.5)."""
        body = self._body()
        if self._turned_away():
            return
        stored, failed, refused = [], [], 0
        for file in parts(body, self.headers["Content-Type"]):
            identity = dcmread(io.BytesIO(file), specific_tags=["SOPClassUID", "SOPInstanceUID"])
            status = self._receive(file, str(identity.SOPInstanceUID))
            item = {
                "00081150": {"vr": "UI", "Value": [str(identity.SOPClassUID)]},
                "00081155": {"vr": "UI", "Value": [str(identity.SOPInstanceUID)]},
            }
            if status in _OK:
                stored.append(item)
            elif status >= 0xA000:  # a failure reason of this instance (PS3.18 Table I.2-2)
                failed.append({**item, "00081197": {"vr": "US", "Value": [status]}})
            else:
                refused = status
        if refused:
            self._answer(refused, {})
            return
        answer = {}
        if stored:
            answer["00081199"] = {"vr": "SQ", "Value": stored}
        if failed:
            answer["00081198"] = {"vr": "SQ", "Value": failed}
        accepted = HTTPStatus.ACCEPTED if stored else HTTPStatus.CONFLICT
        self._answer(accepted if failed else HTTPStatus.OK, answer)

    def do_GET(self) -> None:
        """Search for instances (PS3.18 10.6)."""
        if self._turned_away():
            return
        url = urlsplit(self.path)
        asked = _SEARCH.match(url.path)
        if asked is None:
            self._answer(HTTPStatus.NOT_FOUND, {})
            return
        wanted = {
            "StudyInstanceUID": asked["study"],
            "SeriesInstanceUID": asked["series"],
            **{key: values[0] for key, values in parse_qs(url.query).items()},
        }
        self._answer(HTTPStatus.OK, self.server.found(wanted))

    def _receive(self, file: bytes, uid: str) -> int:
        body = io.BytesIO(file)
        skip_file_meta(body)
        data_set = file[body.tell() :]
        return self.server.recorder.receive(
            uid, data_set, file, self.server.next_number(), "", self._break_off
        )

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _turned_away(self) -> bool:
        status = {"busy": HTTPStatus.SERVICE_UNAVAILABLE, "calling": HTTPStatus.FORBIDDEN}.get(
            self.server.recorder.behaviour.reject
        )
        if status is not None:
            self._answer(status, {})
        return status is not None

    def _break_off(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def skip_file_meta(file: io.BytesIO) -> None:
    """Move to the first byte of the data set of a DICOM file."""
    file.seek(132)
    length_element = file.read(12)  # (0002,0000) UL, explicit little endian: its value is a length
    length = int.from_bytes(length_element[8:12], "little")
    file.seek(length, io.SEEK_CUR)


class _Archive(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, folder: Path, port: int) -> None:
        self.recorder = Recorder(folder)
        self._numbers, self._lock = itertools.count(1), threading.Lock()
        super().__init__(("127.0.0.1", port), _Answers)

    def next_number(self) -> int:
        with self._lock:
            return next(self._numbers)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever goes away in the middle has gone away."""

    def found(self, wanted: dict[str, str | None]) -> list[dict[str, Any]]:
        """The instances that fit, as a search answers them."""
        keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        answers = []
        for path in sorted((self.recorder.folder / "instances").glob("*.dcm")):
            data_set = dcmread(path, specific_tags=[*keywords, "SOPClassUID"])
            fits = (wanted.get(key) in {None, data_set.get(key)} for key in keywords)
            if all(fits):
                answers.append(data_set.to_json_dict())
        return answers


def main(folder: Path, port: int) -> None:
    archive = _Archive(folder, port)
    thread = threading.Thread(target=archive.serve_forever, daemon=True)
    thread.start()
    print(archive.server_address[1], flush=True)
    obey(archive.recorder)
    archive.shutdown()
    archive.server_close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
