"""Answers of several parts (RFC 2046 5.1), taken apart as they arrive."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ctdenoise.errors import PeerRefused, PeerUnavailable

_BOUNDARY = re.compile(r'boundary="?([^";,]{1,70})"?', re.IGNORECASE)
_HEAD_BYTES_MOST = 8192
_HEAD_END = b"\r\n\r\n"


def boundary_of(content_type: str, name: str) -> bytes:
    """What stands between the parts.

    Args:
        content_type: Of the answer.
        name: Who answers, for the message.

    Raises:
        PeerRefused: If the answer has no parts.
    """
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/") or found is None:
        raise PeerRefused("its answer is not made of parts.", where=name)
    return b"\r\n--" + found[1].strip().encode("latin-1", "replace")


class Parts:
    """The parts of an answer, one after the other.

    Args:
        pieces: The body, as it arrives.
        boundary: As `boundary_of` gives it.
        name: Who answers, for messages.
        most: How many parts there may be.
    """

    def __init__(self, pieces: Iterator[bytes], boundary: bytes, *, name: str, most: int) -> None:
        self._pieces = pieces
        self._boundary = boundary
        self._name = name
        self._most = most
        self._data = bytearray(b"\r\n")  # the first boundary may have no line before it

    def __iter__(self) -> Iterator[Iterator[bytes]]:
        """The bytes of each part, without its head; each must be used up before the next."""
        for _ in self._until(self._boundary):
            pass  # a preamble means nothing
        for _ in range(self._most + 1):
            ending = self._take(2)
            if ending == b"--":
                return
            self._data[:0] = ending  # a part without a head begins with two ends of lines
            head = 0
            for piece in self._until(_HEAD_END):
                head += len(piece)
                if head > _HEAD_BYTES_MOST:
                    raise PeerRefused(
                        "a part of its answer has a head without an end.", where=self._name
                    )
            yield self._until(self._boundary)
        raise PeerRefused(f"its answer has more than {self._most} parts.", where=self._name)

    def _until(self, mark: bytes) -> Iterator[bytes]:
        """Everything before a mark, which is taken away."""
        while True:
            place = self._data.find(mark)
            if place >= 0:
                if place:
                    yield bytes(self._data[:place])
                del self._data[: place + len(mark)]
                return
            keep = len(mark) - 1
            if len(self._data) > keep:
                yield bytes(self._data[:-keep])
                del self._data[:-keep]
            self._fill()

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._fill()
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def _fill(self) -> None:
        piece = next(self._pieces, b"")
        if not piece:
            raise PeerUnavailable("its answer ends within a part.", where=self._name)
        self._data += piece
