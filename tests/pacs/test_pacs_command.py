"""`ctdenoise pacs` ends with the exit code that says what it was, and says it in words."""

from __future__ import annotations

import socket

import pytest

from ctdenoise.cli.app import app
from ctdenoise.cli.failure import guarded
from ctdenoise.pacs import requirements
from tests.pacs.listening import SERVER_LEAVES_SOCKETS, series, store_scp

pytestmark = SERVER_LEAVES_SOCKETS


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def run(*arguments: object) -> int:
    return guarded(app, ["pacs", *map(str, arguments)])


def test_files_of_folders_are_sent_and_what_is_no_dicom_is_left(tmp_path, capsys):
    series(tmp_path / "study" / "a", slices=2)
    (tmp_path / "study" / "run.json").write_text("{}")
    got = []
    with store_scp(lambda event: got.append(event) or 0) as peer:
        file = tmp_path / "peers.yaml"
        file.write_text(
            f"peers:\n  archive: {{kind: dimse, host: 127.0.0.1, port: {peer.port}, ae_title: A}}\n"
        )
        assert run("send", tmp_path / "study", "--to", "archive", "--config", file) == 0
        assert run("echo", "archive", "--config", file, "--calling", "ME") == 0
    assert len(got) == 2
    assert "Sent 2 instances" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (2, "no peer is called", ["echo", "archive"]),
        (2, "not how a peer is written", ["echo", "ftp://somewhere"]),
        (2, "knows no AE titles", ["echo", "http://127.0.0.1:1/rs", "--calling", "ME"]),
        (2, "at most 16|1 to 16", ["echo", "dimse://" + "A" * 17 + "@127.0.0.1:1"]),
        (2, "a UID is made of", ["find", "dimse://A@127.0.0.1:1", "--study", "../x"]),
        (2, "a date is", ["find", "dimse://A@127.0.0.1:1", "--date", "yesterday"]),
        (2, "--limit", ["find", "dimse://A@127.0.0.1:1", "--limit", "0"]),
        (2, "looked for in a study", ["find", "dimse://A@127.0.0.1:1", "--level", "image"]),
        (2, "knows no move", ["move", "http://127.0.0.1:1/rs", "--study", "1.2", "--to", "B"]),
        (3, "no such file", ["send", "nowhere", "--to", "dimse://A@127.0.0.1:1"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_meant_is_told_before_anybody_is_asked(code, words, arguments, capsys):
    assert run(*arguments) == code
    error = capsys.readouterr().err
    assert any(word in error for word in words.split("|"))
    assert "Traceback" not in error


@pytest.mark.parametrize("command", ["echo", "find", "get", "send"])
def test_a_peer_that_is_not_there_ends_with_5(command, tmp_path, capsys):
    peer = f"dimse://ANY@127.0.0.1:{closed_port()}"
    arguments = {
        "echo": [peer],
        "find": [peer],
        "get": [peer, "--study", "1.2", "--out", tmp_path / "out"],
        "send": [tmp_path / "study", "--to", peer],
    }[command]
    series(tmp_path / "study", slices=1)
    once = () if command == "echo" else ("--set", "retry.tries=2", "--set", "retry.first_wait_s=0")
    assert run(command, *arguments, *once) == 5
    assert "nothing listens there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(requirements, "find_spec", lambda _: None)
    assert run("echo", "dimse://A@127.0.0.1:1") == 2
    assert "pip install 'ctdenoise[pacs]'" in capsys.readouterr().err
