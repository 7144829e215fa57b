"""Ways to spoil the bytes of a file, drawn from one generator: same seed, same files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

_NUMBERS = (
    *(0, 1, 2, 7, 8, 9, 12, 16, 31, 32, 64, 127, 128, 255, 256, 4095, 4096, 32767, 32768),
    *(65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF),
)
_TEXTS = (
    *(
        b"",
        b"0",
        b"-1",
        b"1e308",
        b"nan",
        b"-inf",
        b"1e-400",
        b"1\\2",
        b"\\\\\\",
        b"99999999999999",
    ),
    *(b"1.5.7", b"\0\0\0\0", b"\xff\xfe", b"0x10", b"1,5", b" 1 ", b"CT", b"HU", b"../../x"),
)
_VRS = (b"OB", b"OW", b"UN", b"SQ", b"DS", b"IS", b"US", b"SS", b"UI", b"FD", b"AT", b"UT", b"??")
_LONG = frozenset((b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR", b"OD", b"OL", b"OV"))


def spoilt(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """One to four changes to the bytes of a file.

    Args:
        data: The file.
        others: Whole files to take parts from.
        random: Where everything is drawn from.
    """
    spoiled = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        change = random.choice(_CHANGES)
        if len(spoiled) > 8:
            change(spoiled, others, random)
    return bytes(spoiled)


def _flip(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    del others
    for _ in range(random.choice((1, 1, 3, 20))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _number(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    del others
    width = random.choice((1, 2, 4))
    number = random.choice(_NUMBERS) & ((1 << 8 * width) - 1)
    place = random.randrange(len(data) - width)
    data[place : place + width] = number.to_bytes(width, random.choice(("little", "big")))


def _cut(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    del others
    del data[random.randrange(len(data)) :]


def _insert(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    del others
    place = random.randrange(len(data))
    data[place:place] = random.randbytes(random.choice((1, 2, 8, 300)))


def _remove(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    del others
    place = random.randrange(len(data))
    del data[place : place + random.choice((1, 2, 8, 300))]


def _splice(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    other = random.choice(others)
    start, end = sorted((random.randrange(len(other)), random.randrange(len(other))))
    place = random.randrange(len(data))
    data[place : place + random.choice((0, end - start))] = other[start:end]


def _element(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    """Drop, repeat, move, empty or rewrite an element of a file in explicit VR, little-endian."""
    elements = _elements(data)
    if not elements:
        _number(data, others, random)
        return
    start, value, end = random.choice(elements)
    vr = bytes(data[start + 4 : start + 6])
    what = random.randrange(8)
    if what == 0:
        del data[start:end]
    elif what == 1:
        data[start:start] = data[start:end] * random.choice((1, 1, 200))
    elif what == 2:
        moved = data[start:end]
        del data[start:end]
        place = random.choice(elements)[0]
        data[place:place] = moved
    elif what == 3:
        data[start + 4 : start + 6] = random.choice(_VRS)
    elif what == 4:
        width = 4 if vr in _LONG else 2
        number = random.choice(_NUMBERS) & ((1 << 8 * width) - 1)
        data[value - width : value] = number.to_bytes(width, "little")
    elif what == 5:
        _put_value(data, start, value, end, random.choice(_TEXTS))
    elif what == 6:
        _put_value(data, start, value, end, random.randbytes(end - value))
    else:
        number = random.choice(_NUMBERS) & 0xFFFF
        _put_value(data, start, value, end, number.to_bytes(2, "little"))


def _put_value(data: bytearray, start: int, value: int, end: int, new: bytes) -> None:
    new += b" " * (len(new) % 2)
    width = 4 if bytes(data[start + 4 : start + 6]) in _LONG else 2
    data[value - width : end] = len(new).to_bytes(width, "little") + new


def _elements(data: bytearray) -> list[tuple[int, int, int]]:
    """Start, start of the value and end of every element at the top."""
    found = []
    place = 132 if data[128:132] == b"DICM" else 0
    while place + 12 <= len(data):
        vr = bytes(data[place + 4 : place + 6])
        if not (vr.isalpha() and vr.isupper()):
            break
        value = place + (12 if vr in _LONG else 8)
        width = 4 if vr in _LONG else 2
        end = value + int.from_bytes(data[value - width : value], "little")
        if end > len(data):
            break
        found.append((place, value, end))
        place = end
    return found


_CHANGES: tuple[Callable[[bytearray, Sequence[bytes], Random], None], ...] = (
    *(_flip, _flip, _number, _number, _cut, _insert, _remove, _splice),
    *(_element, _element, _element, _element, _element),
)
