"""Senders that lie, stall, flood or vanish cost neither memory nor what others send."""

from __future__ import annotations

import resource
import socket
import threading
import time
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ctdenoise.config.receiver import InboxSettings
from tests.dicom.builders import uid
from tests.pacs.raw_sender import CT, RawSender, command, fragment, pdu, request
from tests.pacs.receiving import Receiving, data_set_of, one_slice, receiving

ASK = request([(CT, [ExplicitVRLittleEndian])], calling="RAW", called="CTDENOISE", pdu_bytes=16384)
BEGIN = pdu(4, fragment(command(1, sop_instance="1.2.3"), command=True))


def accepts(here: Receiving, index: int = 0) -> bool:
    """Whether somebody else can store."""
    dataset = one_slice("somebody else", index)
    with RawSender(here.port) as sender:
        sender.associate()
        status = sender.store(data_set_of(dataset), dataset.SOPInstanceUID)
        return status == 0 and sender.release() == 6


def nothing_is_half(here: Receiving) -> bool:
    return not list((here.inbox.path / ".incoming").iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"\x01\x00\xff\xff\xff\xff" + bytes(100),
        b"\x04\x00\xff\xff\xff\xff" + bytes(100),
        pdu(1, b""),
        pdu(1, bytes(68)),
        pdu(1, b"\0\1" + bytes(66) + b"\x10\0\xff\xff" + b"1.2"),
        pdu(4, fragment(b"x")),
        pdu(5, bytes(4)),
        bytes(6),
    ],
    ids=lambda data: data[:8].hex(),
)
def test_what_is_no_request_for_an_association_ends_the_connection(
    tmp_path: Path, data: bytes
) -> None:
    with receiving(tmp_path) as here:
        with RawSender(here.port) as sender:
            sender.send(data)
            assert sender.read()[0] in (0, 3, 7)
        assert accepts(here)


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x00\xff\xff\xff\xff",
        b"\x04\x00\x00\x10\x00\x00" + bytes(4096),
        pdu(4, b"\xff\xff\xff\xff\1\3"),
        pdu(4, b"\0\0\0\1\1"),
        pdu(4, fragment(b"", context=99, command=True)),
        pdu(4, fragment(b"data first")),
        pdu(4, fragment(b"\0\0\0\0\xff\xff\xff\xff", command=True)),
        pdu(4, fragment(bytes(16), command=True)),
        pdu(4, fragment(bytes(20_000), command=True, last=False)),
        BEGIN + pdu(4, fragment(b"", command=True)),
        BEGIN + pdu(4, fragment(b"x", context=3)),
        pdu(2, bytes(68)),
        ASK,
    ],
    ids=lambda data: data[:12].hex() + f"-{len(data)}",
)
def test_what_is_against_the_protocol_is_answered_by_an_abort(tmp_path: Path, data: bytes) -> None:
    with receiving(tmp_path) as here:
        with RawSender(here.port) as sender:
            sender.associate()
            sender.send(data)
            assert sender.read()[0] in (0, 7)
        assert accepts(here)
        assert nothing_is_half(here)
    assert here.receiver.statistics.ended_associations == 1


def test_a_length_of_four_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    with receiving(tmp_path) as here:
        assert accepts(here)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for start in (b"\x01\0", b"\x04\0"):
            with RawSender(here.port) as sender:
                if start[0] == 4:
                    sender.associate()
                sender.send(start + b"\xff\xff\xff\xff" + bytes(1_000_000))
                sender.read()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_an_instance_without_end_is_refused_and_takes_no_memory(tmp_path: Path) -> None:
    settings = InboxSettings(instance_mb=1, free_mb=1)
    dataset = one_slice()
    endless = pdu(4, fragment(bytes(100_000), last=False))
    with receiving(tmp_path, inbox=settings) as here, RawSender(here.port) as sender:
        sender.associate()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sender.send(BEGIN)
        for _ in range(600):
            sender.send(endless)
        sender.send(pdu(4, fragment(b"")))
        assert sender.status() == 0xC000
        assert sender.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0
        assert nothing_is_half(here)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB, of 60 MB
    assert here.receiver.statistics.refused == {"too-large": 1}


@pytest.mark.parametrize("sent", [b"", ASK[:3], ASK[:40], b"late"], ids=["0", "3", "40", "all"])
def test_a_connection_that_says_nothing_is_cut(tmp_path: Path, sent: bytes) -> None:
    times = {"association_timeout_s": 0.3, "idle_timeout_s": 0.3, "pdu_timeout_s": 0.3}
    with receiving(tmp_path, **times) as here, RawSender(here.port) as sender:
        if sent == b"late":
            sender.associate()
        else:
            sender.send(sent)
        started = time.monotonic()
        assert sender.read()[0] in (0, 7)
        assert time.monotonic() - started < 10


