"""Whatever arrives is a request or is refused, and what is taken for one holds nothing strange."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ctdenoise.jobs.http_messages import (
    RefusedRequest,
    Reply,
    Request,
    named_host,
    parsed_request,
    reply_bytes,
    shows_token,
)
from ctdenoise.tasks.serve_pages import JOB_PATH, THUMBNAIL_PATH

LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([
            b"GET / HTTP/1.1", b"HEAD /jobs/a?state=done HTTP/1.0", b"Host: localhost",
            b"Authorization: Basic YTpi", b"Content-Length: 0", b"Host: [::1]:80", b"X: \xff",
        ]),
    ),
    max_size=8,
)  # fmt: skip


@given(LINES)
def test_bytes_are_a_request_or_are_refused(lines):
    try:
        request = parsed_request(b"\r\n".join(lines))
    except RefusedRequest:
        return
    assert request.method in {"GET", "HEAD"}
    assert re.fullmatch("/[!-~]*", request.path)
    assert all("\r" not in value and "\n" not in value for value in request.fields.values())
    assert not shows_token(request, "a token that nobody knows")
    host = named_host(request)
    assert host is None or "/" not in request.fields["host"] or "/" in host


@given(st.text())
def test_no_path_of_a_page_leads_elsewhere(text):
    for pattern in (JOB_PATH, THUMBNAIL_PATH):
        for path in (f"/jobs/{text}", f"/thumbnails/{text}/1-before.png"):
            found = re.fullmatch(pattern, path)
            if found:
                assert "/" not in found[1]
                assert found[1] not in {".", ".."}
                assert "\0" not in found[1]


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_token_is_shown_by_itself_alone(token, other):
    request = Request("GET", "/", fields={"authorization": f"Bearer {other.strip()}"})
    assert shows_token(request, token) is (other.strip() == token)


@given(st.binary(max_size=200))
def test_the_length_that_is_stated_is_that_of_the_body(body):
    head, _, rest = reply_bytes(Reply(body)).partition(b"\r\n\r\n")
    assert rest == body
    assert f"Content-Length: {len(body)}\r\n".encode() in head
