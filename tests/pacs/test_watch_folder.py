"""A watched folder: what lies still is taken once, what is none is put aside."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ctdenoise.config.receiver import InboxSettings, WatchFolderSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError
from ctdenoise.pacs import watch_folder
from ctdenoise.pacs.inbox import Inbox, Kept
from ctdenoise.pacs.watch_folder import Looked, WatchFolder
from tests.dicom.builders import as_bytes
from tests.pacs.receiving import one_slice, without_meta


@dataclass
class Notes:
    """A memory that lasts as long as the test."""

    notes: dict[str, JsonValue] = field(default_factory=dict)

    def note(self, key: str, value: JsonValue) -> None:
        self.notes[key] = value

    def noted(self, key: str) -> JsonValue:
        return self.notes.get(key)


@dataclass
class Watching:
    folder: Path
    inbox: Inbox
    settings: WatchFolderSettings
    memory: Notes = field(default_factory=Notes)
    kept: list[Kept] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.watch = WatchFolder(
            self.settings, self.inbox, on_kept=self.kept.append, memory=self.memory
        )

    def look(self, times: int = 1) -> Looked:
        looked = [self.watch.look() for _ in range(times)]
        return looked[-1]

    def put(self, name: str, data: bytes | None = None, *, index: int = 0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(one_slice(index=index)) if data is None else data)
        return path


@pytest.fixture
def watching(tmp_path: Path, request: pytest.FixtureRequest) -> Watching:
    folder = tmp_path / "watched"
    folder.mkdir()
    settings = WatchFolderSettings(path=folder, **getattr(request, "param", {}))
    return Watching(folder, Inbox(tmp_path / "inbox", InboxSettings(free_mb=1)), settings)


def with_settings(**settings: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("watching", [settings], indirect=True, ids=[str(settings)])


def test_a_file_is_taken_when_it_is_the_same_at_two_looks(watching: Watching) -> None:
    path = watching.put("study/deep/er/1.dcm")
    data = path.read_bytes()
    assert watching.look() == Looked(waiting=1)
    path.write_bytes(data + bytes(2))
    os.utime(path, ns=(1, 1))
    assert watching.look() == Looked(waiting=1)
    assert watching.look() == Looked(taken=1)
    assert not path.exists()
    assert without_meta(watching.kept[0].path.read_bytes()) == without_meta(data) + bytes(2)
    assert watching.kept[0].sender == "FOLDER"


@pytest.mark.parametrize("name", [".hidden", "1.dcm.part", "1.tmp", ".new/1.dcm", "x/.y/1.dcm"])
def test_what_is_not_finished_by_its_name_is_left_alone(watching: Watching, name: str) -> None:
    path = watching.put(name)
    assert watching.look(3) == Looked()
    assert path.exists()


def test_what_is_no_dicom_is_put_aside_with_a_reason(watching: Watching) -> None:
    watching.put("study/notes.txt", b"some words")
    watching.put("study/again/notes.txt", b"other words")
    watching.put("study/all.zip", b"PK\3\4 and so on")
    watching.put("study/1.dcm")
    watching.look()
    assert watching.look() == Looked(taken=1, rejected=3)
    aside = sorted((watching.folder / "rejected").iterdir())
    reasons = {
        path.name.split("-", 1)[1]: path.read_text()
        for path in aside
        if path.name.endswith(".txt.txt") or path.name.endswith(".zip.txt")
    }
    assert "does not begin like DICOM" in reasons["notes.txt.txt"]
    assert "not unpacked" in reasons["all.zip.txt"]
    assert len(aside) == 6
    assert watching.look(3) == Looked()


def test_links_are_not_followed(watching: Watching, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "1.dcm").write_bytes(as_bytes(one_slice()))
    (watching.folder / "folder").symlink_to(secret)
    (watching.folder / "file.dcm").symlink_to(secret / "1.dcm")
    assert watching.look(3) == Looked()
    assert (secret / "1.dcm").exists()


def test_what_is_no_file_keeps_nobody_waiting(watching: Watching) -> None:
    os.mkfifo(watching.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(str(watching.folder / "s"))
        assert watching.look(3) == Looked()


@with_settings(marker=".complete")
def test_a_folder_is_left_alone_until_its_marker_is_there(watching: Watching) -> None:
    watching.put("study/1.dcm")
    assert watching.look(3) == Looked()
    (watching.folder / "study" / ".complete").touch()
    watching.look()
    assert watching.look() == Looked(taken=1)
    watching.look()
    assert not (watching.folder / "study").exists()


@with_settings(sources="keep")
def test_files_that_stay_are_taken_once_even_after_a_restart(watching: Watching) -> None:
    path = watching.put("study/1.dcm")
    watching.put("study/readme", b"words")
    watching.look(2)
    assert len(watching.kept) == 1
    watching.inbox.remove(watching.kept[0].study, [watching.kept[0].path])
    watching.restart()
    assert watching.look(3) == Looked()
    assert path.exists()
    assert not (watching.folder / "rejected").exists()
    path.write_bytes(as_bytes(one_slice(index=5)))
    watching.look(2)
    assert [kept.outcome for kept in watching.kept] == ["new", "new"]


def test_a_file_for_which_there_is_no_room_stays(watching: Watching, tmp_path: Path) -> None:
    path = watching.put("1.dcm")
    watching.inbox = Inbox(tmp_path / "full", InboxSettings(free_mb=2**30))
    watching.restart()
    assert watching.look(3) == Looked(waiting=1)
    assert path.exists()


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = watching.put("1.dcm")
    watching.look()
    keep = Inbox.keep_file

    def slowly(inbox: Inbox, source, **options):
        with path.open("ab") as file:
            file.write(bytes(2))
        return keep(inbox, source, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "keep_file", slowly)
        assert watching.look() == Looked(waiting=1)
    assert watching.kept == []
    watching.look()
    assert watching.look() == Looked(taken=1)


@with_settings(files_per_look=2)
def test_many_files_are_taken_a_few_at_a_time(watching: Watching) -> None:
    for index in range(5):
        watching.put(f"{index}.dcm", index=index)
    assert [watching.look() for _ in range(4)] == [
        Looked(waiting=5),
        Looked(taken=2, waiting=3),
        Looked(taken=2, waiting=1),
        Looked(taken=1),
    ]


@with_settings(depth=2)
def test_files_deeper_than_allowed_are_not_found(watching: Watching) -> None:
    watching.put("a/b/1.dcm")
    watching.put("a/b/c/2.dcm", index=1)
    watching.look()
    assert watching.look() == Looked(taken=1)


def test_an_empty_folder_is_removed_after_a_while_and_not_at_once(watching: Watching) -> None:
    watching.put("study/1.dcm")
    watching.look(20)
    assert (watching.folder / "study").exists()
    watching.look(120)
    assert not (watching.folder / "study").exists()
    assert watching.folder.exists()


def test_a_folder_that_is_not_there_is_an_error_in_words(watching: Watching) -> None:
    watching.folder.rmdir()
    with pytest.raises(InputError, match="the watched folder cannot be read"):
        watching.look()


@with_settings(sources="keep")
def test_more_files_than_are_looked_at_are_told_of_and_the_others_are_taken(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_folder, "_FILES_MOST", 2)
    for index in range(3):
        watching.put(f"{index}.dcm", index=index)
    for _ in range(2):
        with pytest.raises(InputError, match="more than 2 files"):
            watching.look()
    assert len(watching.kept) == 2
