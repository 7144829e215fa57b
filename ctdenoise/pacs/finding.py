"""C-FIND: looking for studies, series and instances at a DIMSE peer (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ctdenoise.errors import PeerError, PeerRefused, PeerUnavailable
from ctdenoise.pacs.association import Association, Context, Proposal, context_for
from ctdenoise.pacs.commands import Operation, cancel, request
from ctdenoise.pacs.matches import Level

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
"""SOP classes of the study root information model."""

PLAIN = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""In which identifiers are encoded."""

PENDING = (0xFF00, 0xFF01)
SUCCESS, CANCELLED = 0x0000, 0xFE00
"""Statuses of a query or retrieval that goes on, is done, was cancelled."""

IDENTIFIER_BYTES_MOST = 2**20
"""A longer identifier is not taken into memory."""

FIND = Proposal(STUDY_ROOT_FIND, PLAIN)
"""What an association is opened for."""

_AFTER_CANCEL_MOST = 10_000  # what a peer may have on its way when it is asked to stop

_FAILURES = {
    0x0122: "the service is not supported",
    0x0124: "not authorised",
    0xA801: "it does not know the destination",
    0xA900: "the identifier does not match its SOP class",
}
_OUT_OF_RESOURCES = 0xA7


def found(
    association: Association,
    level: Level,
    keys: Mapping[str, str],
    shown: Sequence[str],
    *,
    most: int,
) -> Iterator[Mapping[str, str]]:
    """What a peer finds, as text by keyword.

    Args:
        association: Open for `FIND`.
        level: What to look for.
        keys: What it must fit, with the UIDs of what it lies in.
        shown: What to tell of it.
        most: After so many the query is cancelled.

    Raises:
        PeerUnavailable: If the peer is lost or busy.
        PeerRefused: If it does not do it.
    """
    context = context_for(association, STUDY_ROOT_FIND)
    number = association.next_message_id()
    command = request(Operation.FIND, number, STUDY_ROOT_FIND, has_data=True)
    association.send(context, command, encoded_identifier(context, level, keys, shown))
    count = 0
    while True:
        _, answer = association.receive()
        if not answer.answers(Operation.FIND, number):
            raise PeerRefused("its answer is to something else.", where=association.name)
        data = received_identifier(association, context) if answer.has_data else None
        if answer.status in PENDING:
            count += 1
            if data is not None and count <= most:
                yield texts(data)
            if count == most + 1:
                association.send(context, cancel(number))
            elif count > most + _AFTER_CANCEL_MOST:
                raise PeerRefused("it does not stop sending matches.", where=association.name)
        elif answer.status in (SUCCESS, CANCELLED):
            return
        else:
            raise failed(answer.status, association.name)


def encoded_identifier(
    context: Context, level: Level, keys: Mapping[str, str], shown: Sequence[str] = ()
) -> bytes:
    """An identifier as it is sent.

    Args:
        context: Where it is sent.
        level: What is meant.
        keys: Attributes with a value; several UIDs are joined by a backslash.
        shown: Attributes that are asked for.
    """
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level.upper()
    for keyword in shown:
        setattr(dataset, keyword, None)
    for keyword, value in keys.items():
        setattr(dataset, keyword, value.split("\\") if "\\" in value else value)
    if not all(value.isascii() for value in keys.values()):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = context.transfer_syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = True
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def received_identifier(association: Association, context: Context) -> Dataset:
    """The data set that follows an answer.

    Args:
        association: Where it arrives.
        context: Under which it was asked for.

    Raises:
        PeerUnavailable: If the peer is lost.
        PeerRefused: If it is too long, or cannot be read.
    """
    data = b"".join(association.receive_data(most_bytes=IDENTIFIER_BYTES_MOST))
    try:
        is_implicit = context.transfer_syntax == ImplicitVRLittleEndian
        return read_dataset(BytesIO(data), is_implicit, is_little_endian=True)
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise PeerRefused(
            f"a match cannot be read ({type(error).__name__}).", where=association.name
        ) from error


def texts(dataset: Dataset) -> dict[str, str]:
    """The values of an identifier as text, by keyword; what cannot be read is left out.

    Args:
        dataset: As it was parsed.
    """
    result = {}
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            several = element.VM > 1 and not isinstance(element.value, str)
            values = element.value if several else [element.value]
            text = "\\".join("" if value is None else str(value) for value in values)
        except Exception:  # noqa: BLE001, S112 - pydicom raises whatever the bytes provoke
            continue
        if element.keyword and element.VR != "SQ":
            result[element.keyword] = text
    return result


def failed(status: int, name: str) -> PeerError:
    """The error for a query or retrieval that a peer does not do.

    Args:
        status: What it answered.
        name: The peer.
    """
    if status >> 8 == _OUT_OF_RESOURCES or status in (0x0110, 0x0213):
        return PeerUnavailable(f"it is out of resources (0x{status:04X}).", where=name)
    words = _FAILURES.get(status, "unable to process")
    return PeerRefused(f"it does not do it: {words} (0x{status:04X}).", where=name)
