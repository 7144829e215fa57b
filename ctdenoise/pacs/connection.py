"""A connection to a DIMSE peer: whole pieces in and out, each within its time and its size.

The upper layer of DICOM (PS3.8) is spoken here from one thread, without waiting loops: pynetdicom's
own client takes a PDU of any length into memory, and waits without end for a peer that does not
read what it is sent.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from contextlib import suppress

from ctdenoise.config.peer_address import shown
from ctdenoise.config.peers import DimsePeer
from ctdenoise.errors import PeerError, PeerRefused, PeerUnavailable
from ctdenoise.pacs.tls import client_context, tls_failure

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7
"""Types of PDU that an acceptor sends (PS3.8 9.3)."""

_MOST_BYTES = {
    ASSOCIATE_AC: 2**17,
    ASSOCIATE_RJ: 64,
    P_DATA: 2**24,
    RELEASE_RQ: 64,
    RELEASE_RP: 64,
    ABORT: 64,
}
"""Longest PDU of each type that is taken into memory."""

_HEAD = struct.Struct(">BxL")
_TLS_RECORDS = frozenset(range(20, 24))  # what a TLS server's answer begins with
_PIECE_BYTES = 2**20


class Connection:
    """An open connection.

    Args:
        peer: Where to.

    Raises:
        PeerUnavailable: If it cannot be reached in time.
        PeerRefused: If encryption fails for a reason that stays.
        SettingsError: If a certificate or key cannot be read.
    """

    def __init__(self, peer: DimsePeer) -> None:
        self.name = shown(peer)
        self._timeouts = peer.timeouts
        self._at_once = peer.tcp_no_delay
        context = None if peer.tls is None else client_context(peer.tls)
        try:
            self._socket = _connected(peer)
        except OSError as error:
            raise _unreachable(self.name, error) from error
        if context is not None:
            try:
                self._socket = context.wrap_socket(self._socket, server_hostname=peer.host)
            except OSError as error:
                self._socket.close()
                raise self._failure(error, "while encryption was agreed on") from error

    def close(self) -> None:
        """Close it; never fails."""
        with suppress(OSError):
            self._socket.close()

    def send(self, data: bytes | memoryview) -> None:
        """Send some bytes, whole.

        Raises:
            PeerUnavailable: If the connection is lost, or the peer reads too slowly.
        """
        view = memoryview(data)
        try:
            self._socket.settimeout(self._timeouts.network_s)
            for start in range(0, len(view), _PIECE_BYTES):
                self._socket.sendall(view[start : start + _PIECE_BYTES])
        except OSError as error:
            raise self._failure(error, "while something was sent") from error

    def read_pdu(self, within_s: float) -> tuple[int, bytearray]:
        """The type and the body of the next PDU.

        Args:
            within_s: It must begin within so many seconds; the rest may take `network_s`.

        Raises:
            PeerUnavailable: If it does not, or the connection is lost.
            PeerRefused: If what comes is not DICOM.
        """
        kind, length = _HEAD.unpack(self._read(6, within_s))
        if kind not in _MOST_BYTES:
            raise PeerRefused(
                "what it answers is not DICOM.", where=self.name, fix=_not_dicom_hint(kind)
            )
        if length > _MOST_BYTES[kind]:
            raise PeerRefused(f"it sends a PDU of {length} bytes, too long.", where=self.name)
        return kind, self._read(length, self._timeouts.network_s)

    def _read(self, count: int, within_s: float) -> bytearray:
        data = bytearray(count)
        view, got = memoryview(data), 0
        until = time.monotonic() + within_s
        try:
            self._acknowledge_at_once()
            while got < count:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                step = self._socket.recv_into(view[got:])
                if step == 0:
                    raise ConnectionResetError
                got += step
        except OSError as error:
            raise self._failure(error, "while an answer was awaited") from error
        return data

    def _acknowledge_at_once(self) -> None:
        """Confirm what arrives without a delay.

        A peer that keeps back the second half of its answer until the first is confirmed (Nagle's
        algorithm, as in programs of dcmtk) would wait 40 ms for every instance. Linux forgets the
        option, so that it is set again and again.
        """
        if self._at_once and hasattr(socket, "TCP_QUICKACK"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _failure(self, error: OSError, when: str) -> PeerError:
        if isinstance(error, TimeoutError):
            return PeerUnavailable(
                f"nothing moved for too long {when}.",
                where=self.name,
                fix="It may be busy, or its port be one that wants TLS, or none; see timeouts.",
            )
        if isinstance(error, ssl.SSLError):
            return tls_failure(error, self.name)
        return PeerUnavailable(f"the connection was lost {when}.", where=self.name)


def _connected(peer: DimsePeer) -> socket.socket:
    connected = socket.create_connection((peer.host, peer.port), peer.timeouts.connect_s)
    try:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if peer.tcp_no_delay:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        connected.close()
        raise
    return connected


def _unreachable(name: str, error: OSError) -> PeerUnavailable:
    if isinstance(error, TimeoutError):
        why = "it does not answer in time"
    elif isinstance(error, ConnectionRefusedError):
        why = "nothing listens there"
    elif isinstance(error, socket.gaierror):
        why = "its name is not known"
    else:
        why = f"there is no way to it ({error.strerror or type(error).__name__})"
    return PeerUnavailable(
        f"{why}.", where=name, fix="Check host and port, and that the peer is running."
    )


def _not_dicom_hint(kind: int) -> str:
    if kind in _TLS_RECORDS:
        return "It wants encryption: give it tls, or write dimse+tls://..."
    return "Check the port: something else listens there."
