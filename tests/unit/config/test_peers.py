"""Peers: what a settings file and a command line may say, and what no message repeats."""

from __future__ import annotations

import pytest

from ctdenoise.config.load import checked, load_settings
from ctdenoise.config.peer_address import find_peer, peer_of_address, shown
from ctdenoise.config.peers import DimsePeer, PacsSettings, WebPeer
from ctdenoise.config.secrets import SecretSettings
from ctdenoise.errors import SettingsError, UsageError

SECRET = "hunter2-do-not-show"  # noqa: S105 - what must not appear


@pytest.mark.parametrize(
    ("text", "host", "port", "title", "calling", "encrypted"),
    [
        ("dimse://ARCHIVE@pacs.example.org:11112", "pacs.example.org", 11112, "ARCHIVE", "", False),
        ("dimse://A%20B@10.0.0.1", "10.0.0.1", 104, "A B", "", False),
        ("dimse+tls://ARCHIVE@[::1]:2762?calling=ME", "::1", 2762, "ARCHIVE", "ME", True),
    ],
)
def test_an_address_names_a_dimse_peer(text, host, port, title, calling, encrypted):
    peer = peer_of_address(text)
    assert isinstance(peer, DimsePeer)
    assert (peer.host, peer.port, peer.ae_title) == (host, port, title)
    assert peer.calling_ae_title == (calling or "CTDENOISE")
    assert (peer.tls is not None) == encrypted


@pytest.mark.parametrize("text", ["https://host/dicom-web/", "dicomweb+https://host/dicom-web"])
def test_an_address_names_a_web_peer(text):
    peer = peer_of_address(text)
    assert isinstance(peer, WebPeer)
    assert peer.url == shown(peer) == "https://host/dicom-web"


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@host/dicom-web",
        f"dimse://AE:{SECRET}@host:104",
        f"https://host/dicom-web?token={SECRET}",
        f"dimse://AE@host:{SECRET}",
        f"ftp://{SECRET}",
    ],
)
def test_what_may_be_a_secret_in_an_address_is_refused_and_not_repeated(text):
    with pytest.raises(SettingsError) as caught:
        peer_of_address(text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "A\\B", "Ä", "A\tB"])
def test_titles_that_dicom_does_not_know_are_refused(title):
    with pytest.raises(SettingsError, match="AE title"):
        checked(DimsePeer, {"host": "h", "ae_title": title})


@pytest.mark.parametrize(
    "value", [SECRET, {"env": SECRET}, {"env": "A", "file": "b"}, {}], ids=repr
)
def test_a_password_in_the_settings_is_refused_and_not_repeated(value):
    values = {"url": "https://host/dicom-web", "user": "u", "password": value}
    with pytest.raises(SettingsError) as caught:
        checked(WebPeer, values)
    assert SECRET not in str(caught.value)


def test_a_secret_comes_from_a_file_or_a_variable(tmp_path, monkeypatch):
    (tmp_path / "password").write_text(SECRET + "\n")
    monkeypatch.setenv("ARCHIVE_PASSWORD", SECRET)
    for place in ({"file": tmp_path / "password"}, {"env": "ARCHIVE_PASSWORD"}):
        settings = checked(SecretSettings, place)
        assert settings.read() == SECRET
        assert SECRET not in repr(settings) + str(settings.as_json())


def test_a_secret_that_is_not_there_is_an_error_in_words(tmp_path, monkeypatch):
    monkeypatch.delenv("ARCHIVE_PASSWORD", raising=False)
    for place in ({"file": tmp_path / "absent"}, {"env": "ARCHIVE_PASSWORD"}):
        with pytest.raises(SettingsError, match="password or token"):
            checked(SecretSettings, place).read()


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://archive.example.org/dicom-web", False),
        ("http://10.0.0.7/dicom-web", False),
        ("https://archive.example.org/dicom-web", True),
        ("http://127.0.0.1:8042/dicom-web", True),
        ("http://localhost:8042/dicom-web", True),
    ],
)
def test_secrets_do_not_travel_in_plain_text_unless_asked(url, allowed):
    values = {"url": url, "token": {"env": "TOKEN"}}
    if allowed:
        checked(WebPeer, values)
    else:
        with pytest.raises(SettingsError, match="allow_plain_secrets"):
            checked(WebPeer, values)
    assert checked(WebPeer, {**values, "allow_plain_secrets": True}).token is not None


def test_a_peer_is_found_by_the_name_that_the_settings_give_it(tmp_path):
    file = tmp_path / "peers.yaml"
    file.write_text(
        "peers:\n"
        "  archive: {kind: dimse, host: pacs.example.org, ae_title: ARCHIVE}\n"
        "  cloud: {kind: dicomweb, url: https://cloud.example.org/dicom-web}\n"
    )
    settings = load_settings(PacsSettings, file)
    assert shown(find_peer("archive", settings)) == "ARCHIVE@pacs.example.org:104"
    assert shown(find_peer("cloud", settings)) == "https://cloud.example.org/dicom-web"
    with pytest.raises(UsageError, match="did you mean archive"):
        find_peer("archiv", settings)


def test_a_mistake_in_a_named_peer_is_told_with_its_line(tmp_path):
    file = tmp_path / "peers.yaml"
    file.write_text(
        "peers:\n  archive:\n    kind: dimse\n    host: pacs\n    ae_titel: A\n    port: 70000\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(PacsSettings, file)
    message = str(caught.value)
    assert "line 5: unknown key `peers.archive.ae_titel`; did you mean `ae_title`?" in message
    assert "line 6: `peers.archive.port`" in message
