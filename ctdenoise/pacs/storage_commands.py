"""Commands of DIMSE messages (PS3.7 9.3 and E): read within bounds, and the answers to them."""

from __future__ import annotations

from dataclasses import dataclass

from ctdenoise.pacs.upper_layer import ProtocolError

COMMAND_BYTES_MOST = 1 << 14

STORE, ECHO, CANCEL = 0x0001, 0x0030, 0x0FFF
NO_DATA_SET = 0x0101
_ANSWER = 0x8000

SUCCESS = 0x0000
CLASS_NOT_SUPPORTED = 0x0122
UNKNOWN_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700
NOT_THE_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000

_COMMENT_MOST = 64


@dataclass(frozen=True, slots=True)
class Command:
    """The command of a message, as far as a storage provider needs it.

    Args:
        field: What is asked for: `STORE`, `ECHO`, ...
        message: Number that the answer carries.
        has_data_set: Whether a data set follows.
        sop_class_uid: Of the instance, or of the service; empty if there is none.
        sop_instance_uid: Of the instance; empty if there is none.
    """

    field: int
    message: int
    has_data_set: bool
    sop_class_uid: str = ""
    sop_instance_uid: str = ""


def parsed_command(data: bytes) -> Command:
    """A command from its encoding: implicit VR, little endian, group 0 only.

    Args:
        data: All of its fragments.

    Raises:
        ProtocolError: If it is none.
    """
    values: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        length = int.from_bytes(data[offset + 4 : offset + 8], "little")
        start = offset + 8
        if data[offset : offset + 2] != b"\0\0" or start + length > len(data):
            raise ProtocolError("a command cannot be parsed", 6)
        values[int.from_bytes(data[offset + 2 : offset + 4], "little")] = data[
            start : start + length
        ]
        offset = start + length
    return Command(
        field=_number(values, 0x0100),
        message=_number(values, 0x0110) if 0x0110 in values else _number(values, 0x0120),
        has_data_set=_number(values, 0x0800) != NO_DATA_SET,
        sop_class_uid=_text(values, 0x0002),
        sop_instance_uid=_text(values, 0x1000),
    )


def _number(values: dict[int, bytes], element: int) -> int:
    value = values.get(element, b"")
    if len(value) != 2:
        raise ProtocolError("a command lacks what it must have", 6)
    return int.from_bytes(value, "little")


def _text(values: dict[int, bytes], element: int) -> str:
    return values.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")


def answer(command: Command, status: int, comment: str = "") -> bytes:
    """The encoded answer to a command.

    Args:
        command: What was asked for.
        status: How it went.
        comment: Why it did not go well; names no patient.
    """
    elements = b"".join(
        (
            _element(0x0002, _uid(command.sop_class_uid)),
            _element(0x0100, _short(command.field | _ANSWER)),
            _element(0x0120, _short(command.message)),
            _element(0x0800, _short(NO_DATA_SET)),
            _element(0x0900, _short(status)),
            _element(0x0902, _comment(comment)),
            _element(0x1000, _uid(command.sop_instance_uid)),
        )
    )
    return _element(0x0000, len(elements).to_bytes(4, "little")) + elements


def _short(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _uid(text: str) -> bytes:
    data = text.encode("ascii", "replace")[:64]
    return data + b"\0" * (len(data) % 2)


def _comment(text: str) -> bytes:
    data = text.encode("ascii", "replace")[:_COMMENT_MOST]
    return data + b" " * (len(data) % 2)


def _element(number: int, value: bytes) -> bytes:
    """An element of group 0; nothing where it has no value."""
    if not value:
        return b""
    return b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
