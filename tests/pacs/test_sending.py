"""What is sent arrives, is confirmed one by one, and is sent again only if that can help."""

from __future__ import annotations

import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom.presentation import AllStoragePresentationContexts

from ctdenoise.errors import InputError, PeerRefused, PeerUnavailable
from ctdenoise.pacs.sender import Sent, send
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.pacs.listening import (
    AT_ONCE,
    SERVER_LEAVES_SOCKETS,
    TellsWaits,
    dcmtk,
    peer_at,
    series,
    store_scp,
)

pytestmark = SERVER_LEAVES_SOCKETS


def data_set(path: Path) -> bytes:
    """The bytes behind the file meta information."""
    length = dcmread(path, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    return path.read_bytes()[132 + 12 + length :]


class Keeps:
    """An SCP's memory of what it got, which answers by a list of statuses, then with success."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[str, str, bytes]] = []

    def __call__(self, event) -> int:
        status = self.statuses.pop(0) if self.statuses else 0
        if status == 0 or status >> 12 == 0xB:
            identity = str(event.request.AffectedSOPInstanceUID)
            syntax = str(event.context.transfer_syntax)
            self.got.append((identity, syntax, event.request.DataSet.getvalue()))
        return status


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless]
)
def test_data_sets_arrive_byte_for_byte_as_they_are_stored(tmp_path, syntax):
    files = series(tmp_path, syntax=syntax)
    keeps, told = Keeps(), []
    with store_scp(keeps) as peer:
        report = send(files, peer, on_sent=told.append)
    assert [data for _, _, data in keeps.got] == [data_set(path) for path in files]
    assert {used for _, used, _ in keeps.got} == {str(syntax)}
    assert report.sent == len(told) == 4
    assert report.converted == 0
    assert told[0] == Sent(files[0], keeps.got[0][0])


@pytest.mark.parametrize("associations", [1, 3])
@pytest.mark.parametrize("most", ["16384", "131072", "4096"])
def test_what_arrives_at_storescp_of_dcmtk_is_what_was_sent(tmp_path, associations, most):
    program = dcmtk("storescp")
    files = series(tmp_path / "sent", slices=7, size=70)
    kept = tmp_path / "kept"
    kept.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program, "-pdu", most, "--fork", "--bit-preserving", "-od", str(kept), str(port)]
    )
    try:
        wait_for(port)
        report = send(files, peer_at(port, associations=associations))
    finally:
        server.terminate()
        server.wait(30)
    assert report.sent == 7
    assert sorted(map(data_set, kept.iterdir())) == sorted(map(data_set, files))


def wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("storescp does not listen")


@pytest.mark.parametrize("stored", [RLELossless, JPEGLSLossless, ImplicitVRLittleEndian])
def test_a_peer_that_takes_uncompressed_only_gets_the_same_values_and_the_report_says_so(
    tmp_path, stored
):
    plain, kept = series(tmp_path / "plain"), series(tmp_path / "stored", syntax=stored)
    keeps = Keeps()
    with store_scp(keeps, syntaxes=[ExplicitVRLittleEndian]) as peer:
        report = send(kept, peer)
    assert report.converted == 4
    for (_, used, data), path in zip(keeps.got, plain, strict=True):
        assert used == str(ExplicitVRLittleEndian)
        assert data == data_set(path)


def test_what_is_compressed_with_a_loss_is_not_decompressed_but_refused(tmp_path):
    files = series(tmp_path, slices=1, syntax=RLELossless)
    dataset = dcmread(files[0])
    dataset.file_meta.TransferSyntaxUID = JPEG2000
    dataset.save_as(files[0])
    keeps = Keeps()
    with (
        store_scp(keeps, syntaxes=[ExplicitVRLittleEndian]) as peer,
        pytest.raises(PeerRefused, match="compressed with a loss"),
    ):
        send(files, peer)
    assert keeps.got == []


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_warnings_count_as_stored_and_are_reported(tmp_path, status):
    files, told = series(tmp_path), []
    with store_scp(Keeps(status)) as peer:
        report = send(files, peer, on_sent=told.append)
    assert report.sent == len(told) == 4
    assert [count for _, count in report.warnings] == [1]
    assert told[0].warning


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xC123, 0x0122, 0x0117, 0x0124])
def test_a_final_refusal_of_one_does_not_keep_the_others_and_is_not_tried_again(tmp_path, status):
    files, told, keeps = series(tmp_path), [], Keeps(0, status)
    clock = TellsWaits()
    with (
        store_scp(keeps) as peer,
        pytest.raises(PeerRefused, match=f"1 instances are refused.*\n.*0x{status:04X}"),
    ):
        send(files, peer, on_sent=told.append, clock=clock)
    assert [one.path for one in told] == [files[0], files[2], files[3]]
    assert clock.waits == []


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0213])
def test_out_of_resources_is_tried_again_later_with_what_is_not_there_yet(tmp_path, status):
    files, keeps, clock = series(tmp_path), Keeps(0, status, status), TellsWaits()
    with store_scp(keeps) as peer:
        report = send(files, peer, retry=AT_ONCE, clock=clock)
    assert (report.sent, report.failures) == (4, 2)
    assert clock.waits == [1.0, 2.0]
    assert Counter(identity for identity, _, _ in keeps.got).most_common(1)[0][1] == 1


def test_a_peer_that_stays_busy_is_given_up_and_what_is_there_is_known(tmp_path):
    files, told, clock = series(tmp_path), [], TellsWaits()
    keeps = Keeps(0, *[0xA700] * 9)
    with (
        store_scp(keeps) as peer,
        pytest.raises(PeerUnavailable, match="1 instances are there, 3 are not"),
    ):
        send(files, peer, retry=AT_ONCE, clock=clock, on_sent=told.append)
    assert [one.path for one in told] == files[:1]
    assert clock.waits == [1.0, 2.0]


def test_after_a_lost_association_only_what_was_not_confirmed_is_sent(tmp_path):
    files, clock, seen = series(tmp_path, slices=6), TellsWaits(), Counter()

    def loses(event):
        seen[str(event.request.AffectedSOPInstanceUID)] += 1
        if seen.total() in (2, 5):
            event.assoc.abort()
        return 0

    with store_scp(loses) as peer:
        report = send(files, peer, retry=AT_ONCE, clock=clock)
    assert report.sent == 6
    assert sorted(seen.values()) == [1, 1, 1, 1, 2, 2]
    assert clock.waits == [1.0, 1.0]  # each time something had been confirmed in between


def test_several_associations_confirm_everything_once(tmp_path):
    files, told, keeps = series(tmp_path, slices=11), [], Keeps()
    with store_scp(keeps, associations=4) as peer:
        report = send(files, peer, on_sent=told.append)
    assert report.sent == len(told) == len(keeps.got) == 11
    assert {one.sop_instance_uid for one in told} == {identity for identity, _, _ in keeps.got}


def test_more_kinds_of_object_than_one_association_can_name_go_over_several(tmp_path):
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts][:90]

    def kind(dataset, index):
        dataset.SOPClassUID = classes[index]

    files = series_files(tmp_path, ct_series(marked_volume(slices=90, size=(8, 8)), edit=kind))
    keeps, associations = Keeps(), set()

    def counts(event):
        associations.add(event.assoc)
        return keeps(event)

    with store_scp(counts, classes=classes) as peer:
        assert send(files, peer).sent == 90
    assert len(associations) == 2


def test_a_peer_that_takes_nothing_of_it_is_named_with_the_kinds(tmp_path):
    files = series(tmp_path)
    with (
        store_scp(Keeps(), classes=["1.2.840.10008.5.1.4.1.1.4"]) as peer,
        pytest.raises(PeerRefused, match="CT Image Storage"),
    ):
        send(files, peer)


def test_one_kind_of_object_that_is_not_taken_does_not_keep_the_others(tmp_path):
    def other(dataset, index):
        if index == 1:
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"

    files = series_files(tmp_path, ct_series(marked_volume(slices=3, size=(8, 8)), edit=other))
    told = []
    with (
        store_scp(Keeps(), classes=[CTImageStorage]) as peer,
        pytest.raises(PeerRefused, match="takes no MR Image Storage"),
    ):
        send(files, peer, on_sent=told.append)
    assert [one.path for one in told] == [files[0], files[2]]


def test_files_that_cannot_be_sent_are_all_named_before_anything_is_sent(tmp_path):
    files = series(tmp_path)
    files[1].write_bytes(files[1].read_bytes()[:-100])
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError) as caught:
        send([*files, tmp_path / "notes.txt"], peer_at(1))
    assert "2 of 5 files" in str(caught.value)
    assert "0002.dcm: it ends too early" in str(caught.value)
    assert "notes.txt: it is no DICOM file" in str(caught.value)


def test_the_same_file_twice_is_sent_once_and_two_of_one_identity_are_refused(tmp_path):
    files = series(tmp_path)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(files[0].read_bytes())
    keeps = Keeps()
    with store_scp(keeps) as peer:
        assert send([*files, copy], peer).sent == 4
    changed = bytearray(files[0].read_bytes())
    changed[-1] ^= 1
    copy.write_bytes(changed)
    with pytest.raises(InputError, match="same identity"):
        send([*files, copy], peer_at(1))


def test_files_without_a_preamble_can_be_sent(tmp_path):
    files = series(tmp_path, slices=2, file_meta=False)
    keeps = Keeps()
    with store_scp(keeps) as peer:
        send(files, peer)
    assert [data for _, _, data in keeps.got] == [path.read_bytes() for path in files]


def test_what_a_caller_raises_for_one_instance_ends_the_sending(tmp_path):
    files = series(tmp_path)

    def full(sent):
        raise OSError(28, "No space left on device")

    for associations in (1, 2):
        with (
            store_scp(Keeps(), associations=associations) as peer,
            pytest.raises(OSError, match="No space left"),
        ):
            send(files, peer, on_sent=full)
