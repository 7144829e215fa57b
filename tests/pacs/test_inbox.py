"""What the inbox says is kept is on the disk, whole, and found again."""

from __future__ import annotations

import os
import resource
import stat
import zlib
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ctdenoise.config.receiver import InboxSettings
from ctdenoise.errors import OutputError
from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.io.staging import PARTIAL_MARK
from ctdenoise.pacs.inbox import Inbox, NotKeptError
from ctdenoise.pacs.instance_head import file_head, meta_of, uids_in
from tests.dicom.builders import as_bytes
from tests.pacs.receiving import data_set_of, one_slice, without_meta

SMALL = InboxSettings(free_mb=1)
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def keep(inbox: Inbox, study: str = "a", index: int = 0):
    return inbox.keep_file(BytesIO(as_bytes(one_slice(study, index))), sender="CT1")


def test_a_new_inbox_on_the_folder_finds_everything_again(tmp_path: Path) -> None:
    first = Inbox(tmp_path / "inbox", SMALL)
    kept = [keep(first, study, index) for study in "ab" for index in range(3)]
    second = Inbox(tmp_path / "inbox", SMALL)
    assert sorted(second.studies()) == sorted(first.studies())
    assert {path for study in second.studies() for path in second.files(study)} == {
        one.path for one in kept
    }
    assert second.usage() == first.usage()
    assert second.usage().instances == 6


def test_what_was_half_written_is_gone_after_a_crash(tmp_path: Path) -> None:
    first = Inbox(tmp_path / "inbox", SMALL)
    kept = keep(first)
    half = first.incoming(uids=("1.2.3", "1.2.3.4"), syntax=ExplicitVRLittleEndian, sender="A")
    half.write(b"half of a data set")
    assert list((tmp_path / "inbox" / ".incoming").iterdir())
    second = Inbox(tmp_path / "inbox", SMALL)
    assert not list((tmp_path / "inbox" / ".incoming").iterdir())
    assert second.files(kept.study) == (kept.path,)
    half.close()


def test_rounds_that_were_being_written_down_in_a_crash_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Inbox(tmp_path / "inbox", SMALL)
    kept = keep(first)
    first.change_rounds(kept.study, lambda known: replace(known, handed_on=frozenset({"1"})))
    with monkeypatch.context() as killed:  # after the file was written, before it had its name
        killed.setattr(Path, "replace", stopped)
        killed.setattr(Path, "unlink", stopped)
        with pytest.raises(InterruptedError):
            first.change_rounds(kept.study, lambda known: replace(known, handed_on=frozenset()))
    folder = kept.path.parent
    assert any(PARTIAL_MARK in path.name for path in folder.iterdir())
    second = Inbox(tmp_path / "inbox", SMALL)
    assert sorted(path.name for path in folder.iterdir()) == sorted([kept.path.name, "rounds.json"])
    assert second.rounds(kept.study).handed_on == {"1"}


def stopped(*_arguments: object, **_options: object) -> None:
    """A call in which the process ends."""
    raise InterruptedError


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_we_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        steps.append("sync " + ("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"))
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    inbox = Inbox(tmp_path / "inbox", SMALL)
    keep(inbox)
    assert steps == ["sync file", "sync folder", "rename", "sync folder"]
    steps.clear()
    keep(inbox, index=1)
    assert steps == ["sync file", "rename", "sync folder"]
    steps.clear()
    assert keep(inbox, index=1).outcome == "again"
    assert steps[-1] == "sync folder"  # whoever kept it first may not have come so far yet


def test_an_error_of_the_disk_leaves_nothing_and_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    inbox = Inbox(tmp_path / "inbox", SMALL)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(NotKeptError) as caught:
        keep(inbox)
    assert caught.value.reason == "disk"
    assert inbox.studies() == ()
    assert not list((tmp_path / "inbox" / ".incoming").iterdir())


def test_names_come_from_digests_and_not_from_what_arrived(tmp_path: Path) -> None:
    kept = keep(Inbox(tmp_path / "inbox", SMALL))
    assert len(kept.path.stem) == len(kept.study) == 32
    for uid in (kept.uids.sop_instance_uid, kept.uids.study_instance_uid):
        assert uid not in str(kept.path)


