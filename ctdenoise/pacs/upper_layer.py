"""Protocol data units of a connection that others opened (PS3.8 9.3): bounded in size and time.

A length in a PDU is four bytes that anybody can write. What comes is read into one buffer that is
as large as what was agreed upon, and never later than at a deadline.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

HEADER_BYTES = 6
ASSOCIATION_BYTES_MOST = 1 << 18
"""128 presentation contexts of 40 transfer syntaxes each fit into it."""

_SLACK_BYTES = 256  # some senders count the headers of a PDU otherwise
_LEAVE_SECONDS = 2.0


class Pdu(IntEnum):
    """Types of protocol data units."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class ConnectionEndedError(Exception):
    """The other end is no more there, or too slow; says why in a word or two."""


class ProtocolError(Exception):
    """The other end sent what is not allowed.

    Args:
        what: What it was.
        reason: For the A-ABORT that answers (PS3.8 9.3.8).
    """

    def __init__(self, what: str, reason: int = 0) -> None:
        super().__init__(what)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DataValue:
    """One presentation data value: a fragment of a message.

    Args:
        context: Number of its presentation context.
        is_command: Whether it belongs to the command of a message, and not to its data set.
        is_last: Whether it is the last fragment of that.
        data: The fragment; valid until the next PDU is read.
    """

    context: int
    is_command: bool
    is_last: bool
    data: memoryview


class Connection:
    """A connection, as protocol data units.

    Args:
        endpoint: The connected socket, perhaps encrypted.
        pdu_bytes: Largest P-DATA-TF that was agreed upon.
        pdu_timeout_s: Longest time for one PDU to arrive, once it began, or to be sent.
    """

    def __init__(self, endpoint: socket.socket, *, pdu_bytes: int, pdu_timeout_s: float) -> None:
        self._socket = endpoint
        self._timeout_s = pdu_timeout_s
        self._buffer = bytearray(max(pdu_bytes + _SLACK_BYTES, ASSOCIATION_BYTES_MOST))
        self._view = memoryview(self._buffer)
        self._header = bytearray(HEADER_BYTES)
        self._most = {Pdu.ASSOCIATE_RQ: ASSOCIATION_BYTES_MOST, Pdu.DATA: pdu_bytes + _SLACK_BYTES}

    def read(self, wait_s: float) -> tuple[Pdu, memoryview]:
        """The next PDU, without its header.

        Args:
            wait_s: Longest wait for it to begin.

        Returns:
            Its type and what it holds, which is valid until the next one is read.

        Raises:
            ConnectionEndedError: If the connection ends or is too slow.
            ProtocolError: If it is none, or larger than agreed upon.
        """
        header = memoryview(self._header)
        got = self._receive(header, time.monotonic() + wait_s)
        until = time.monotonic() + self._timeout_s
        while got < HEADER_BYTES:
            got += self._receive(header[got:], until)
        try:
            kind = Pdu(self._header[0])
        except ValueError:
            raise ProtocolError("this is no DICOM", 1) from None
        length = int.from_bytes(self._header[2:], "big")
        if length > self._most.get(kind, 64):
            raise ProtocolError("a message is larger than agreed upon", 6)
        got = 0
        while got < length:
            got += self._receive(self._view[got:length], until)
        return kind, self._view[:length]

    def _receive(self, target: memoryview, until: float) -> int:
        left = until - time.monotonic()
        if left <= 0:
            raise ConnectionEndedError("too slow")
        try:
            self._socket.settimeout(left)
            count = self._socket.recv_into(target)
        except TimeoutError as error:
            raise ConnectionEndedError("too slow") from error
        except (OSError, ValueError) as error:
            raise ConnectionEndedError("lost") from error
        if count == 0:
            raise ConnectionEndedError("closed")
        return count

    def send(self, data: bytes) -> None:
        """Send a whole PDU.

        Args:
            data: Its header and what it holds.

        Raises:
            ConnectionEndedError: If the connection ends, or nobody takes it.
        """
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(data)
        except TimeoutError as error:
            raise ConnectionEndedError("too slow") from error
        except (OSError, ValueError) as error:
            raise ConnectionEndedError("lost") from error

    def wait_for_end(self) -> None:
        """Let the other end close first, as it should, but not for long."""
        until = time.monotonic() + _LEAVE_SECONDS
        try:
            while True:
                self._receive(self._view, until)
        except ConnectionEndedError:
            return


def data_values(pdu: memoryview) -> Iterator[DataValue]:
    """The fragments in a P-DATA-TF (PS3.8 9.3.5 and annex E).

    Args:
        pdu: What it holds.

    Raises:
        ProtocolError: If its lengths do not fit into each other.
    """
    offset = 0
    while offset < len(pdu):
        length = int.from_bytes(pdu[offset : offset + 4], "big")
        end = offset + 4 + length
        if length < 2 or end > len(pdu):
            raise ProtocolError("a fragment does not fit into its message", 6)
        control = pdu[offset + 5]
        yield DataValue(
            pdu[offset + 4], bool(control & 1), bool(control & 2), pdu[offset + 6 : end]
        )
        offset = end


def data_pdus(context: int, command: bytes, most: int) -> bytes:
    """A command without data set as P-DATA-TF PDUs.

    Args:
        context: Number of its presentation context.
        command: The encoded command.
        most: Largest PDU that the other end takes; 0 for any.
    """
    size = len(command) if most == 0 else max(1, most - HEADER_BYTES)
    pdus = b""
    for start in range(0, len(command), size):
        piece = command[start : start + size]
        control = 3 if start + size >= len(command) else 1
        value = (len(piece) + 2).to_bytes(4, "big") + bytes((context, control)) + piece
        pdus += pdu(Pdu.DATA, value)
    return pdus


def pdu(kind: Pdu, body: bytes) -> bytes:
    """A whole PDU.

    Args:
        kind: Its type.
        body: What it holds.
    """
    return bytes((kind, 0)) + len(body).to_bytes(4, "big") + body


def release_answer() -> bytes:
    """A-RELEASE-RP."""
    return pdu(Pdu.RELEASE_RP, bytes(4))


def abort(reason: int, *, by_user: bool = False) -> bytes:
    """A-ABORT.

    Args:
        reason: Why, where the service provider aborts; see PS3.8 9.3.8.
        by_user: Whether the application does, which gives no reason.
    """
    return pdu(Pdu.ABORT, bytes((0, 0, 0, 0) if by_user else (0, 0, 2, reason)))


def rejection(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ.

    Args:
        result: 1 for ever, 2 for the moment.
        source: 1 the application, 2 and 3 what carries it.
        reason: Why; see PS3.8 9.3.4.
    """
    return pdu(Pdu.ASSOCIATE_RJ, bytes((0, result, source, reason)))
