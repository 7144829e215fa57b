"""What is sent by STOW-RS is confirmed one by one, and failures are told apart."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from ctdenoise.config.load import checked
from ctdenoise.config.peers import WebPeer
from ctdenoise.errors import PeerRefused, PeerUnavailable
from ctdenoise.pacs.client import echo, find
from ctdenoise.pacs.matches import Wanted
from ctdenoise.pacs.sender import send
from tests.pacs.listening import AT_ONCE, QUICK, TellsWaits, scripted, series
from tests.pacs.web_answers import Asked, Reply, stored, web_server

SECRET = "Marker^Someone"  # noqa: S105 - stands for what a page of errors may hold


def test_files_arrive_as_they_are_in_batches_of_bounded_size(tmp_path):
    files = series(tmp_path, slices=7, size=300)  # 180 kB each
    told = []
    with web_server(stored, batch_instances=3) as (peer, seen):
        report = send(files, peer, on_sent=told.append)
    assert [len(asked.files) for asked in seen] == [3, 3, 1]
    assert {asked.path for asked in seen} == {"/dicom-web/studies"}
    arrived = [data for asked in seen for data in asked.files.values()]
    assert arrived == [path.read_bytes() for path in files]
    assert report.sent == len(told) == 7
    with web_server(stored, batch_mb=1) as (peer, seen):
        assert send(series(tmp_path / "big", slices=4, size=600), peer).sent == 4
    assert [len(asked.files) for asked in seen] == [1, 1, 1, 1]


def test_a_file_without_file_meta_gets_one(tmp_path):
    files = series(tmp_path, slices=2, file_meta=False)
    with web_server(stored) as (peer, seen):
        assert send(files, peer).sent == 2
    for data, path in zip(seen[0].files.values(), files, strict=True):
        assert data[128:132] == b"DICM"
        assert data.endswith(path.read_bytes())


@pytest.mark.parametrize("reason", [0xA900, 0xC000, 0xC122, 0x0122, 0x0124])
def test_an_instance_that_is_refused_for_good_does_not_keep_the_others(tmp_path, reason):
    told, clock = [], TellsWaits()
    with (
        web_server(lambda asked: stored(asked, {1: reason}, 202)) as (peer, seen),
        pytest.raises(PeerRefused, match=f"1 instances are refused, 3 are.*\n.*{reason:04X}"),
    ):
        send(series(tmp_path), peer, on_sent=told.append, clock=clock)
    assert len(told) == 3
    assert len(seen) == 1
    assert clock.waits == []


def test_an_instance_for_which_there_is_no_room_is_sent_again_later(tmp_path):
    clock, first = TellsWaits(), []

    def short_once(asked: Asked) -> Reply:
        first.append(asked)
        return stored(asked, {1: 0xA700, 2: 0x0110} if len(first) == 1 else {}, 202)

    with web_server(short_once) as (peer, seen):
        report = send(series(tmp_path), peer, retry=AT_ONCE, clock=clock)
    assert [len(asked.files) for asked in seen] == [4, 2]
    assert (report.sent, report.failures, clock.waits) == (4, 1, [1.0])


def test_warnings_count_as_stored_and_are_reported(tmp_path):
    with web_server(lambda asked: stored(asked, {0: 0xB000}, 202)) as (peer, _):
        report = send(series(tmp_path), peer)
    assert report.sent == 4
    assert report.warnings == (("data elements were coerced", 1),)


def test_all_refused_says_why(tmp_path):
    with (
        web_server(lambda asked: stored(asked, dict.fromkeys(range(4), 0xA900), 409)) as (peer, _),
        pytest.raises(PeerRefused, match="4 instances are refused, 0 are there"),
    ):
        send(series(tmp_path), peer)


def test_an_instance_that_the_answer_leaves_out_is_sent_again(tmp_path):
    first: list[str] = []

    def forgets_once(asked: Asked) -> Reply:
        if not first:
            first.append(next(iter(asked.files)))
            del asked.files[first[0]]
        return stored(asked)

    told = []
    with web_server(forgets_once) as (peer, seen):
        send(series(tmp_path), peer, on_sent=told.append, retry=AT_ONCE, clock=TellsWaits())
    assert [one.sop_instance_uid for one in told][-1] == first[0]
    assert len(told) == 4
    assert list(seen[1].files) == first


def test_an_empty_success_confirms_everything(tmp_path):
    with web_server(lambda _: Reply(200)) as (peer, _):
        assert send(series(tmp_path), peer).sent == 4


def test_requests_that_are_too_large_are_halved(tmp_path):
    def small_only(asked: Asked) -> Reply:
        return stored(asked) if len(asked.files) <= 2 else Reply(413)

    told = []
    with web_server(small_only) as (peer, _):
        assert send(series(tmp_path, slices=5), peer, on_sent=told.append).sent == 5
    assert len({one.sop_instance_uid for one in told}) == 5
    with (
        web_server(lambda _: Reply(413)) as (peer, _),
        pytest.raises(PeerRefused, match="HTTP 413"),
    ):
        send(series(tmp_path / "again"), peer)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(tmp_path, status):
    answers, clock = [status, status], TellsWaits()

    def recovers(asked: Asked) -> Reply:
        return Reply(answers.pop(), SECRET.encode(), "text/html") if answers else stored(asked)

    with web_server(recovers) as (peer, _):
        report = send(series(tmp_path), peer, retry=AT_ONCE, clock=clock)
    assert (report.sent, report.failures, clock.waits) == (4, 2, [1.0, 2.0])


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 415, 501])
def test_a_refusal_is_final_and_its_page_is_not_repeated(tmp_path, status):
    page = Reply(
        status, b"<html>" + SECRET.encode(), "text/html", headers={"Location": f"http://{SECRET}/"}
    )
    clock = TellsWaits()
    with web_server(lambda _: page) as (peer, seen), pytest.raises(PeerRefused) as caught:
        send(series(tmp_path), peer, retry=AT_ONCE, clock=clock)
    assert SECRET not in str(caught.value)
    assert len(seen) == 1
    assert clock.waits == []


def test_a_connection_that_is_closed_without_an_answer_is_tried_again(tmp_path):
    left = [None]

    def closes_once(asked: Asked) -> Reply | None:
        return left.pop() if left else stored(asked)

    with web_server(closes_once) as (peer, seen):
        report = send(series(tmp_path), peer, retry=AT_ONCE, clock=TellsWaits())
    assert (report.sent, report.failures, len(seen)) == (4, 1, 2)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>" + SECRET.encode(), "text/html"),
        Reply(200, b"[" * 100_000),
        Reply(200, b'"a text"'),
        Reply(200, b"[1, 2]"),
        Reply(200, b"[{}]", length=10_000),
    ],
    ids=["html", "nested", "text", "numbers", "too-short"],
)
def test_an_answer_that_is_no_list_of_matches_is_told_and_not_repeated(reply):
    with (
        web_server(lambda _: reply) as (peer, _),
        pytest.raises((PeerRefused, PeerUnavailable)) as caught,
    ):
        find(peer, "study", Wanted(), most=10)
    assert SECRET not in str(caught.value)


def test_a_longer_list_than_fits_is_asked_for_in_pages():
    everything = [f"1.2.{number}" for number in range(2500)]

    def page(asked: Asked) -> Reply:
        values = dict(pair.split("=") for pair in asked.path.partition("?")[2].split("&"))
        start, count = int(values["offset"]), int(values["limit"])
        items = [{"0020000D": {"vr": "UI", "Value": [u]}} for u in everything[start:][:count]]
        return Reply(200, json.dumps(items).encode())

    with web_server(page) as (peer, seen):
        found = find(peer, "study", Wanted(), most=10_000)
        assert [match.uid("study") for match in found] == everything
        assert len(seen) == 3
        assert len(find(peer, "study", Wanted(), most=7)) == 7


def test_matches_whose_uids_are_none_are_dropped_and_control_characters_too():
    def answer(asked: Asked) -> Reply:
        uids = ["../../etc/passwd", "1.2.3", "", "1" * 65]
        items = [
            {
                "0020000D": {"vr": "UI", "Value": [uid]},
                "00081030": {"vr": "LO", "Value": ["a\u001b[31mred\n"]},
            }
            for uid in uids
        ]
        return Reply(200, json.dumps(items).encode())

    with web_server(answer) as (peer, _):
        found = find(peer, "study", Wanted(), most=10)
    assert [match.uid("study") for match in found] == ["1.2.3"]
    assert found[0].attributes["StudyDescription"] == "a [31mred"


def test_an_answer_longer_than_any_is_not_taken_into_memory():
    with (
        web_server(lambda _: Reply(200, b" " * 70_000_000)) as (peer, _),
        pytest.raises(PeerRefused, match="longer than"),
    ):
        echo(peer)


def test_an_answer_that_drips_is_not_waited_for_to_its_end():
    left = threading.Event()

    def drips(caller: socket.socket) -> None:
        caller.recv(10_000)
        caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not left.wait(0.05):
            caller.sendall(b" ")

    with scripted(drips) as server:
        url = f"http://127.0.0.1:{server.port}/dicom-web"
        peer = checked(WebPeer, {"url": url, "timeouts": {**QUICK, "network_s": 0.5}})
        with pytest.raises(PeerUnavailable, match="far too slowly"):
            echo(peer)
        left.set()