@pytest.mark.parametrize("syntax", NATIVE, ids=[one.name for one in NATIVE])
def test_a_file_is_kept_with_the_bytes_of_its_data_set(tmp_path: Path, syntax: str) -> None:
    file = as_bytes(one_slice(), syntax)
    path = tmp_path / "file.dcm"
    path.write_bytes(file)
    kept = Inbox(tmp_path / "inbox", SMALL).keep_file(path, sender="FOLDER")
    assert without_meta(kept.path.read_bytes()) == without_meta(file)
    with kept.path.open("rb") as opened:
        assert meta_of(opened)[1] == "FOLDER"


@pytest.mark.parametrize("syntax", NATIVE[:3], ids=[one.name for one in NATIVE[:3]])
def test_a_file_without_file_meta_information_is_understood(tmp_path: Path, syntax: str) -> None:
    bare = as_bytes(one_slice(), syntax, file_meta=False)
    kept = Inbox(tmp_path / "inbox", SMALL).keep_file(BytesIO(bare), sender="FOLDER")
    assert without_meta(kept.path.read_bytes()) == bare


def test_files_are_removed_with_their_study_and_nothing_else_is(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", SMALL)
    first, second, other = keep(inbox), keep(inbox, index=1), keep(inbox, "b")
    with pytest.raises(ValueError, match="no file of the study"):
        inbox.remove(first.study, [other.path])
    with pytest.raises(ValueError, match="no key"):
        inbox.remove("../..", [])
    inbox.remove(first.study, [first.path])
    assert inbox.files(first.study) == (second.path,)
    inbox.remove(first.study, [second.path])
    assert inbox.studies() == (other.study,)
    assert inbox.usage().instances == 1
    inbox.remove(first.study, [second.path])  # once more changes nothing


def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the inbox cannot be used"):
        Inbox(tmp_path / "file" / "inbox", SMALL)


def test_a_deflated_bomb_is_refused_within_bounds(tmp_path: Path) -> None:
    deflating = zlib.compressobj(wbits=-15)
    bomb = deflating.compress(b"\x08\0\x16\0UI\0\0")
    bomb += b"".join(deflating.compress(bytes(2**20)) for _ in range(400)) + deflating.flush()
    head = file_head(
        uids=("1.2.3", "1.2.3.4"), transfer_syntax=DeflatedExplicitVRLittleEndian, sender="A"
    )
    inbox = Inbox(tmp_path / "inbox", SMALL)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NotKeptError):
        inbox.keep_file(BytesIO(head + bomb), sender="A")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB, of 400 MB


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_bytes_that_somebody_changed_are_parsed_or_refused_and_nothing_else(data) -> None:
    whole = bytearray(data_set_of(one_slice(), data.draw(st.sampled_from(NATIVE)))[:900])
    for _ in range(data.draw(st.integers(0, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    head = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for syntax in NATIVE:
        for is_whole in (True, False):
            with suppress(DamagedFileError):
                uids_in(head, syntax, is_whole=is_whole)


@pytest.mark.parametrize("syntax", NATIVE, ids=[one.name for one in NATIVE])
def test_a_piece_of_a_header_is_never_taken_for_the_whole(syntax: str) -> None:
    whole = data_set_of(one_slice(), syntax)
    truth = uids_in(whole, syntax, is_whole=True)
    for length in range(0, len(whole), 1 if len(whole) < 3000 else 7):
        assert uids_in(whole[:length], syntax, is_whole=False) in (None, truth)


def test_the_folder_of_a_study_is_on_the_disk_before_a_second_sender_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(tmp_path / "inbox", InboxSettings(free_mb=1))
    synced: list[Path] = []

    def noted(folder: Path) -> None:
        is_alone = inbox._lock.locked()
        synced.append(folder if is_alone else folder / "unlocked")

    monkeypatch.setattr("ctdenoise.pacs.inbox.sync_folder", noted)
    kept = inbox.keep_file(BytesIO(as_bytes(one_slice("one", 0))), sender="CT1")
    assert synced == [inbox.path, kept.path.parent / "unlocked"]
