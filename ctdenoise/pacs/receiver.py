"""Listens for DICOM: a Storage SCP that keeps what arrives in the inbox.

The association is negotiated with pynetdicom. What follows is read by ourselves: one thread for
each connection, straight from the socket into the file, so that memory does not depend on what a
sender claims, and nothing waits for a timer.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from ctdenoise.config.receiver import ReceiverSettings, ReceiverTlsSettings
from ctdenoise.errors import SettingsError, UsageError
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.pacs.acceptance import Association, Refused, answer_to, may_connect
from ctdenoise.pacs.inbox import Inbox, Kept
from ctdenoise.pacs.receiver_counts import ReceiverStatistics, ReceptionCounts
from ctdenoise.pacs.storage_session import StorageSession
from ctdenoise.pacs.upper_layer import Connection, ConnectionEndedError, Pdu, ProtocolError, abort
from ctdenoise.pacs.visits import Visit, Watcher

_log = logging.getLogger(__name__)

_BACKLOG = 128
_PAUSE_SECONDS = 0.1

__all__ = ["Receiver", "ReceiverStatistics"]


@dataclass(slots=True)
class _Open:
    """A connection and the thread that serves it."""

    endpoint: socket.socket
    thread: threading.Thread
    session: StorageSession | None = None

    def shut(self, how: int = socket.SHUT_RDWR) -> None:
        """Wake whoever reads from it, or sends; the encryption of the connection stays."""
        with suppress(OSError):
            socket.socket.shutdown(self.endpoint, how)


class Receiver:
    """Listens until it is closed.

    Args:
        inbox: Where instances are kept.
        settings: Who may send what, and where it listens.
        on_kept: Called for each instance as soon as it is safe, in the thread of its connection,
            before the sender is told; must not raise.
        watcher: Told of everybody who comes.
    """

    def __init__(
        self,
        inbox: Inbox,
        settings: ReceiverSettings,
        *,
        on_kept: Callable[[Kept], None],
        watcher: Watcher | None = None,
    ) -> None:
        self._inbox = inbox
        self._settings = settings
        self._counts = ReceptionCounts(on_kept)
        self._watcher = watcher
        self._context = None if settings.tls is None else _tls_context(settings.tls)
        self._changed = threading.Condition()
        self._open: dict[int, _Open] = {}
        self._numbers = 0
        self._is_ending = False
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens at."""
        if self._listening is None:
            raise ValueError("the receiver was not started")
        return int(self._listening.getsockname()[1])

    @property
    def is_listening(self) -> bool:
        """Whether it takes connections."""
        return self._thread is not None and self._thread.is_alive() and not self._is_ending

    @property
    def statistics(self) -> ReceiverStatistics:
        """What it did so far."""
        with self._changed:
            connections = len(self._open)
        return self._counts.taken(connections)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen from now on.

        Raises:
            UsageError: If nobody can listen there.
        """
        host, port = self._settings.host, self._settings.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise UsageError(
                f"nobody can listen here: {_in_short(error)}.",
                where=f"{host}:{port}",
                fix="Choose another receiver.port, or end what uses it.",
            ) from error
        self._listening = listening
        self._thread = threading.Thread(
            target=self._accept, args=(listening,), name="receiver", daemon=True
        )
        self._thread.start()

    def close(self, *, grace_s: float = 10.0) -> None:
        """Take no more connections, and end those that are open.

        An instance that is arriving may still arrive; between instances an association is aborted,
        so that its sender knows what did not.

        Args:
            grace_s: Longest wait for what is arriving.
        """
        if self._listening is None or self._thread is None:
            return
        with self._changed:
            self._is_ending = True
            for one in self._open.values():
                if one.session is None or one.session.is_between_messages:
                    one.shut(socket.SHUT_RD)
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._open, timeout=grace_s)
            left = list(self._open.values())
            for one in left:
                one.shut()
        for one in left:
            one.thread.join()

    def _accept(self, listening: socket.socket) -> None:
        while not self._is_ending:
            try:
                endpoint, address = listening.accept()
            except OSError as error:
                with self._changed:
                    if not self._is_ending:  # as when there are too many open files
                        _log.warning("a connection could not be taken (%s)", error.strerror)
                        self._changed.wait(_PAUSE_SECONDS)
                continue
            self._begin(endpoint, str(address[0]))

    def _begin(self, endpoint: socket.socket, address: str) -> None:
        """Serve a connection in a thread of its own, or close it where nothing is to be said."""
        with self._changed:
            count, most = len(self._open), self._settings.associations
            is_welcome = may_connect(address, self._settings.senders)
            if self._is_ending or not is_welcome or count >= 2 * most:
                self._turned_away(address, "busy" if is_welcome else "address")
                endpoint.close()
                return
            number, self._numbers = self._numbers, self._numbers + 1
            thread = threading.Thread(
                target=self._serve,
                args=(number, address, count >= most),
                name=f"association {number}",
                daemon=True,
            )
            self._open[number] = _Open(endpoint, thread)
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads
                self._counts.turned_away("busy")
                del self._open[number]
                endpoint.close()

    def _serve(self, number: int, address: str, is_busy: bool) -> None:
        with self._changed:
            one = self._open[number]
        try:
            with quiet_pydicom():
                self._talk(one, address, is_busy=is_busy)
        except ConnectionEndedError as error:
            self._counts.ended()
            _log.warning("a connection from %s ended early: %s", address, error)
        finally:
            one.shut()
            with self._changed:
                one.endpoint.close()
                del self._open[number]
                self._changed.notify_all()

    def _talk(self, one: _Open, address: str, *, is_busy: bool) -> None:
        settings = self._settings
        one.endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._context is not None:
            self._encrypt(one, self._context, address)
        connection = Connection(
            one.endpoint, pdu_bytes=settings.pdu_bytes, pdu_timeout_s=settings.pdu_timeout_s
        )
        try:
            association = self._agreed(connection, address, is_busy=is_busy)
            if association is not None:
                self._receive(one, connection, association, address)
        except ProtocolError as error:
            connection.send(abort(error.reason))
            connection.wait_for_end()
            raise ConnectionEndedError(str(error)) from error

    def _receive(
        self, one: _Open, connection: Connection, association: Association, address: str
    ) -> None:
        visit = Visit(association.sender, address, self._counts)
        one.session = StorageSession(
            connection,
            association,
            self._inbox,
            visit,
            idle_timeout_s=self._settings.idle_timeout_s,
        )
        try:
            one.session.run(lambda: self._is_ending)
        except ConnectionEndedError:
            if not self._is_ending:
                raise
        finally:
            if self._watcher is not None and (visit.instances or visit.refused):
                self._watcher.visited(visit)
        if self._is_ending:
            connection.send(abort(0, by_user=True))

    def _turned_away(self, address: str, why: Refused) -> None:
        self._counts.turned_away(why)
        if self._watcher is not None:
            self._watcher.turned_away(address, why)

    def _encrypt(self, one: _Open, context: ssl.SSLContext, address: str) -> None:
        try:
            one.endpoint.settimeout(self._settings.association_timeout_s)
            encrypted = context.wrap_socket(
                one.endpoint, server_side=True, do_handshake_on_connect=False
            )
            one.endpoint = encrypted
            encrypted.do_handshake()
        except (OSError, ValueError) as error:
            self._turned_away(address, "tls")
            raise ConnectionEndedError("no encryption as it must be") from error

    def _agreed(self, connection: Connection, address: str, *, is_busy: bool) -> Association | None:
        """The association that was agreed upon; None if none was."""
        kind, body = connection.read(self._settings.association_timeout_s)
        if kind is not Pdu.ASSOCIATE_RQ:
            raise ProtocolError("a connection begins with its association", 2)
        answer = answer_to(bytes(body), self._settings, address=address, is_busy=is_busy)
        connection.send(answer.pdu)
        if answer.association is not None:
            self._counts.agreed()
            return answer.association
        self._turned_away(address, answer.refused or "protocol")
        _log.warning("an association from %s was refused: %s", address, answer.reason)
        connection.wait_for_end()
        return None


def _in_short(error: OSError) -> str:
    """What the system says, without the address that Python adds to it."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__  # of the resolver, whose numbers are negative


def _tls_context(settings: ReceiverTlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    is_newer = settings.minimum == "1.3"
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if is_newer else ssl.TLSVersion.TLSv1_2
    password = "" if settings.key_password is None else settings.key_password.read()
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=lambda: password)
        context.load_verify_locations(settings.ca_file)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the certificate, its key or the authorities cannot be used ({type(error).__name__}).",
            where=settings.certificate,
            fix="They are PEM files; the key belongs to the certificate.",
        ) from error
    is_required = settings.client_certificate == "required"
    context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
    return context
