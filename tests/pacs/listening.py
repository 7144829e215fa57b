"""Peers for tests of the client: a storage SCP that answers what it is told, and worse."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from ctdenoise.config.load import checked
from ctdenoise.config.peers import DimsePeer, RetrySettings
from tests.dicom.builders import ct_series, marked_volume, series_files

QUICK = {"connect_s": 20.0, "association_s": 20.0, "answer_s": 20.0, "network_s": 20.0}
AT_ONCE = RetrySettings(tries=3, first_wait_s=1.0, factor=2.0, jitter=0.0)


SERVER_LEAVES_SOCKETS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
"""For tests in which the client goes first: pynetdicom 3.0.4 then does not close the socket of its
server (`AssociationSocket._shutdown_socket` closes it only where shutting it down succeeds)."""


class TellsWaits:
    """A clock on which nobody waits, that remembers how long one would have."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """Seconds waited so far."""
        return sum(self.waits)

    def sleep(self, seconds: float) -> None:
        """Remember the wait."""
        self.waits.append(seconds)


def dcmtk(program: str) -> str:
    """The path of a program of dcmtk: programs of the same names come with pynetdicom.

    The test is skipped where dcmtk is not installed.
    """
    elsewhere = [p for p in os.get_exec_path() if not p.startswith(sys.prefix)]
    found = shutil.which(program, path=os.pathsep.join(elsewhere))
    if found is None:
        pytest.skip(f"{program} is not installed (Debian package dcmtk)")
    return found


def peer_at(port: int, **more: Any) -> DimsePeer:
    """A peer on this machine; one that answers late is still waited for."""
    values = {"host": "127.0.0.1", "port": port, "ae_title": "ANY", "timeouts": QUICK, **more}
    return checked(DimsePeer, values)


def series(folder: Path, *, slices: int = 4, size: int = 16, **more: Any) -> list[Path]:
    """Files of a small CT series."""
    return series_files(folder, ct_series(marked_volume(slices=slices, size=(size, size))), **more)


@contextmanager
def store_scp(
    answer: Callable[[evt.Event], int],
    *,
    syntaxes: Sequence[str] = tuple(AllTransferSyntaxes),
    classes: Sequence[str] = (CTImageStorage,),
    tls: ssl.SSLContext | None = None,
    tls_settings: dict[str, Any] | None = None,
    ae: AE | None = None,
    **more: Any,
) -> Iterator[DimsePeer]:
    """A storage SCP of pynetdicom.

    Args:
        answer: Gives the status for every instance.
        syntaxes: Transfer syntaxes that it accepts.
        classes: SOP classes that it accepts, beside C-ECHO.
        tls: Encryption on its side.
        tls_settings: Encryption on ours.
        ae: An application entity to be used instead.
        more: Settings of the peer that is given.
    """
    ae = ae or AE(ae_title="ANY")
    ae.add_supported_context(Verification)
    for uid in classes:
        ae.add_supported_context(uid, list(syntaxes))
    handlers = [(evt.EVT_C_STORE, answer)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
    try:
        yield peer_at(server.server_address[1], tls=tls_settings, **more)
    finally:
        server.shutdown()


@contextmanager
def scripted(*scripts: Callable[[socket.socket], None], **more: Any) -> Iterator[DimsePeer]:
    """A peer that does with each connection what a function says; the last serves the rest.

    Args:
        scripts: Called with the socket, one for each connection; it is closed afterwards.
        more: Settings of the peer that is given.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    left = list(scripts)

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            script = left.pop(0) if len(left) > 1 else left[0]
            with caller, suppress(OSError):
                caller.settimeout(60)
                script(caller)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield peer_at(listener.getsockname()[1], **more)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def read_request(caller: socket.socket) -> bytes:
    """One PDU that the client sends."""
    head = _exactly(caller, 6)
    return head + _exactly(caller, int.from_bytes(head[2:], "big"))


def until_closed(caller: socket.socket) -> None:
    """Read whatever comes until the client closes."""
    while caller.recv(1 << 16):
        pass


def _exactly(caller: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = caller.recv(count - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data
