"""A sender of which every byte is ours: it keeps to the protocol, or not, as a test wants it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

VERIFICATION = "1.2.840.10008.1.1"
CT = str(CTImageStorage)


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU."""
    return bytes((kind, 0)) + len(body).to_bytes(4, "big") + body


def fragment(data: bytes, *, context: int = 1, command: bool = False, last: bool = True) -> bytes:
    """A presentation data value."""
    return (len(data) + 2).to_bytes(4, "big") + bytes((context, command | last << 1)) + data


def command(
    field: int,
    *,
    message: int = 1,
    sop_class: str = CT,
    sop_instance: str = "",
    data_set: bool = True,
) -> bytes:
    """A command, encoded."""
    elements = [
        (0x0002, sop_class.encode() + b"\0" * (len(sop_class) % 2)),
        (0x0100, field.to_bytes(2, "little")),
        (0x0110, message.to_bytes(2, "little")),
        (0x0700, b"\0\0"),
        (0x0800, b"\0\0" if data_set else b"\1\1"),
        (0x1000, sop_instance.encode() + b"\0" * (len(sop_instance) % 2)),
    ]
    body = b"".join(element(number, value) for number, value in elements if value)
    return element(0x0000, len(body).to_bytes(4, "little")) + body


def element(number: int, value: bytes) -> bytes:
    """An element of a command."""
    return b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value


def request(
    contexts: Sequence[tuple[str, Sequence[str]]], *, calling: str, called: str, pdu_bytes: int
) -> bytes:
    """An A-ASSOCIATE-RQ."""
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = pdu_bytes
    implementation.implementation_class_uid = "1.2.3.4"
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = calling, called
    asked.user_information = [longest, implementation]
    asked.presentation_context_definition_list = []
    for number, (sop_class, syntaxes) in enumerate(contexts):
        context = build_context(sop_class, list(syntaxes))
        context.context_id = 2 * number + 1
        asked.presentation_context_definition_list.append(context)
    return bytes(A_ASSOCIATE_RQ(asked).encode())


class RawSender:
    """A connection to a storage provider.

    Args:
        port: Where it listens.
        timeout_s: Longest wait for an answer.
    """

    def __init__(self, port: int, *, timeout_s: float = 30.0, source: str = "") -> None:
        address = None if not source else (source, 0)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s, address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def associate(
        self,
        contexts: Sequence[tuple[str, Sequence[str]]] = ((CT, [ExplicitVRLittleEndian]),),
        *,
        calling: str = "RAW",
        called: str = "CTDENOISE",
        pdu_bytes: int = 16384,
    ) -> list[int]:
        """Ask for an association; the result of each presentation context."""
        self.send(request(contexts, calling=calling, called=called, pdu_bytes=pdu_bytes))
        kind, body = self.read()
        assert kind == 2, (kind, body)
        accepted = A_ASSOCIATE_AC()
        accepted.decode(pdu(kind, body))
        return [int(one.result) for one in accepted.presentation_context]

    def send(self, data: bytes) -> None:
        """Send some bytes."""
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """The next PDU; (0, b"") where the connection was closed."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        return head[0], self._exactly(int.from_bytes(head[2:], "big"))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                break
            data += piece
        return data

    def store(
        self,
        data_set: bytes,
        sop_instance: str,
        *,
        context: int = 1,
        sop_class: str = CT,
        piece: int = 16000,
    ) -> int:
        """Store a data set; the status of the answer."""
        asked = command(1, sop_class=sop_class, sop_instance=sop_instance)
        self.send(pdu(4, fragment(asked, context=context, command=True)))
        for value in pieces(data_set, piece):
            self.send(pdu(4, fragment(value[0], context=context, last=value[1])))
        return self.status()

    def status(self) -> int:
        """Status of the answer that comes now."""
        kind, body = self.read()
        assert kind == 4, (kind, body)
        place = body.index(b"\0\0\0\x09\2\0\0\0")
        return int.from_bytes(body[place + 8 : place + 10], "little")

    def release(self) -> int:
        """Release the association; type of the answer."""
        self.send(pdu(5, bytes(4)))
        return self.read()[0]


def pieces(data: bytes, size: int) -> Iterable[tuple[bytes, bool]]:
    """Pieces of some bytes, and whether each is the last."""
    for start in range(0, len(data), size):
        yield data[start : start + size], start + size >= len(data)