def test_a_sender_of_single_bytes_is_cut_though_it_is_never_silent(tmp_path: Path) -> None:
    with receiving(tmp_path, pdu_timeout_s=0.5, idle_timeout_s=30) as here:
        with RawSender(here.port) as sender:
            sender.associate()
            sender.send(BEGIN + b"\x04\0\0\0\x10\0")
            ended = threading.Event()

            def drip() -> None:
                while not ended.wait(0.02):
                    try:
                        sender.send(b"x")
                    except OSError:
                        return

            dripping = threading.Thread(target=drip)
            dripping.start()
            assert sender.read()[0] in (0, 7)
            ended.set()
            dripping.join()
        assert nothing_is_half(here)


def test_a_sender_that_vanishes_leaves_nothing_behind(tmp_path: Path) -> None:
    with receiving(tmp_path) as here:
        for _ in range(5):
            with RawSender(here.port) as sender:
                sender.associate()
                sender.send(BEGIN + pdu(4, fragment(bytes(9000), last=False)))
                sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert accepts(here)
    assert nothing_is_half(here)
    assert here.inbox.usage().instances == 1


def test_one_more_than_the_most_connections_is_told_to_come_back(tmp_path: Path) -> None:
    with receiving(tmp_path, associations=2) as here:
        first, second = RawSender(here.port), RawSender(here.port)
        with first, second:
            first.associate()
            second.associate()
            with RawSender(here.port) as third:
                third.send(ASK)
                assert third.read() == (3, bytes((0, 2, 3, 2)))  # transient, local limit
            assert first.release() == second.release() == 6
        _wait_until(lambda: here.receiver.statistics.connections == 0)
        assert accepts(here)
    assert here.receiver.statistics.refused_associations == {"busy": 1}


def test_a_system_without_more_threads_turns_one_away_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("association"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with receiving(tmp_path) as here:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with RawSender(here.port) as sender:
                assert sender.read() == (0, b"")
        assert accepts(here)
    assert here.receiver.statistics.refused_associations == {"busy": 1}


def _wait_until(condition) -> None:
    pause, until = threading.Event(), time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        pause.wait(0.01)


def test_only_those_on_the_list_may_send_and_only_from_where_they_are(tmp_path: Path) -> None:
    senders = [
        {"ae_title": "CT1", "addresses": ["127.0.0.0/30"]},
        {"ae_title": "CT2", "addresses": ["127.0.0.77", "10.0.0.0/8"]},
        {"ae_title": "ANYWHERE"},
    ]

    def answer(calling: str, source: str) -> int:
        with RawSender(here.port, source=source) as sender:
            asked = request(
                [(CT, [ImplicitVRLittleEndian])],
                calling=calling,
                called="CTDENOISE",
                pdu_bytes=16384,
            )
            sender.send(asked)
            return sender.read()[0]

    with receiving(tmp_path, senders=senders) as here:
        assert answer("CT1", "127.0.0.1") == 2
        assert answer("CT1", "127.0.0.9") == 3
        assert answer("CT2", "127.0.0.77") == 2
        assert answer("CT2", "127.0.0.1") == 3
        assert answer("ANYWHERE", "127.0.0.9") == 2
        assert answer("STRANGER", "127.0.0.1") == 3
    few = receiving(tmp_path / "few", senders=senders[:1])
    with few as here, RawSender(here.port, source="127.0.0.9") as sender:
        assert sender.read() == (0, b"")  # closed before a word was said


@pytest.mark.parametrize(
    ("calling", "called", "words"),
    [
        ("CT1", "OTHER", "it calls OTHER, and the title here is CTDENOISE"),
        ("CT 9^X", "CTDENOISE", "its AE title, CT?9?X, is not among `receiver.senders`"),
        ("CT1", "CTDENOISE", "`receiver.senders` has other addresses for CT1"),
    ],
)
def test_the_log_says_in_words_why_a_sender_was_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, calling: str, called: str, words: str
) -> None:
    senders = [{"ae_title": "CT1", "addresses": ["127.0.0.77"]}, {"ae_title": "CT2"}]
    ask = request([(CT, [ImplicitVRLittleEndian])], calling=calling, called=called, pdu_bytes=16384)
    with receiving(tmp_path, senders=senders) as here, RawSender(here.port) as sender:
        sender.send(ask)
        assert sender.read()[0] == 3
    assert caplog.messages == [f"an association from 127.0.0.1 was refused: {words}"]


