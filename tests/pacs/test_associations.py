"""What peers do instead of answering becomes an error in words, final or not, within its time."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from ctdenoise.errors import PeerRefused, PeerUnavailable
from ctdenoise.pacs.client import echo, find
from ctdenoise.pacs.commands import Command, Element, Operation, cancel, parsed, request, response
from ctdenoise.pacs.matches import Wanted
from ctdenoise.pacs.sender import send
from tests.pacs.listening import (
    AT_ONCE,
    SERVER_LEAVES_SOCKETS,
    TellsWaits,
    peer_at,
    read_request,
    scripted,
    series,
    store_scp,
    until_closed,
)

pytestmark = SERVER_LEAVES_SOCKETS

SHORT = {"connect_s": 20.0, "association_s": 0.4, "answer_s": 0.4, "network_s": 0.4}


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def says(*answers: bytes):
    """A script that answers each thing it is asked, then reads on."""

    def script(caller: socket.socket) -> None:
        for answer in answers:
            read_request(caller)
            caller.sendall(answer)
        until_closed(caller)

    return script


@pytest.mark.parametrize(
    ("result", "source", "reason", "kind", "words"),
    [
        (1, 1, 1, PeerRefused, "no reason given"),
        (1, 1, 3, PeerRefused, "does not know our AE title"),
        (1, 1, 7, PeerRefused, "its AE title is another one"),
        (2, 1, 7, PeerRefused, "its AE title is another one"),
        (1, 2, 2, PeerRefused, "protocol version"),
        (2, 3, 1, PeerUnavailable, "congested"),
        (2, 3, 2, PeerUnavailable, "as many associations as it can have"),
        (1, 3, 2, PeerUnavailable, "as many associations as it can have"),
        (2, 1, 1, PeerUnavailable, "no reason given"),
        (9, 9, 9, PeerUnavailable, "reason 9 of source 9"),
    ],
)
def test_reasons_of_a_rejection_are_told_and_told_apart(result, source, reason, kind, words):
    answer = pdu(3, bytes((0, result, source, reason)))
    with scripted(says(answer)) as peer, pytest.raises(kind, match=words):
        echo(peer)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        pdu(2, b""),
        pdu(2, b"\0\1" + bytes(66) + b"\x21\x00\xff\xff"),
        pdu(2, bytes(64)),
        pdu(1, b"\0\1" + bytes(66)),
        pdu(5, bytes(4)),
        struct.pack(">BxL", 4, 0xFFFFFFFF),
        struct.pack(">BxL", 2, 0x7FFFFFFF),
    ],
    ids=["http", "tls", "empty", "wrong-length", "nothing", "asks", "release", "4GB", "2GB"],
)
def test_an_answer_that_is_none_is_no_crash_and_takes_no_memory(answer):
    with scripted(says(answer)) as peer:
        with pytest.raises((PeerRefused, PeerUnavailable)) as caught:
            echo(peer)
        assert "127.0.0.1" in str(caught.value)


def test_a_tls_port_is_recognised():
    with (
        scripted(says(b"\x15\x03\x01\x00\x02\x02\x46")) as peer,
        pytest.raises(PeerRefused, match=r"wants encryption: give it tls"),
    ):
        echo(peer)


@pytest.mark.parametrize("source", [0, 2])
def test_an_abort_may_pass(source):
    with (
        scripted(says(pdu(7, bytes((0, 0, source, 0))))) as peer,
        pytest.raises(PeerUnavailable, match="aborted the association"),
    ):
        echo(peer)


def test_a_peer_that_says_nothing_is_left_within_its_time():
    with scripted(until_closed, timeouts=SHORT) as peer:
        started = time.monotonic()
        with pytest.raises(PeerUnavailable, match="nothing moved for too long"):
            echo(peer)
        assert time.monotonic() - started < 20


def test_a_peer_that_drips_is_left_within_its_time():
    left = threading.Event()

    def drips(caller: socket.socket) -> None:
        read_request(caller)
        caller.sendall(struct.pack(">BxL", 2, 100_000))
        while not left.wait(0.05):
            caller.sendall(b"\0")

    with scripted(drips, timeouts=SHORT) as peer:
        with pytest.raises(PeerUnavailable, match="nothing moved for too long"):
            echo(peer)
        left.set()


def test_a_peer_that_does_not_read_is_left_within_its_time(tmp_path):
    files = series(tmp_path, slices=1, size=1500)  # more than all buffers on the way hold
    left = threading.Event()
    with store_scp(lambda _: 0) as known:
        accepted: list[bytes] = []
        relay(known.port, accepted, files)

        def stalls(caller: socket.socket) -> None:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            read_request(caller)
            caller.sendall(accepted[0])
            left.wait(60)

        with scripted(stalls, timeouts=SHORT) as peer:
            with pytest.raises(PeerUnavailable, match="while something was sent"):
                send(files, peer, retry=AT_ONCE.replaced(tries=1))
            left.set()


def relay(port: int, accepted: list[bytes], files: Any) -> None:
    """Keep what a real SCP answers to the association request for some files."""

    def listens(caller: socket.socket) -> None:
        asked = read_request(caller)
        with socket.create_connection(("127.0.0.1", port)) as real:
            real.sendall(asked)
            accepted.append(read_request(real))
            real.sendall(pdu(7, bytes(4)))

    with scripted(listens) as between, pytest.raises(PeerUnavailable):
        send(files, between, retry=AT_ONCE.replaced(tries=1))


def test_nothing_that_listens_is_told_and_tried_again(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clock = TellsWaits()
    with pytest.raises(PeerUnavailable, match="nothing listens there"):
        send(series(tmp_path, slices=1), peer_at(port), retry=AT_ONCE, clock=clock)
    assert clock.waits == [1.0, 2.0]


def test_a_name_that_nobody_knows_is_told():
    peer = peer_at(104, host="no-such-host.invalid")
    with pytest.raises(PeerUnavailable, match=r"name is not known|no way to it|in time"):
        echo(peer)


def test_a_peer_that_disappears_midway_gets_the_rest_when_it_is_back(tmp_path):
    files, seen = series(tmp_path, slices=5), []

    def keeps(event: evt.Event) -> int:
        seen.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    with store_scp(keeps) as known:

        class ComesBack(TellsWaits):
            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                peer_now["port"] = known.port

        peer_now: dict[str, int] = {}

        def cuts(caller: socket.socket) -> None:
            """Pass on one association until two instances were answered, then vanish."""
            with socket.create_connection(("127.0.0.1", known.port)) as real:
                real.settimeout(30)
                real.sendall(read_request(caller))
                caller.sendall(read_request(real))
                for _ in range(2):
                    flags = 0
                    while flags != 2:
                        piece = read_request(caller)
                        flags = piece[11]
                        real.sendall(piece)
                    caller.sendall(read_request(real))
                read_request(caller)

        def passes(caller: socket.socket) -> None:
            with socket.create_connection(("127.0.0.1", known.port)) as real:
                real.settimeout(30)
                while True:
                    asked = read_request(caller)
                    real.sendall(asked)
                    is_end = asked[0] == 4 and asked[11] == 2
                    if asked[0] in (1, 5) or is_end:
                        caller.sendall(read_request(real))

        with scripted(cuts, passes) as between:
            report = send(files, between, retry=AT_ONCE, clock=ComesBack())
    assert report.sent == 5
    assert report.failures == 1
    assert len(seen) == len(set(seen)) == 5


def test_titles_are_what_the_peer_is_told():
    told = []
    ae = AE(ae_title="THIS ONE")
    ae.add_supported_context(Verification)
    ae.require_called_aet = True
    ae.require_calling_aet = ["US"]

    def remembers(event: evt.Event) -> int:
        told.append((event.assoc.requestor.ae_title, event.assoc.requestor.maximum_length))
        return 0

    handlers = [(evt.EVT_C_ECHO, remembers)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        port = server.server_address[1]
        right = {"ae_title": "THIS ONE", "calling_ae_title": "US", "max_pdu": 20_000}
        assert echo(peer_at(port, **right)).implementation.startswith("PYNETDICOM")
        for wrong in ({"ae_title": "OTHER"}, {"calling_ae_title": "THEM"}):
            with pytest.raises(PeerRefused, match="AE title"):
                echo(peer_at(port, **{**right, **wrong}))
    finally:
        server.shutdown()
    assert told == [("US", 20_000)]


def test_a_service_that_is_not_offered_is_named():
    with (
        store_scp(lambda _: 0) as peer,
        pytest.raises(PeerRefused, match="Study Root Query"),
    ):
        find(peer, "study", Wanted(), most=10)


def test_a_command_set_survives_its_bytes():
    asked = request(
        Operation.STORE,
        77,
        "1.2.840.10008.5.1.4.1.1.2",
        has_data=True,
        more={Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3"},
    )
    back = parsed(asked.encoded())
    assert back.field == Operation.STORE
    assert back.has_data
    assert back.text(Element.AFFECTED_SOP_INSTANCE_UID) == "1.2.3"
    answer = parsed(response(back, 0xA700).encoded())
    assert answer.answers(Operation.STORE, 77)
    assert not answer.answers(Operation.STORE, 78)
    assert answer.status == 0xA700
    assert not parsed(cancel(5).encoded()).has_data


@pytest.mark.parametrize("data", [b"\0", b"\x08\0\x05\0\0\0\0\0", b"\0\0\0\1\xff\xff\xff\xff"])
def test_bytes_that_are_no_command_set_are_refused(data):
    with pytest.raises(ValueError, match="command set"):
        parsed(data)


def test_a_status_that_is_missing_is_no_success():
    assert Command({}).status != 0


def test_nothing_of_a_patient_is_logged_at_any_level(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("pynetdicom", "pynetdicom.assoc", "pydicom"):
        logging.getLogger(name)
    with store_scp(lambda _: 0xB007) as peer:
        caplog.clear()
        send(series(tmp_path), peer)
        said = "\n".join(
            record.getMessage() for record in caplog.records if record.name.startswith("ctdenoise")
        )
    assert "Marker" not in said
    assert "4711" not in said
