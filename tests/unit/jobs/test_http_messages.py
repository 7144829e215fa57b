"""What is taken for a request, and what goes back."""

from __future__ import annotations

import base64
from http import HTTPStatus

import pytest

from ctdenoise.jobs.http_messages import (
    RefusedRequest,
    Reply,
    Request,
    named_host,
    parsed_request,
    reply_bytes,
    shows_token,
)

TOKEN = "a-token-of-some-length"  # noqa: S105 - of these tests


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1")


def test_a_request_is_read_into_method_path_query_and_fields():
    request = parsed_request(
        head("GET /jobs/ab?state=done&x=a%20b HTTP/1.1", "Host: localhost:8112", "X-Y:  z ")
    )
    assert (request.method, request.path) == ("GET", "/jobs/ab")
    assert request.query == {"state": "done", "x": "a b"}
    assert request.fields == {"host": "localhost:8112", "x-y": "z"}


def test_a_path_is_not_decoded():
    assert parsed_request(head("GET /%2e%2e/x HTTP/1.0")).path == "/%2e%2e/x"


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/2.0", "Host: a"),
        ("GET / HTTP/1.1",),
        ("GET  / HTTP/1.1", "Host: a"),
        ("GET http://a/ HTTP/1.1", "Host: a"),
        ("GET /\x00 HTTP/1.1", "Host: a"),
        ("GET /\xe4 HTTP/1.1", "Host: a"),
        ("GET / HTTP/1.1", "Host: a", "Host: b"),
        ("GET / HTTP/1.1", "Host: a", " folded"),
        ("GET / HTTP/1.1", "Host: a", "no colon"),
        ("GET / HTTP/1.1", "Host: a", "Name : before the colon"),
        ("GET / HTTP/1.1", "Host: a", "X: a\nb"),
        ("GET / HTTP/1.1", "Host: a", "Content-Length: 4"),
        ("GET / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"),
        ("GET /?" + "a=1&" * 40 + " HTTP/1.1", "Host: a"),
        ("",),
    ],
    ids=lambda lines: repr(lines[0][:12] + str(len(lines)) + lines[-1][:12]),
)
def test_what_is_no_plain_request_is_refused(lines):
    with pytest.raises(RefusedRequest) as refused:
        parsed_request(head(*lines))
    assert refused.value.status is HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_nothing_can_be_changed(method):
    with pytest.raises(RefusedRequest) as refused:
        parsed_request(head(f"{method} / HTTP/1.1", "Host: a"))
    assert refused.value.status is HTTPStatus.METHOD_NOT_ALLOWED
    assert refused.value.headers == (("Allow", "GET, HEAD"),)


def test_too_many_fields_are_refused():
    fields = [f"X-{number}: 1" for number in range(100)]
    with pytest.raises(RefusedRequest) as refused:
        parsed_request(head("GET / HTTP/1.1", "Host: a", *fields))
    assert refused.value.status is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost:80", "localhost"),
        ("name.:80", "name"),
        ("[::1]:8112", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("a:b", None),
        ("", None),
    ],
)
def test_the_host_is_read_without_its_port(value, host):
    assert named_host(Request("GET", "/", fields={"host": value})) == host


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (basic(f"anybody:{TOKEN}"), True),
        (basic(f":{TOKEN}"), True),
        (basic(TOKEN), False),
        (f"Bearer {TOKEN}x", False),
        ("Bearer ", False),
        ("Basic !!!", False),
        ("Basic /w==", False),
        (f"Digest {TOKEN}", False),
        (TOKEN, False),
        ("Bearer \xe4", False),
    ],
)
def test_the_token_is_shown_as_bearer_or_as_password(value, is_right):
    request = Request("GET", "/", fields={"authorization": value})
    assert shows_token(request, TOKEN) is is_right


def test_no_field_no_token():
    assert not shows_token(Request("GET", "/"), TOKEN)


def test_an_answer_carries_what_keeps_browsers_careful_and_no_name_of_the_server():
    text = reply_bytes(Reply(b"body")).decode()
    for line in (
        "HTTP/1.1 200 OK",
        "Content-Length: 4",
        "Cache-Control: no-store",
        "Connection: close",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
    ):
        assert f"{line}\r\n" in text
    assert "default-src 'none'" in text
    assert text.endswith("\r\n\r\nbody")
    assert "Server:" not in text
    assert "ython" not in text


def test_the_answer_to_head_states_the_length_of_what_it_leaves_out():
    text = reply_bytes(Reply(b"body"), with_body=False).decode()
    assert "Content-Length: 4\r\n" in text
    assert text.endswith("\r\n\r\n")
