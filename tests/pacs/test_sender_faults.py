"""Senders that break off, send nonsense, send at once or send again: what was promised is kept."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from tests.pacs.bad_line import Fault, bad_line
from tests.pacs.destination import destination
from tests.pacs.fault_bench import Serving, serving
from tests.pacs.oracle import examine_inbox
from tests.pacs.senders import by_dcmtk, by_pynetdicom, send_at_once
from tests.pacs.sent_studies import SentStudy
from tests.pacs.service_process import wait_until
from tests.pacs.service_settings import service_settings

QUIET_S = 2.0


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("service")
    with (
        destination(folder / "destination") as place,
        serving(folder, service_settings(place, quiet_s=QUIET_S), place) as running,
    ):
        yield running


def ends_whole(bench: Serving, *studies: SentStudy) -> None:
    """Studies that were accepted are done, and everything is where it has to be, once."""
    bench.accepted += [study for study in studies if study not in bench.accepted]
    for study in studies:
        bench.until(study, "done")
    found = bench.judged()
    assert (found.problems, found.twice) == ((), 0)


@pytest.mark.parametrize("after", [150, 4_000, 30_000], ids=["early", "in a header", "in pixels"])
def test_a_sender_that_breaks_off_and_sends_again_loses_nothing(bench, after, request):
    study = bench.made(request.node.name)
    with bad_line(bench.running.port) as line:
        line.break_by(Fault("cut", after=after))
        told = by_pynetdicom(study.paths, line.port)
        assert len([item for item in told if item.status == 0]) < len(study.paths)
        by_pynetdicom(study.paths, line.port)
    ends_whole(bench, study)


def test_half_a_study_whose_sender_never_comes_back_is_worked_on_as_it_is(bench, request):
    whole = bench.made(request.node.name)
    half = whole.first(5)
    told = by_pynetdicom(half.paths, bench.running.port)
    assert [item.status for item in told] == [0] * 5
    ends_whole(bench, half)


def test_what_a_scanner_promised_and_did_not_send_stops_nobody(bench, request):
    with socket.create_connection(("127.0.0.1", bench.running.port)) as silent:
        ends_whole(bench, bench.sent(request.node.name))
        silent.sendall(b"\x01\x00\x00")
        ends_whole(bench, bench.sent(request.node.name + " again"))


WRONG = {
    "a PDU longer than it says": struct.pack(">BxIIBB", 4, 6, 0xFFFF, 1, 3) + bytes(200),
    "a value without a PDV": struct.pack(">BxI", 4, 0),
    "a PDU of 4 GB": struct.pack(">BxIIBB", 4, 0xFFFFFFFF, 0xFFFFFFF0, 1, 3) + bytes(200),
    "an unknown PDU": struct.pack(">BxI", 99, 4) + bytes(4),
    "a command that is none": struct.pack(">BxIIBB", 4, 106, 102, 1, 3) + b"\xff" * 100,
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_wrong_lengths_end_one_association_and_nothing_else(bench, data, request):
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    bad = entity.associate("127.0.0.1", bench.running.port, ae_title="CTDENOISE")
    line = bad.dul.socket.socket
    line.sendall(data)
    ends_whole(bench, bench.sent(request.node.name))
    bad.abort()
    entity.shutdown()
    line.close()


def test_the_same_study_from_two_senders_at_once_is_one_study(bench, request):
    study = bench.made(request.node.name, slices=12)
    orders = [random.Random(seed).sample(study.paths, len(study.paths)) for seed in (1, 2)]
    told = [[], []]

    def send(number: int) -> None:
        told[number] = by_pynetdicom(orders[number], bench.running.port, calling=f"S{number}")

    send_at_once([lambda: send(0), lambda: send(1)], senders=2)
    assert {item.status for both in told for item in both} == {0}
    ends_whole(bench, study)
    assert len(bench.jobs(study)) == 1


def test_a_study_that_is_sent_again_is_not_made_or_sent_again(bench, request):
    study = bench.sent(request.node.name)
    ends_whole(bench, study)
    before = len(bench.place.deliveries())
    for _ in range(2):
        assert by_dcmtk("dcmsend", study.paths, bench.running.port).returncode == 0
    probe = bench.sent(request.node.name + " probe")  # comes to its end after the other would have
    ends_whole(bench, probe, study)
    assert len(bench.place.deliveries()) == before + len(probe.of("wanted")[0].instances)


def test_a_study_that_arrives_in_pieces_is_made_once(bench, request):
    study = bench.made(request.node.name)
    pause = threading.Event()
    for path in study.paths:
        assert by_dcmtk("storescu", [path], bench.running.port).returncode == 0
        pause.wait(QUIET_S / 20)
    ends_whole(bench, study)
    assert len(bench.jobs(study)) == 1


def test_an_instance_that_comes_back_with_other_bytes_waits_for_a_person(bench, request):
    study = bench.made(request.node.name)
    told = by_pynetdicom(study.paths, bench.running.port)
    other = altered(study.paths[0], bench.folder / "other.dcm")
    told += by_pynetdicom([other], bench.running.port)
    assert {item.status for item in told} == {0}
    assert bench.until(study, "refused").reason
    assert examine_inbox(bench.running.state / "inbox", [study]) == []


def altered(path: Path, to: Path) -> Path:
    """The same instance with a pixel changed."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    to.write_bytes(data)
    return to


def test_twenty_studies_of_four_senders_at_once_all_arrive_once(bench):
    studies = [bench.made(f"crowd{number}") for number in range(20)]

    def send(study: SentStudy, calling: str) -> None:
        done = by_dcmtk("dcmsend", study.paths, bench.running.port, calling=calling)
        assert done.returncode == 0, done.stderr

    sendings = [lambda s=study, n=n: send(s, f"S{n % 4}") for n, study in enumerate(studies)]
    send_at_once(sendings, senders=4)
    ends_whole(bench, *studies)
    wait_until(bench.running.is_ready, what="the server is well")
