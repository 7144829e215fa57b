"""The HTTP server on a real socket: who is answered, who is not, and how it ends."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctdenoise.config.http import HttpSettings
from ctdenoise.errors import UsageError
from ctdenoise.jobs.endpoint import Endpoint
from ctdenoise.jobs.http_messages import Reply, Request, Route

TOKEN = "a-token-of-some-length"  # noqa: S105 - of these tests
LARGE = b"x" * 50_000_000
"""More than the buffers of a connection hold."""


def fail(request: Request) -> Reply:
    raise RuntimeError("Mustermann^Max in a message")


ROUTES = (
    Route("/", lambda _: Reply(b"page")),
    Route("/health", lambda request: Reply(f"{request.is_trusted}".encode()), is_public=True),
    Route("/jobs/([0-9a-f]{1,64})", lambda request: Reply(request.captured[0].encode())),
    Route("/broken", fail),
    Route("/lost", lambda _: Reply(Path("/nowhere/at/all").read_bytes())),
    Route("/large", lambda _: Reply(LARGE)),
)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(HttpSettings(port=0), ROUTES) as running:
        yield running


@pytest.fixture
def guarded(tmp_path) -> Iterator[Endpoint]:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    with Endpoint(HttpSettings(port=0, token_file=file), ROUTES) as running:
        yield running


def got(endpoint, path, method="GET", **fields) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    try:
        connection.request(method, path, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def raw(endpoint, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=30) as stream:
        stream.sendall(content)
        return b"".join(iter(lambda: stream.recv(65536), b""))


def test_a_route_answers_with_what_its_pattern_captured(endpoint):
    assert got(endpoint, "/") == (200, b"page")
    assert got(endpoint, "/jobs/12ab?state=x") == (200, b"12ab")


def test_head_answers_without_a_body(endpoint):
    assert got(endpoint, "/", "HEAD") == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/jobs/",
        "/jobs/12ab/",
        "/jobs/../ledger.sqlite",
        "/jobs/..%2fledger.sqlite",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/jobs/12ab%0a",
        "/jobs/" + "a" * 65,
    ],
)
def test_only_whole_paths_of_the_list_are_answered(endpoint, path):
    assert got(endpoint, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_whatever_would_change_something_is_refused(endpoint, method):
    assert got(endpoint, "/", method)[0] == 405


def test_nonsense_is_answered_and_the_server_goes_on(endpoint):
    assert raw(endpoint, b"\x16\x03\x01\x02\x00\x01\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(endpoint, b"GET /" + b"a" * 20_000).startswith(b"HTTP/1.1 431 ")
    assert got(endpoint, "/")[0] == 200


@pytest.mark.parametrize("path", ["/broken", "/lost"])
def test_a_page_that_fails_says_so_and_no_more(endpoint, path, caplog):
    with caplog.at_level(logging.DEBUG):
        status, body = got(endpoint, path)
    assert status == 500
    assert "Mustermann" not in body.decode() + caplog.text
    assert "nowhere" not in body.decode() + caplog.text
    assert "RuntimeError" in caplog.text or "FileNotFoundError" in caplog.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("[::1]:9", 200),
        ("192.0.2.1", 200),
        ("attacker.example", 421),
        ("localhost.attacker.example", 421),
        ("", 421),
    ],
)
def test_a_name_that_is_not_ours_is_refused(endpoint, host, status):
    """Otherwise a web page could point its own name at this address and read (DNS rebinding)."""
    assert got(endpoint, "/", Host=host)[0] == status


def test_a_name_can_be_allowed():
    with Endpoint(HttpSettings(port=0, allowed_hosts=("Status.Clinic",)), ROUTES) as running:
        assert got(running, "/", Host="status.clinic:8112")[0] == 200


def test_without_the_token_only_what_is_public_answers(guarded):
    assert got(guarded, "/")[0] == 401
    assert got(guarded, "/nothing")[0] == 401
    assert got(guarded, "/", Authorization="Bearer wrong-wrong-wrong-wrong")[0] == 401
    assert got(guarded, "/health") == (200, b"False")


def test_with_the_token_everything_answers(guarded):
    shown = {"Authorization": f"Bearer {TOKEN}"}
    assert got(guarded, "/", **shown) == (200, b"page")
    assert got(guarded, "/health", **shown) == (200, b"True")
    assert got(guarded, "/nothing", **shown)[0] == 404


def test_the_token_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("STATUS_TOKEN", TOKEN)
    settings = HttpSettings(port=0, token_environment="STATUS_TOKEN")  # noqa: S106 - a name
    with Endpoint(settings, ROUTES) as running:
        assert got(running, "/")[0] == 401
        assert got(running, "/", Authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize("text", ["", "short", "with a space in the middle", "ä" * 20])
def test_a_weak_token_is_refused_without_being_repeated(text, tmp_path):
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(UsageError, match="16 to 1024") as refused:
        Endpoint(HttpSettings(port=0, token_file=file), ROUTES)
    assert not text or text not in str(refused.value)


def test_a_token_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="token cannot be read"):
        Endpoint(HttpSettings(port=0, token_file=tmp_path / "none"), ROUTES)


def test_a_port_that_is_taken_is_an_error(endpoint):
    with pytest.raises(UsageError, match="cannot listen"):
        Endpoint(HttpSettings(port=endpoint.port), ROUTES)


def test_an_address_that_is_not_ours_is_an_error():
    with pytest.raises(UsageError, match="cannot listen"):
        Endpoint(HttpSettings(host="192.0.2.1", port=0, insecure=True), ROUTES)


def test_a_client_that_dribbles_is_cut_off():
    """Each byte must not win it more time."""
    settings = HttpSettings(port=0, timeout_s=0.5)
    with (
        Endpoint(settings, ROUTES) as running,
        socket.create_connection(("127.0.0.1", running.port)) as stream,
    ):
        stream.settimeout(0.05)
        begun = time.monotonic()
        assert dribbled_until_cut(stream, most_s=30)
        assert time.monotonic() - begun < 20


def dribbled_until_cut(stream: socket.socket, *, most_s: float) -> bool:
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        try:
            stream.send(b"a")
            if stream.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def test_a_client_that_does_not_read_is_cut_off():
    with (
        Endpoint(HttpSettings(port=0, timeout_s=0.5, connections=1), ROUTES) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as stream,
    ):
        stream.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        wait_for(lambda: got(running, "/")[0] == 200)  # its place is free again


def test_more_clients_than_places_are_turned_away():
    with Endpoint(HttpSettings(port=0, connections=2, timeout_s=60), ROUTES) as running:
        idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        try:
            wait_for(lambda: raw(running, b"").startswith(b"HTTP/1.1 503 "))
        finally:
            for stream in idle:
                stream.close()
        wait_for(lambda: got(running, "/")[0] == 200)


def test_closing_cuts_open_connections_and_leaves_no_thread():
    before = set(threading.enumerate())
    running = Endpoint(HttpSettings(port=0, timeout_s=600), ROUTES)
    port = running.port
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\n")  # and never the rest
        got(running, "/")
        running.close()
        assert stream.recv(1) == b""
    running.close()
    assert set(threading.enumerate()) - before == set()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def wait_for(is_so, *, most_s: float = 30.0) -> None:
    """Ask again and again; each question takes its time on the network."""
    end = time.monotonic() + most_s
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        assert time.monotonic() < end
