"""A Storage SCP that keeps and counts what it is sent, in a process of its own.

    python -m tests.pacs.dimse_destination FOLDER PORT

The port is printed once it listens (0: a free one). It ends when its stdin does.
"""

from __future__ import annotations

import itertools
import socket
import sys
from pathlib import Path

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from tests.pacs.recording import Recorder, obey

_REJECTIONS = {"calling": (1, 1, 3), "called": (1, 1, 7), "busy": (2, 3, 2)}
"""Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""


class _Destination:
    def __init__(self, folder: Path) -> None:
        self.recorder = Recorder(folder)
        self._numbers = itertools.count(1)
        self.ae = AE(ae_title="DESTINATION")
        self.ae.network_timeout = None
        self.ae.maximum_associations = 50
        for context in AllStoragePresentationContexts:
            self.ae.add_supported_context(str(context.abstract_syntax), AllTransferSyntaxes)
        self.ae.add_supported_context(Verification)

    def opened(self, event: evt.Event) -> None:
        event.assoc.number = next(self._numbers)

    def store(self, event: evt.Event) -> int:
        return self.recorder.receive(
            str(event.request.AffectedSOPInstanceUID),
            event.encoded_dataset(include_meta=False),
            event.encoded_dataset(),
            event.assoc.number,
            event.assoc.requestor.ae_title,
            event.assoc.abort,
        )

    def asked(self, event: evt.Event) -> None:
        answer = _REJECTIONS.get(self.recorder.behaviour.reject)
        if answer is not None:
            event.assoc.acse.send_reject(*answer)
            event.assoc.kill()


def main(folder: Path, port: int) -> None:
    destination = _Destination(folder)
    server = destination.ae.start_server(
        ("127.0.0.1", port),
        block=False,
        evt_handlers=[
            (evt.EVT_REQUESTED, destination.asked),
            (evt.EVT_ACCEPTED, destination.opened),
            (evt.EVT_C_STORE, destination.store),
        ],
    )
    listening: socket.socket = server.socket
    listening.listen(64)
    print(listening.getsockname()[1], flush=True)
    obey(destination.recorder)
    server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
