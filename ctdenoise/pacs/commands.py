"""DIMSE command sets (PS3.7): a few short elements, always implicit VR little endian."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

COMMAND_BYTES_MOST = 65_536
"""A command set is never longer: its longest element is a list of UIDs that did not arrive."""

NO_DATA, DATA = 0x0101, 0x0000
"""Command Data Set Type (0000,0800): whether a data set follows; anything but 0101H says yes."""

_RESPONSE = 0x8000
_HEAD = struct.Struct("<HHL")


class Operation(IntEnum):
    """Command Field (0000,0100) of a request; the response has the highest bit set as well."""

    STORE = 0x0001
    GET = 0x0010
    MOVE = 0x0021
    FIND = 0x0020
    ECHO = 0x0030
    CANCEL = 0x0FFF


class Element(IntEnum):
    """Elements of group 0000 that are used here."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REMAINING_SUB_OPERATIONS = 0x1020
    COMPLETED_SUB_OPERATIONS = 0x1021
    FAILED_SUB_OPERATIONS = 0x1022
    WARNING_SUB_OPERATIONS = 0x1023


@dataclass(frozen=True, slots=True)
class Command:
    """One command set.

    Args:
        values: Encoded values by element of group 0000.
    """

    values: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def field(self) -> int:
        """Command Field: an `Operation`, with the highest bit set in a response."""
        return self.number(Element.COMMAND_FIELD, 0)

    @property
    def has_data(self) -> bool:
        """Whether a data set follows."""
        return self.number(Element.COMMAND_DATA_SET_TYPE, NO_DATA) != NO_DATA

    @property
    def status(self) -> int:
        """Status of a response; 0x0110, processing failure, where a peer leaves it out."""
        return self.number(Element.STATUS, 0x0110)

    def answers(self, operation: Operation, message_id: int) -> bool:
        """Whether this is the response to a request."""
        asked = self.number(Element.MESSAGE_ID_BEING_RESPONDED_TO, message_id)
        return self.field == operation | _RESPONSE and asked == message_id

    def number(self, element: Element, default: int) -> int:
        """A number of two bytes, or the default where it is absent or something else."""
        value = self.values.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else default

    def text(self, element: Element) -> str:
        """A text; empty where absent."""
        return self.values.get(element, b"").decode("ascii", "replace").strip(" \0")

    def encoded(self) -> bytes:
        """The bytes of the command set, its length in front."""
        body = b"".join(_element(key, self.values[key]) for key in sorted(self.values))
        return _element(Element.GROUP_LENGTH, struct.pack("<L", len(body))) + body


def request(
    operation: Operation,
    message_id: int,
    sop_class_uid: str,
    *,
    has_data: bool = False,
    more: Mapping[Element, str | int] | None = None,
) -> Command:
    """The command set of a request.

    Args:
        operation: What is asked for.
        message_id: Number of the request on its association.
        sop_class_uid: Affected SOP Class UID.
        has_data: Whether a data set follows.
        more: Further elements, texts or numbers of two bytes.
    """
    values: dict[Element, str | int] = {
        Element.AFFECTED_SOP_CLASS_UID: sop_class_uid,
        Element.COMMAND_FIELD: operation,
        Element.MESSAGE_ID: message_id,
        Element.COMMAND_DATA_SET_TYPE: DATA if has_data else NO_DATA,
        **(more or {}),
    }
    if operation is not Operation.ECHO:
        values.setdefault(Element.PRIORITY, 0)
    return Command({key: _value(key, value) for key, value in values.items()})


def cancel(message_id: int) -> Command:
    """The command set that asks a peer to end an operation (C-CANCEL).

    Args:
        message_id: Of the request that is not wanted any more.
    """
    values = {
        Element.COMMAND_FIELD: int(Operation.CANCEL),
        Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id,
        Element.COMMAND_DATA_SET_TYPE: NO_DATA,
    }
    return Command({key: _value(key, value) for key, value in values.items()})


def response(asked: Command, status: int) -> Command:
    """The command set of an answer without a data set.

    Args:
        asked: The request.
        status: The outcome.
    """
    same = (Element.AFFECTED_SOP_CLASS_UID, Element.AFFECTED_SOP_INSTANCE_UID)
    values: dict[int, bytes] = {key: asked.values[key] for key in same if key in asked.values}
    numbers = {
        Element.COMMAND_FIELD: asked.field | _RESPONSE,
        Element.MESSAGE_ID_BEING_RESPONDED_TO: asked.number(Element.MESSAGE_ID, 0),
        Element.COMMAND_DATA_SET_TYPE: NO_DATA,
        Element.STATUS: status,
    }
    values.update({key: _value(key, value) for key, value in numbers.items()})
    return Command(values)


def parsed(data: bytes) -> Command:
    """A command set from its bytes.

    Args:
        data: What arrived.

    Raises:
        ValueError: If it is none.
    """
    values: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        if place + _HEAD.size > len(data):
            raise ValueError("a command set ends within an element")
        group, element, length = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        if group != 0 or length > len(data) - place:
            raise ValueError("this is no command set")
        values[element] = bytes(data[place : place + length])
        place += length
    return Command(values)


def _value(element: Element, value: str | int) -> bytes:
    if isinstance(value, int):
        return struct.pack("<H", value)
    data = value.encode("ascii")
    is_uid = element in (Element.AFFECTED_SOP_CLASS_UID, Element.AFFECTED_SOP_INSTANCE_UID)
    return data + (b"\0" if is_uid else b" ") * (len(data) % 2)


def _element(element: int, value: bytes) -> bytes:
    return _HEAD.pack(0, element, len(value)) + value
