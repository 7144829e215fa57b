"""HTTP/1.1 as far as a page to be read needs it: one request, one answer, nothing else.

Requests are parsed by whole-line expressions that know what is allowed; whatever does not fit is
refused. Paths are matched as they arrive, percent signs and all: nothing decodes one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl

MOST_HEAD_BYTES = 8192
"""The longest request line and header fields together."""

_MOST_FIELDS = 64
_MOST_PARAMETERS = 16
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (/[!-~]{0,2000}) HTTP/1\.([01])")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_ONCE = frozenset({"host", "authorization", "content-length", "transfer-encoding"})
"""Fields of which a second one makes a request ambiguous."""

NOTHING_LOADED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The content security policy of whatever is no page."""


class RefusedRequest(Exception):  # noqa: N818 - reads as the answer it becomes
    """A request that is answered with an error.

    Args:
        status: What went wrong.
        words: What to do about it; nothing that the client sent.
        headers: More header fields of the answer.
    """

    def __init__(
        self, status: HTTPStatus, words: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.status = status
        self.words = words
        self.headers = headers
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Request:
    """What a reader asks for.

    Args:
        method: GET or HEAD.
        path: As it arrived, without the query; begins with a slash.
        query: Parameters behind the question mark; the last of each name.
        fields: Header fields, names in lower case.
        captured: The groups of the route's pattern.
        is_trusted: Whether the reader may see more than one word: a token was shown, or none is
            asked for.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    captured: tuple[str, ...] = ()
    is_trusted: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reader gets.

    Args:
        body: The content.
        content_type: Its media type.
        status: How it went.
        policy: Content security policy: what a browser may load and run.
        headers: More header fields.
    """

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    policy: str = NOTHING_LOADED
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A function and the paths that it answers.

    Args:
        pattern: Regular expression of the whole path; its groups become `Request.captured`.
        answer: Makes the reply; called from several threads at once.
        is_public: Whether it answers without the token, too (it then looks at `is_trusted`).
    """

    pattern: str
    answer: Callable[[Request], Reply]
    is_public: bool = False


def parsed_request(head: bytes) -> Request:
    """The request in what was received up to the empty line.

    Args:
        head: Request line and header fields, without the empty line.

    Raises:
        RefusedRequest: If it is no request that a reader of pages makes.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "This is no HTTP/1.1 request for a page.")
    method, target, minor = found.groups()
    fields = _parsed_fields(lines)
    if method not in {"GET", "HEAD"}:
        raise RefusedRequest(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "Nothing can be changed here; only GET and HEAD are answered.",
            (("Allow", "GET, HEAD"),),
        )
    if minor == "1" and "host" not in fields:
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "The request names no host.")
    if "transfer-encoding" in fields or fields.get("content-length", "0") != "0":
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "A request for a page has no content.")
    path, _, query = target.partition("?")
    return Request(method, path, _parsed_query(query), fields)


def _parsed_fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > _MOST_FIELDS:
        raise RefusedRequest(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many header fields."
        )
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, "A header field cannot be read.")
        name = found[1].lower()
        if name in _ONCE and name in fields:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, "A header field stands there twice.")
        fields[name] = found[2]
    return fields


def _parsed_query(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))
    except ValueError as error:
        raise RefusedRequest(HTTPStatus.BAD_REQUEST, "The query cannot be read.") from error


def named_host(request: Request) -> str | None:
    """The host that a request names, in lower case and without port; None where it names none."""
    found = re.fullmatch(
        r"(\[[0-9a-f:.]{2,45}\]|[^\[\]:]{1,255})(:\d{1,5})?", request.fields.get("host", "").lower()
    )
    return None if found is None else found[1].strip("[]").rstrip(".")


def shows_token(request: Request, token: str) -> bool:
    """Whether a request brings the token, as a bearer or as the password of a browser.

    Args:
        request: Its Authorization field is read.
        token: What it has to bring; compared in constant time.
    """
    scheme, _, value = request.fields.get("authorization", "").partition(" ")
    shown = value.strip()
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(shown.encode(), token.encode())


def error_reply(error: RefusedRequest) -> Reply:
    """An error as a short text."""
    status = error.status
    return Reply(
        f"{status.value} {status.phrase}\n{error.words}\n".encode(),
        status=status,
        headers=error.headers,
    )


def reply_bytes(reply: Reply, *, with_body: bool = True) -> bytes:
    """An answer as it goes over the line; names neither program nor version.

    Args:
        reply: The answer.
        with_body: False for the answer to HEAD, which still states the length.
    """
    lines = [
        f"HTTP/1.1 {reply.status.value} {reply.status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        "Connection: close",
        "Cache-Control: no-store",
        f"Content-Security-Policy: {reply.policy}",
        "Cross-Origin-Opener-Policy: same-origin",
        "Cross-Origin-Resource-Policy: same-origin",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        *(f"{name}: {value}" for name, value in reply.headers),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + (reply.body if with_body else b"")
