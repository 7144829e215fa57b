"""Encrypted connections: who proves to be trusted is spoken to, and nobody else."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctdenoise.config.load import checked
from ctdenoise.config.peers import RetrySettings, WebPeer
from ctdenoise.errors import PeerError, PeerRefused, SettingsError
from ctdenoise.pacs.client import echo
from ctdenoise.pacs.sender import send
from tests.pacs.certificates import Authority, authority
from tests.pacs.listening import SERVER_LEAVES_SOCKETS, dcmtk, peer_at, series, store_scp

pytestmark = SERVER_LEAVES_SOCKETS


@pytest.fixture(scope="module")
def trusted(tmp_path_factory) -> Authority:
    made = authority(tmp_path_factory.mktemp("trusted"))
    made.vouches_for("server")
    made.vouches_for("nameless", alternative="")
    made.vouches_for("elsewhere", alternative="DNS:other.example.org")
    made.vouches_for("client")
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    made = authority(tmp_path_factory.mktemp("stranger"))
    made.vouches_for("client")
    return made


def server_context(trusted: Authority, name: str = "server", *, mutual: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted.folder / f"{name}.pem")
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(trusted.certificate)
    return context


def tls(trusted: Authority, **more) -> dict:
    return {"ca_file": trusted.certificate, **more}


def test_both_sides_prove_who_they_are_and_files_arrive(trusted, tmp_path):
    got = []

    def keeps(event) -> int:
        got.append(event.request.DataSet.getvalue())
        return 0

    ours = tls(trusted, certificate=trusted.folder / "client.pem")
    with store_scp(keeps, tls=server_context(trusted, mutual=True), tls_settings=ours) as peer:
        assert echo(peer).answer_s > 0
        assert send(series(tmp_path, slices=6, size=200), peer).sent == 6
    assert len(got) == 6


def test_storescp_of_dcmtk_takes_encrypted_files_from_those_it_knows(trusted, stranger, tmp_path):
    program, folder = dcmtk("storescp"), trusted.folder
    files, kept = series(tmp_path / "sent", slices=3), tmp_path / "kept"
    kept.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key, own = folder / "server.key", folder / "server.crt"
    server = subprocess.Popen(
        [program, "+tls", str(key), str(own), "+cf", str(trusted.certificate), "-rc",
         "-od", str(kept), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        known = tls(trusted, certificate=folder / "client.pem")
        patient = RetrySettings(tries=100, first_wait_s=0.1, factor=1.0)  # until it listens
        assert send(files, peer_at(port, tls=known), retry=patient).sent == 3
        for wrong in (tls(trusted), {**known, "certificate": stranger.folder / "client.pem"}):
            with pytest.raises(PeerError):
                send(files, peer_at(port, tls=wrong), retry=RetrySettings(tries=1))
    finally:
        server.terminate()
        server.wait(30)
    assert len(list(kept.iterdir())) == 3


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_a_peer_that_wants_to_know_us_refuses_those_it_does_not_know(trusted, stranger, who):
    ours = tls(trusted)
    if who == "stranger":
        ours["certificate"] = stranger.folder / "client.pem"
    with (
        store_scp(lambda _: 0, tls=server_context(trusted, mutual=True), tls_settings=ours) as peer,
        pytest.raises(PeerError),
    ):
        echo(peer)


@pytest.mark.parametrize("why", ["unknown authority", "no name in it", "another name in it"])
def test_a_peer_that_does_not_prove_who_it_is_is_not_spoken_to(trusted, stranger, why):
    name = {"no name in it": "nameless", "another name in it": "elsewhere"}.get(why, "server")
    ours = tls(stranger if why == "unknown authority" else trusted)
    context = server_context(trusted, name, mutual=False)
    with (
        store_scp(lambda _: 0, tls=context, tls_settings=ours) as peer,
        pytest.raises(PeerRefused, match="certificate is not trusted"),
    ):
        echo(peer)


@pytest.mark.parametrize("name", ["nameless", "elsewhere"])
def test_names_in_certificates_need_not_fit_where_the_settings_say_so(trusted, name):
    ours = tls(trusted, check_host_name=False)
    context = server_context(trusted, name, mutual=False)
    with store_scp(lambda _: 0, tls=context, tls_settings=ours) as peer:
        assert echo(peer).implementation


def test_anybody_is_spoken_to_only_where_the_settings_say_so(trusted):
    context = server_context(trusted, mutual=False)
    with store_scp(lambda _: 0, tls=context, tls_settings={"verify": False}) as peer:
        assert echo(peer).implementation
    with (
        store_scp(lambda _: 0, tls=context, tls_settings={}) as peer,
        pytest.raises(PeerRefused, match="not trusted"),
    ):
        echo(peer)


def test_an_old_version_of_tls_is_not_spoken(trusted):
    context = server_context(trusted, mutual=False)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        store_scp(lambda _: 0, tls=context, tls_settings=tls(trusted, minimum="1.3")) as peer,
        pytest.raises(PeerRefused, match=r"no encryption|does not accept"),
    ):
        echo(peer)
    with store_scp(lambda _: 0, tls=context, tls_settings=tls(trusted)) as peer:
        assert echo(peer).implementation


@pytest.mark.parametrize("encrypted", [True, False], ids=["tls-to-plain", "plain-to-tls"])
def test_one_side_that_encrypts_and_one_that_does_not_part_in_words_and_in_time(trusted, encrypted):
    context = None if encrypted else server_context(trusted, mutual=False)
    ours = tls(trusted) if encrypted else None
    short = {"connect_s": 2.0, "association_s": 2.0, "answer_s": 2.0, "network_s": 2.0}
    started = time.monotonic()
    with (
        store_scp(lambda _: 0, tls=context, tls_settings=ours, timeouts=short) as peer,
        pytest.raises(PeerError) as caught,
    ):
        echo(peer)
    assert time.monotonic() - started < 20
    assert "127.0.0.1" in str(caught.value)


def test_files_of_certificates_that_are_none_are_told(trusted, tmp_path):
    (tmp_path / "none.pem").write_text("none")
    for wrong in ({"ca_file": tmp_path / "none.pem"}, {"certificate": tmp_path / "none.pem"}):
        with pytest.raises(SettingsError, match="cannot be used"):
            echo(peer_at(1 if "ca_file" in wrong else 2, tls={**tls(trusted), **wrong}))


@contextmanager
def https(context: ssl.SSLContext) -> Iterator[tuple[int, list[str]]]:
    """An HTTPS server that answers every question with an empty list; who asked it with what."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # a handshake that fails is what is tested
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def web(port: int, settings: dict, **more) -> WebPeer:
    return checked(WebPeer, {"url": f"https://127.0.0.1:{port}/rs", "tls": settings, **more})


def test_dicomweb_is_encrypted_by_the_same_rules(trusted, stranger, tmp_path: Path):
    (tmp_path / "token").write_text("abc")
    ours = tls(trusted, certificate=trusted.folder / "client.pem")
    with https(server_context(trusted, mutual=True)) as (port, asked):
        echo(web(port, ours, token={"file": tmp_path / "token"}))
        assert asked == ["Bearer abc"]
        for wrong in (tls(trusted), {**ours, "ca_file": stranger.certificate}):
            with pytest.raises(PeerError):
                echo(web(port, wrong))
    assert len(asked) == 1
