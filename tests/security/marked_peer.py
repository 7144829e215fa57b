"""A peer that has the marked study and says more about it than it was asked: DIMSE and DICOMweb.

A process of its own, so that what its libraries log is not taken for what ours do. It prints its
two ports. As long as a file `fail` lies beside it, it fails, and quotes the patient in its reasons.

Run as `python -m tests.security.marked_peer FOLDER`.
"""

from __future__ import annotations

import copy
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.dicom.builders import as_bytes
from tests.security.marked import ROOT_UID, TEXT, marked_series, marker_of

_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_OUT_OF_RESOURCES, _UNABLE, _PENDING = 0xA700, 0xC001, 0xFF00


class MarkedPeer:
    """What both ways of asking have in common.

    Args:
        folder: Where somebody may say that it is to fail.
    """

    def __init__(self, folder: Path) -> None:
        self._fail = folder / "fail"
        self.instances = marked_series(slices=2)
        for one in self.instances:
            one.file_meta = FileMetaDataset()
            one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian

    @property
    def fails(self) -> bool:
        return self._fail.exists()

    def match(self, level: str) -> Dataset:
        """All that it knows, asked for or not."""
        found = Dataset()
        header = (one for one in self.instances[0] if one.tag < 0x00280000)
        found.update({one.tag: copy.deepcopy(one) for one in header})
        found.QueryRetrieveLevel = level
        found.NumberOfStudyRelatedInstances = found.NumberOfSeriesRelatedInstances = 2
        found.NumberOfStudyRelatedSeries = 1
        found.ModalitiesInStudy = "CT"
        return found

    def reason(self) -> Dataset:
        """Why it fails, in words that name the patient."""
        status = Dataset()
        status.Status = _UNABLE
        status.ErrorComment = f"no {marker_of('PatientName')} {ROOT_UID}.1"[:64]
        return status

    def on_find(self, event: evt.Event) -> Iterator[tuple[Any, Dataset | None]]:
        if self.fails:
            yield self.reason(), None
            return
        level = event.identifier.QueryRetrieveLevel
        matches = self.instances if level == "IMAGE" else self.instances[:1]
        for one in matches:
            found = self.match(level)
            found.SOPInstanceUID = one.SOPInstanceUID
            yield _PENDING, found

    def on_get(self, _: evt.Event) -> Iterator[Any]:
        if self.fails:
            yield 1
            yield self.reason(), None
            return
        yield len(self.instances)
        for one in self.instances:
            yield _PENDING, one

    def on_move(self, _: evt.Event) -> Iterator[Any]:
        yield None, None  # nobody is known here: 0xA801

    def on_store(self, _: evt.Event) -> Any:
        return self.reason() if self.fails else 0x0000

    def listen(self) -> Any:
        ae = AE("ANY")
        for sop_class in (
            Verification,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            ae.add_supported_context(sop_class, _SYNTAXES)
        ae.add_supported_context(CTImageStorage, _SYNTAXES, scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_C_FIND, self.on_find),
            (evt.EVT_C_GET, self.on_get),
            (evt.EVT_C_MOVE, self.on_move),
            (evt.EVT_C_STORE, self.on_store),
        ]
        return ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)


class _Web(BaseHTTPRequestHandler):
    """QIDO-RS, WADO-RS and STOW-RS of the same."""

    protocol_version = "HTTP/1.1"
    peer: MarkedPeer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library has it
        """Say nothing."""

    def do_GET(self) -> None:
        if self.peer.fails:
            self._answer(404, "text/plain", f"no {TEXT} {ROOT_UID} here".encode())
        elif "dicom+json" in self.headers.get("Accept", ""):
            level = "IMAGE" if "/instances" in self.path else "STUDY"
            instances = self.peer.instances if level == "IMAGE" else self.peer.instances[:1]
            found = []
            for one in instances:
                match = self.peer.match(level)
                match.SOPInstanceUID = one.SOPInstanceUID
                found.append(match.to_json_dict())
            self._answer(200, "application/dicom+json", json.dumps(found).encode())
        else:
            parts = b"".join(
                b"--part\r\nContent-Type: application/dicom\r\n\r\n" + as_bytes(one) + b"\r\n"
                for one in self.peer.instances
            )
            kind = 'multipart/related; type="application/dicom"; boundary=part'
            self._answer(200, kind, parts + b"--part--\r\n")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        words = f"{TEXT} {ROOT_UID} cannot be stored".encode()
        self._answer(400, "text/plain", words)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status, f"{TEXT} {ROOT_UID}" if status >= 400 else None)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(folder: Path) -> None:
    """Listen until nobody reads from us any more."""
    peer = MarkedPeer(folder)
    dimse = peer.listen()
    web = ThreadingHTTPServer(("127.0.0.1", 0), type("Web", (_Web,), {"peer": peer}))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    print(dimse.socket.getsockname()[1], web.server_address[1], flush=True)
    sys.stdin.read()
    dimse.shutdown()
    web.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
