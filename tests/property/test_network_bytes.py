"""Whatever bytes a peer sends, they are taken apart right or refused in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctdenoise.errors import PeerError
from ctdenoise.pacs.association import _answer, _parts, _pieces
from ctdenoise.pacs.commands import Element, Operation, parsed, request
from ctdenoise.pacs.multipart import Parts, boundary_of

MARK = "frontier"
ACCEPTED = bytes.fromhex("0001 0000") + b"ARCHIVE".ljust(16) + b"CTDENOISE".ljust(16) + bytes(32)
CONTEXT = b"\x21\0\0\x1b\1\0\0\0\x40\0\0\x13" + b"1.2.840.10008.1.2.1"
USER = b"\x50\0\0\x08\x51\0\0\4\0\0\x40\0"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_set_or_refused(data):
    try:
        command = parsed(data)
    except ValueError:
        return
    assert all(isinstance(value, bytes) for value in command.values.values())


@given(
    st.integers(0, 65535), st.sampled_from(list(Operation)), st.booleans(), st.integers(0, 65535)
)
def test_a_request_survives_its_bytes(number, operation, has_data, priority):
    more: dict[Element, str | int] = {Element.PRIORITY: priority}
    back = parsed(request(operation, number, "1.2.3", has_data=has_data, more=more).encoded())
    assert back.field == operation
    assert back.number(Element.MESSAGE_ID, -1) == number
    assert back.has_data == has_data
    assert back.text(Element.AFFECTED_SOP_CLASS_UID) == "1.2.3"


@given(st.binary(max_size=200), st.integers(1, 60))
def test_pieces_put_together_are_the_whole_and_only_the_last_says_so(data, size):
    pieces = list(_pieces(data, size))
    assert b"".join(piece for piece, _ in pieces) == data
    assert [is_last for _, is_last in pieces] == [False] * (len(pieces) - 1) + [True] * bool(data)
    assert all(len(piece) <= size for piece, _ in pieces)


@given(st.binary(max_size=300))
def test_any_body_is_made_of_parts_or_refused(data):
    try:
        found = list(_parts(memoryview(data), "peer"))
    except PeerError:
        return
    assert sum(len(piece) + 6 for _, _, piece in found) == len(data)


def test_an_answer_to_an_association_is_understood():
    answer = _answer(bytearray(ACCEPTED + CONTEXT + USER), "peer")
    assert answer.results == {1: "1.2.840.10008.1.2.1"}
    assert answer.most_bytes == 16384


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8), st.integers(0, 200))
def test_a_spoiled_answer_to_an_association_is_understood_or_refused(place, spoiled, length):
    data = bytearray(ACCEPTED + CONTEXT + USER)
    data[place : place + len(spoiled)] = spoiled
    try:
        answer = _answer(data[: max(0, len(data) - length)], "peer")
    except PeerError:
        return
    assert answer.most_bytes < 2**32


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        size = sizes[place % len(sizes)]
        yield data[place : place + size]
        place += size


@given(
    st.lists(st.binary(max_size=60), max_size=5),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.sampled_from([b"", b"preamble", b"\r\n"]),
)
def test_parts_are_the_same_however_they_arrive(contents, sizes, preamble):
    mark = boundary_of(f'multipart/related; boundary="{MARK}"', "peer")
    body = preamble + b"".join(mark + b"\r\nA: b\r\n\r\n" + one for one in contents)
    body += mark + b"--\r\nepilogue"
    parts = Parts(cut(body, sizes), mark, name="peer", most=5)
    assert [b"".join(part) for part in parts] == contents


@given(st.binary(max_size=300), st.integers(1, 50))
def test_an_answer_without_a_boundary_is_refused(data, size):
    mark = boundary_of("multipart/related; boundary=x", "peer")
    parts = Parts(cut(data.replace(b"-", b"+"), [size]), mark, name="peer", most=3)
    with pytest.raises(PeerError):
        next(iter(parts))
