"""The HTTP server with a certificate."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from ctdenoise.config.http import HttpSettings, HttpTlsSettings
from ctdenoise.errors import UsageError
from ctdenoise.jobs.endpoint import Endpoint
from ctdenoise.jobs.http_messages import Reply, Route

ROUTES = (Route("/", lambda _: Reply(b"page" * 100_000)),)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> HttpTlsSettings:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    paths = HttpTlsSettings(certificate=folder / "cert.pem", key=folder / "key.pem")
    subprocess.run(
        [
            program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "3650", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", paths.key, "-out", paths.certificate,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return paths


def test_a_page_is_read_through_tls(certificate):
    context = ssl.create_default_context(cafile=certificate.certificate)
    with Endpoint(HttpSettings(port=0, tls=certificate), ROUTES) as running:
        assert running.url.startswith("https://127.0.0.1:")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", running.port, context=context, timeout=30
        )
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, len(answer.read())) == (200, 400_000)
        connection.close()


def test_an_old_version_of_tls_is_refused(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        Endpoint(HttpSettings(port=0, tls=certificate), ROUTES) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain)


def test_plain_text_gets_no_answer_and_does_no_harm(certificate):
    with (
        Endpoint(HttpSettings(port=0, tls=certificate, timeout_s=30), ROUTES) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as stream,
    ):
        stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"page" not in received_until_the_end(stream)


def test_closing_ends_a_handshake_that_hangs(certificate):
    running = Endpoint(HttpSettings(port=0, tls=certificate, timeout_s=600), ROUTES)
    with socket.create_connection(("127.0.0.1", running.port), timeout=60) as stream:
        stream.sendall(b"\x16\x03\x01")  # the beginning of a hello
        running.close()
        assert received_until_the_end(stream) == b""


def received_until_the_end(stream: socket.socket) -> bytes:
    received = b""
    try:
        while part := stream.recv(4096):
            received += part
    except ConnectionResetError:  # as good an end as any
        return received
    return received


@pytest.mark.parametrize("kind", ["missing", "no certificate", "another key"])
def test_a_certificate_that_cannot_be_used_is_an_error(kind, certificate, tmp_path: Path):
    key = tmp_path / "key.pem"
    if kind == "no certificate":
        key.write_text("nothing")
    elif kind == "another key":
        subprocess.run(
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
            check=True,
        )
    tls = HttpTlsSettings(certificate=certificate.certificate, key=key)
    with pytest.raises(UsageError, match="certificate and its key cannot be used"):
        Endpoint(HttpSettings(port=0, tls=tls), ROUTES)