def test_who_calls_us_by_another_title_is_refused_unless_any_will_do(tmp_path: Path) -> None:
    ask = request([(CT, [ImplicitVRLittleEndian])], calling="A", called="OTHER", pdu_bytes=16384)
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.send(ask)
        assert sender.read() == (3, bytes((0, 1, 1, 7)))
    with receiving(tmp_path, called_ae_title="any") as here, RawSender(here.port) as sender:
        sender.send(ask)
        assert sender.read()[0] == 2


def test_a_nearly_full_disk_is_told_to_the_sender_who_keeps_what_it_has(tmp_path: Path) -> None:
    dataset = one_slice()
    full = receiving(tmp_path, inbox=InboxSettings(free_mb=2**30))
    with full as here, RawSender(here.port) as sender:
        sender.associate()
        assert sender.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0xA700
        assert sender.release() == 6
    assert here.inbox.usage().instances == 0


def test_a_disk_that_becomes_full_in_the_midst_keeps_what_was_confirmed(small_disk: Path) -> None:
    confirmed = []
    with receiving(small_disk, inbox=InboxSettings(free_mb=0)) as here:
        with RawSender(here.port) as sender:
            sender.associate()
            for index in range(8):
                dataset = one_slice(index=index, size=160)  # 50 KB
                status = sender.store(data_set_of(dataset), dataset.SOPInstanceUID)
                assert status in (0, 0xA700)
                confirmed += [dataset.SOPInstanceUID] if status == 0 else []
            assert sender.release() == 6
        assert nothing_is_half(here)
        assert 2 <= len(confirmed) < 8
        assert {kept.uids.sop_instance_uid for kept in here.kept} == set(confirmed)
        assert all(kept.path.stat().st_size > 50_000 for kept in here.kept)


def test_more_instances_of_a_study_than_may_be_are_refused(tmp_path: Path) -> None:
    settings = InboxSettings(study_instances=2, studies=2, free_mb=1)
    with receiving(tmp_path, inbox=settings) as here, RawSender(here.port) as sender:
        sender.associate()

        def status(study: str, index: int) -> int:
            dataset = one_slice(study, index)
            return sender.store(data_set_of(dataset), dataset.SOPInstanceUID)

        assert [status("a", index) for index in range(3)] == [0, 0, 0xA700]
        assert [status(study, 0) for study in ("b", "c", "a")] == [0, 0xA700, 0]


def test_closing_lets_what_is_arriving_arrive_and_aborts_the_rest(tmp_path: Path) -> None:
    dataset = one_slice()
    data = data_set_of(dataset)
    with receiving(tmp_path) as here:
        busy, idle = RawSender(here.port), RawSender(here.port)
        with busy, idle:
            busy.associate()
            idle.associate()
            asked = command(1, sop_instance=dataset.SOPInstanceUID)
            busy.send(pdu(4, fragment(asked, command=True) + fragment(data[:200], last=False)))
            _wait_until(lambda: list((here.inbox.path / ".incoming").iterdir()))
            closing = threading.Thread(target=here.receiver.close)
            closing.start()
            assert idle.read()[0] == 7
            busy.send(pdu(4, fragment(data[200:])))
            assert busy.status() == 0
            assert busy.read()[0] == 7
            closing.join()
    assert len(here.kept) == 1


def test_closing_does_not_wait_for_ever_for_a_sender_that_stalls(tmp_path: Path) -> None:
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        sender.send(BEGIN)
        _wait_until(lambda: list((here.inbox.path / ".incoming").iterdir()))
        started = time.monotonic()
        here.receiver.close(grace_s=0.2)
        assert time.monotonic() - started < 10
    assert nothing_is_half(here)


def test_many_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    def send(name: str) -> None:
        with RawSender(here.port) as sender:
            sender.associate(calling=name)
            for index in range(10):
                dataset = one_slice(f"study {index % 3}", int(uid(name, index)[-6:]))
                assert sender.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0

    with receiving(tmp_path, inbox=InboxSettings(free_mb=1)) as here:
        threads = [threading.Thread(target=send, args=(f"S{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(here.kept) == here.inbox.usage().instances == 60
    assert here.receiver.statistics.by_sender == {f"S{number}": 10 for number in range(6)}
