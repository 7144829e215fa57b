"""What a sender says in a correct session, byte by byte, and ways to spoil it."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import suppress

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from tests.dicom.builders import as_bytes

Session = list[bytes]
"""The PDUs of a session, in order."""

TRAVERSAL = b"../../../../../../../../../../tmp/ctdenoise-escaped"
ABSOLUTE = b"/tmp/ctdenoise-escaped"


def correct_session(port: int, dataset: Dataset) -> Session:
    """The PDUs with which a data set is sent; it is sent once."""
    said: Session = []
    ae = AE("FUZZER")
    ae.add_requested_context(CTImageStorage, [ExplicitVRLittleEndian])
    ae.add_requested_context(Verification)
    handlers = [(evt.EVT_DATA_SENT, lambda event: said.append(event.data))]
    association = ae.associate(
        "127.0.0.1", port, ae_title="CTDENOISE", max_pdu=16_384, evt_handlers=handlers
    )
    assert association.is_established
    dataset.file_meta = Dataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    assert association.send_c_echo().Status == 0
    assert association.send_c_store(dataset).Status == 0
    association.release()
    return said


def whole_file(dataset: Dataset) -> bytes:
    """A DICOM file, which is no PDU."""
    return as_bytes(dataset)


def spoiled(session: Session, rng: random.Random) -> Session:
    """A session with a few things wrong."""
    result = list(session)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(result)) if result else 0
        if result:
            rng.choice(_WAYS)(result, place, rng)
    return result


def _bytes_changed(session: Session, place: int, rng: random.Random) -> None:
    data = bytearray(session[place])
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if data:
            data[rng.randrange(min(len(data), rng.choice((12, 300, 10**9))))] = rng.randrange(256)
    session[place] = bytes(data)


def _length_forged(session: Session, place: int, rng: random.Random) -> None:
    data = bytearray(session[place])
    start = rng.choice((2, 6, rng.randrange(max(1, len(data) - 4))))
    width = rng.choice((2, 4))
    order: Callable[[int], bytes] = lambda value: value.to_bytes(8, "big")[-width:]  # noqa: E731
    data[start : start + width] = order(rng.choice((0, 1, 2, 0x7FFF, 0xFFFF, 2**31, 2**32 - 1)))
    session[place] = bytes(data)


def _cut(session: Session, place: int, rng: random.Random) -> None:
    session[place] = session[place][: rng.randrange(len(session[place]) + 1)]


def _left_out(session: Session, place: int, rng: random.Random) -> None:
    del session[place]


def _said_twice(session: Session, place: int, rng: random.Random) -> None:
    session.insert(rng.randrange(len(session)), session[place])


def _out_of_order(session: Session, place: int, rng: random.Random) -> None:
    session.append(session.pop(place))


def _noise_between(session: Session, place: int, rng: random.Random) -> None:
    session.insert(place, rng.randbytes(rng.choice((1, 6, 10, 100, 5000))))


def _text_replaced(session: Session, place: int, rng: random.Random) -> None:
    """A path where a UID or an AE title was, of the same length."""
    data = session[place]
    for _ in range(rng.randint(1, 4)):
        start = data.find(
            rng.choice((b"1.2.", b"FUZZER", b"CTDENOISE")), rng.randrange(len(data) + 1)
        )
        if start >= 0:
            text = rng.choice(
                (TRAVERSAL, ABSOLUTE, b"\0" * 64, b"\xff" * 64, b"A" * 64, b"%s%n" * 9)
            )
            length = rng.randrange(1, 40)
            data = data[:start] + text[:length] + data[start + length :]
    session[place] = data


def _kind_changed(session: Session, place: int, rng: random.Random) -> None:
    session[place] = bytes((rng.randrange(12),)) + session[place][1:]


_WAYS = (
    _bytes_changed,
    _bytes_changed,
    _length_forged,
    _length_forged,
    _cut,
    _left_out,
    _said_twice,
    _out_of_order,
    _noise_between,
    _text_replaced,
    _text_replaced,
    _kind_changed,
)


def unrelated(rng: random.Random, file: bytes) -> Session:
    """Something that is no DICOM session at all."""
    return [
        rng.choice(
            (
                b"",
                rng.randbytes(rng.choice((1, 5, 6, 7, 1000, 100_000))),
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
                b"SSH-2.0-OpenSSH_9.2\r\n",
                file[:20_000],
                b"\x01\x00\xff\xff\xff\xff" + rng.randbytes(2000),
                b"\x04\x00\xff\xff\xff\xff" + rng.randbytes(2000),
                b"\x01\x00\x00\x00\x00\x00",
            )
        )
    ]


def say(port: int, session: Session, *, timeout_s: float = 20.0) -> bytes:
    """Say a session to a port and listen until the other end closes.

    Raises:
        TimeoutError: If it does not.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as line:
        with suppress(ConnectionError):
            line.sendall(b"".join(session))
        with suppress(OSError):
            line.shutdown(socket.SHUT_WR)
        heard = b""
        with suppress(ConnectionError):
            while piece := line.recv(1 << 16):
                heard += piece
        return heard
