"""A small HTTP server that is read and never told anything.

It answers GET and HEAD for a fixed list of paths, on loopback unless told otherwise. The standard
library's server was not taken because it has no limit on threads and none on the time that one
request may take: here a client gets `timeout_s` from its first byte to its last, however slowly it
sends, and the number of clients is bounded. Every connection carries one request.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Self

from ctdenoise.config.http import LOOPBACK_NAMES, HttpSettings
from ctdenoise.jobs.http_door import listening_socket, required_token, tls_context
from ctdenoise.jobs.http_messages import (
    RefusedRequest,
    Reply,
    Request,
    Route,
    error_reply,
    named_host,
    parsed_request,
    reply_bytes,
    shows_token,
)
from ctdenoise.jobs.http_stream import (
    cut,
    finish,
    received_head,
    seconds_left,
    send_all,
    send_if_possible,
)

_LOG = logging.getLogger(__name__)

_FULL = Reply(
    b"503 Service Unavailable\nToo many requests at once.\n",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    headers=(("Retry-After", "5"),),
)


class Endpoint:
    """The server; listens from its construction on, and stops when it is left or closed.

    Args:
        settings: Where it listens and to whom it answers.
        routes: What it answers; the first whose pattern is the whole path.
        at_end: Called when it is closed and nothing is answered any more.

    Raises:
        UsageError: If it cannot listen there, or the token or certificate cannot be used.
    """

    def __init__(
        self,
        settings: HttpSettings,
        routes: Sequence[Route],
        *,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._routes = tuple((re.compile(route.pattern), route) for route in routes)
        self._at_end = at_end
        self._token = required_token(settings)
        self._tls = tls_context(settings)
        self._hosts = {
            *LOOPBACK_NAMES,
            socket.gethostname().lower(),
            settings.host.lower(),
            *(name.lower() for name in settings.allowed_hosts),
        }
        self._listener = listening_socket(settings)
        self._wake, self._waker = socket.socketpair()
        self._places = threading.BoundedSemaphore(settings.connections)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._pool = ThreadPoolExecutor(settings.connections, thread_name_prefix="http")
        self._thread = threading.Thread(target=self._accept, name="http-accept", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Address of the status page, without a slash at the end."""
        host = self._settings.host
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut the connections that are open, and wait for the threads."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for connection in self._open:
                cut(connection)
        self._waker.send(b"x")
        self._thread.join()
        self._pool.shutdown(wait=True)
        for one in (self._listener, self._wake, self._waker):
            one.close()
        self._at_end()

    def _accept(self) -> None:
        """Take connections until woken."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._wake in ready:
                    return
                try:
                    connection, _ = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError as error:  # out of file descriptors, or the client is gone again
                    _LOG.warning("a connection could not be accepted: %s", error.strerror)
                    if self._rested(0.2):
                        return
                    continue
                self._take(connection)

    def _rested(self, seconds: float) -> bool:
        """Wait without spinning; whether the end came meanwhile."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _take(self, connection: socket.socket) -> None:
        """Give a connection to a thread, or turn it away."""
        if not self._places.acquire(blocking=False):
            with connection:
                if self._tls is None:
                    send_if_possible(connection, reply_bytes(_FULL))
            return
        with self._lock:
            if self._is_closed:
                connection.close()
                return
            self._open.add(connection)
        self._pool.submit(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        """Answer one connection, whatever happens on it."""
        deadline = time.monotonic() + self._settings.timeout_s
        stream = connection
        try:
            if self._tls is not None:
                stream = self._encrypted(connection, self._tls, deadline)
            send_all(stream, self._answer(stream, deadline), deadline)
            finish(stream, deadline)
        except OSError as error:
            _LOG.debug("a connection of a reader ended early: %s", type(error).__name__)
        finally:
            with self._lock:
                self._open.discard(stream)
            stream.close()
            self._places.release()

    def _encrypted(
        self, connection: socket.socket, context: ssl.SSLContext, deadline: float
    ) -> socket.socket:
        """The connection with TLS, which takes over its socket; shakes hands later."""
        connection.settimeout(seconds_left(deadline))
        stream = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.discard(connection)
            self._open.add(stream)
        return stream

    def _answer(self, stream: socket.socket, deadline: float) -> bytes:
        """The bytes of the answer to the request that comes."""
        try:
            head = received_head(stream, deadline)
        except RefusedRequest as error:
            return reply_bytes(error_reply(error))
        return reply_bytes(self._reply(head), with_body=not head.startswith(b"HEAD "))

    def _reply(self, head: bytes) -> Reply:
        """What a request is answered with; an error where it cannot be answered."""
        try:
            request = parsed_request(head)
            self._check_host(request)
            return self._routed(request)
        except RefusedRequest as error:
            return error_reply(error)
        except Exception as error:  # noqa: BLE001 - a page that fails must not end the server
            _LOG.error("a page could not be made: %s", type(error).__name__)
            return error_reply(
                RefusedRequest(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    "The page could not be made; the log of the service names the kind of error.",
                )
            )

    def _check_host(self, request: Request) -> None:
        """Refuse names that are not ours: a web page elsewhere may have pointed its name here.

        With a token there is nothing to gain, as a browser keeps a token to the name that it was
        given for. An address in digits is no name that someone could point anywhere.
        """
        if self._token is not None or "host" not in request.fields:
            return
        host = named_host(request)
        if host is None or not (host in self._hosts or _is_address(host)):
            raise RefusedRequest(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This server is not known by the name that was asked for. Use localhost, or add "
                "the name to `allowed_hosts` in the settings.",
            )

    def _routed(self, request: Request) -> Reply:
        is_trusted = self._token is None or shows_token(request, self._token)
        for pattern, route in self._routes:
            found = pattern.fullmatch(request.path)
            if found is not None and (is_trusted or route.is_public):
                return route.answer(
                    replace(request, captured=found.groups(default=""), is_trusted=is_trusted)
                )
        if not is_trusted:
            raise RefusedRequest(
                HTTPStatus.UNAUTHORIZED,
                "Show the token: as `Authorization: Bearer TOKEN`, or as the password that a "
                "browser asks for.",
                (("WWW-Authenticate", 'Basic realm="ctdenoise", charset="UTF-8"'),),
            )
        raise RefusedRequest(HTTPStatus.NOT_FOUND, "There is no such page.")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
