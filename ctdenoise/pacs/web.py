"""Requests to a DICOMweb peer: in bounded pieces, within their times, to nobody else.

Python's own HTTP client is used because it does exactly what it is told: it follows no redirect,
asks no proxy of the environment, sends no password of a .netrc file, and reads no answer by itself.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from ctdenoise.config.peer_address import shown
from ctdenoise.config.peers import WebPeer
from ctdenoise.errors import PeerError, PeerRefused, PeerUnavailable
from ctdenoise.pacs.tls import client_context, tls_failure

JSON = "application/dicom+json"
"""Media type of answers about instances."""

JSON_BYTES_MOST = 64 * 2**20
"""A longer answer about instances is not taken into memory."""

_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504, 507))
_FIXES = {
    401: "Check user and password, or the token.",
    403: "This user or token may not do that there.",
    404: "Check the path of the address: often it ends in /dicom-web or /rs.",
}
_PIECE_BYTES = 2**20
_SLOWEST_BYTES_PER_S = 1000
_QUERY_SIGNS = "*?^/:@!$'(),;"
"""Signs that go into a query as they are: Orthanc 1.10 does not decode them, and finds
nothing. All but ^, which names of patients are full of, may stand there (RFC 3986 3.4)."""


@dataclass(slots=True)
class Answer:
    """An answer whose body was not read so far.

    Args:
        status: The HTTP status.
        content_type: What the body is.
    """

    status: int
    content_type: str
    _response: http.client.HTTPResponse
    _name: str
    _patience_s: float

    def pieces(self, *, most_bytes: int) -> Iterator[bytes]:
        """The body, piece by piece.

        Args:
            most_bytes: How long it may be, all together.

        Raises:
            PeerUnavailable: If it does not go on, or ends too early.
            PeerRefused: If it is longer than allowed.
        """
        size = 0
        started = time.monotonic()
        while True:
            try:
                piece = self._response.read1(_PIECE_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _lost(error, self._name) from error
            if not piece:
                break
            size += len(piece)
            seconds = time.monotonic() - started
            if size < _SLOWEST_BYTES_PER_S * (seconds - self._patience_s):
                raise PeerUnavailable("its answer comes far too slowly.", where=self._name)
            if size > most_bytes:
                raise PeerRefused(
                    f"its answer is longer than {most_bytes} bytes.", where=self._name
                )
            yield piece
        if self._response.length:
            raise PeerUnavailable("its answer ended too early.", where=self._name)

    def body(self, *, most_bytes: int = JSON_BYTES_MOST) -> bytes:
        """The whole body; see `pieces`."""
        return b"".join(self.pieces(most_bytes=most_bytes))

    def json(self) -> Any:
        """The body as parsed JSON; None where it is empty.

        Raises:
            PeerUnavailable, PeerRefused: As by `pieces`, or if it is no JSON.
        """
        data = self.body()
        if not data.strip():
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise PeerRefused("its answer is no DICOM JSON.", where=self._name) from error

    def require_success(self) -> None:
        """Raise what a status other than success means; its body is not looked at.

        Raises:
            PeerUnavailable: If it may work later.
            PeerRefused: If not.
        """
        if 200 <= self.status < 300:
            return
        if self.status in _TRANSIENT:
            raise PeerUnavailable(
                f"it is not able to answer now (HTTP {self.status}).", where=self._name
            )
        if 300 <= self.status < 400:
            raise PeerRefused(
                f"it sends us to another address (HTTP {self.status}).",
                where=self._name,
                fix="Give the address where the service is.",
            )
        raise PeerRefused(
            f"it refuses the request (HTTP {self.status}).",
            where=self._name,
            fix=_FIXES.get(self.status),
        )


class WebConnection:
    """A connection to a DICOMweb peer, kept open between requests. For one thread.

    Args:
        peer: Where to.

    Raises:
        SettingsError: If a secret or a certificate cannot be read.
    """

    def __init__(self, peer: WebPeer) -> None:
        self.name = shown(peer)
        self._timeouts = peer.timeouts
        parts = urlsplit(peer.url)
        host, self._path = parts.hostname or "", parts.path
        self._headers = {
            "User-Agent": "ctdenoise",
            "Accept-Encoding": "identity",
            **_identity(peer),
        }
        connect_s = peer.timeouts.connect_s
        if parts.scheme == "https":
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=connect_s, context=client_context(peer.tls)
            )
        else:
            self._http = http.client.HTTPConnection(host, parts.port, timeout=connect_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    @contextmanager
    def get(
        self, path: str, *, accept: str, query: Sequence[tuple[str, str]] = ()
    ) -> Iterator[Answer]:
        """Ask for something.

        Args:
            path: Below the address of the peer, starting with a slash.
            accept: The media type that is wanted.
            query: Parameters.

        Raises:
            PeerUnavailable, PeerRefused: If there is no answer; what its status means is up to the
                caller.
        """
        target = quote(self._path + path)
        if query:
            target += f"?{urlencode(query, quote_via=quote, safe=_QUERY_SIGNS)}"
        with self._answer("GET", target, {"Accept": accept}) as answer:
            yield answer

    @contextmanager
    def post(
        self, path: str, *, content_type: str, length: int, body: Iterable[bytes]
    ) -> Iterator[Answer]:
        """Send something, piece by piece.

        Args:
            path: Below the address of the peer, starting with a slash.
            content_type: What the body is.
            length: Of the whole body, bytes.
            body: Its pieces.

        Raises:
            PeerUnavailable, PeerRefused: As by `get`.
        """
        headers = {"Accept": JSON, "Content-Type": content_type, "Content-Length": str(length)}
        with self._answer("POST", quote(self._path + path), headers, body) as answer:
            yield answer

    @contextmanager
    def _answer(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Iterable[bytes] | None = None,
    ) -> Iterator[Answer]:
        try:
            self._ask(method, target, headers, body)
            self._wait_at_most(self._timeouts.answer_s)
            response = self._http.getresponse()
            self._wait_at_most(self._timeouts.network_s)
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            if isinstance(error, PeerError):
                raise
            raise _lost(error, self.name) from error
        done = False
        try:
            kind = response.getheader("Content-Type") or ""
            yield Answer(response.status, kind, response, self.name, self._timeouts.network_s)
            done = response.isclosed()  # the body was read to its end
        finally:
            if not done:
                self._http.close()

    def _ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Iterable[bytes] | None,
    ) -> None:
        if self._http.sock is None:
            self._http.connect()
        self._wait_at_most(self._timeouts.network_s)
        try:
            self._http.request(method, target, body=body, headers={**self._headers, **headers})
        except (BrokenPipeError, ConnectionResetError):
            if body is None:
                raise
            # A peer that refuses before it has read everything may have said so.

    def _wait_at_most(self, seconds: float) -> None:
        if self._http.sock is not None:
            self._http.sock.settimeout(seconds)


def _identity(peer: WebPeer) -> dict[str, str]:
    if peer.token is not None:
        return {"Authorization": f"Bearer {peer.token.read()}"}
    if peer.user is not None and peer.password is not None:
        pair = f"{peer.user}:{peer.password.read()}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}
    return {}


def _lost(error: Exception, name: str) -> PeerError:
    if isinstance(error, ssl.SSLError):
        return tls_failure(error, name)
    if isinstance(error, TimeoutError):
        return PeerUnavailable("nothing moved for too long.", where=name, fix="See timeouts.")
    if isinstance(error, ConnectionRefusedError):
        return PeerUnavailable("nothing listens there.", where=name, fix="Check the address.")
    if isinstance(error, OSError | http.client.IncompleteRead):
        return PeerUnavailable(
            f"the connection failed or was lost ({type(error).__name__}).", where=name
        )
    return PeerRefused(
        "what it answers is not HTTP.",
        where=name,
        fix="It may want encryption (https), or something else listens at this port.",
    )
