"""Bytes of one connection, all of them before a deadline of the monotonic clock."""

from __future__ import annotations

import socket
import ssl
import time
from http import HTTPStatus

from ctdenoise.jobs.http_messages import MOST_HEAD_BYTES, RefusedRequest

_LAST_WORDS_S = 1.0
_LAST_READS = 16


def seconds_left(deadline: float) -> float:
    """Seconds until a deadline.

    Raises:
        TimeoutError: Once it is over.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def received_head(stream: socket.socket, deadline: float) -> bytes:
    """What comes before the first empty line.

    Raises:
        RefusedRequest: If there is no empty line within `MOST_HEAD_BYTES`.
        ConnectionError: If the client leaves before it.
        TimeoutError: If it takes too long.
    """
    head = bytearray()
    while b"\r\n\r\n" not in head:
        if len(head) >= MOST_HEAD_BYTES:
            raise RefusedRequest(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long."
            )
        stream.settimeout(seconds_left(deadline))
        received = stream.recv(MOST_HEAD_BYTES - len(head))
        if not received:
            raise ConnectionResetError
        head += received
    return bytes(head.partition(b"\r\n\r\n")[0])


def send_all(stream: socket.socket, content: bytes, deadline: float) -> None:
    """Send everything, however slowly it is taken, but not beyond the deadline."""
    rest = memoryview(content)
    while rest:
        stream.settimeout(seconds_left(deadline))
        rest = rest[stream.send(rest) :]


def finish(stream: socket.socket, deadline: float) -> None:
    """Say that all was sent, and let the client close.

    Closed at once, what the client still sends could cost it the answer (a reset).
    """
    stream.settimeout(min(_LAST_WORDS_S, seconds_left(deadline)))
    if isinstance(stream, ssl.SSLSocket):
        stream.unwrap()
        return
    stream.shutdown(socket.SHUT_WR)
    for _ in range(_LAST_READS):
        if not stream.recv(MOST_HEAD_BYTES):
            return


def send_if_possible(connection: socket.socket, content: bytes) -> None:
    """Send what can be sent without waiting."""
    connection.setblocking(False)
    try:
        connection.send(content)
    except OSError:
        return


def cut(connection: socket.socket) -> None:
    """End a connection that another thread reads or writes; it wakes up there."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it was closed at the other end already
        return
