"""Associations: agreeing with a peer on what is spoken, and exchanging messages (PS3.7, PS3.8)."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context

from ctdenoise.config.peers import DimsePeer
from ctdenoise.errors import PeerError, PeerRefused, PeerUnavailable
from ctdenoise.io.dicom_encoding import IMPLEMENTATION_VERSION_NAME
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID
from ctdenoise.pacs.commands import COMMAND_BYTES_MOST, Command, parsed
from ctdenoise.pacs.connection import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Connection,
)
from ctdenoise.pacs.refusals import aborted, rejected

CONTEXTS_MOST = 128
"""Presentation contexts of one association: their numbers are odd and fit a byte (PS3.8 9.3.2)."""

_APPLICATION_CONTEXT = UID("1.2.840.10008.3.1.1.1")
_LARGEST_PDU = 262_144  # larger ones than this are not sent, whatever the peer would take
_SMALLEST_PDU = 128
_WRITE_BYTES = 1_048_576
_PDV = struct.Struct(">BxLLBB")
_ITEM = struct.Struct(">LBB")
_COMMAND, _LAST = 1, 2
_RELEASE_RQ_PDU = bytes((RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0))
_RELEASE_RP_PDU = bytes((RELEASE_RP, 0, 0, 0, 0, 4, 0, 0, 0, 0))
_ABORT_PDU = bytes((ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one presentation context is to be for.

    Args:
        sop_class_uid: The service or the kind of object.
        transfer_syntaxes: In which objects may be encoded; the peer chooses one.
        as_provider: Whether we take objects of this kind, too (for C-GET).
    """

    sop_class_uid: str
    transfer_syntaxes: tuple[str, ...]
    as_provider: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that the peer accepted.

    Args:
        number: Its number on the association.
        sop_class_uid: What it is for.
        transfer_syntax: What the peer chose.
        proposal: Which of the proposals it was.
    """

    number: int
    sop_class_uid: str
    transfer_syntax: str
    proposal: int


class Association:
    """An open association, for one thread. `opened` makes one.

    Args:
        connection: A connection on which nothing was said.
        peer: Who is at its other end.
        proposals: At most CONTEXTS_MOST.

    Raises:
        PeerRefused: If the peer rejects it for good, or accepts none of the contexts.
        PeerUnavailable: If it rejects it for now, or the connection is lost.
    """

    def __init__(
        self, connection: Connection, peer: DimsePeer, proposals: Sequence[Proposal]
    ) -> None:
        self.peer = peer
        self.name = connection.name
        self._connection = connection
        self._parts: deque[tuple[int, int, memoryview]] = deque()
        self._message_id = 0
        connection.send(_request_pdu(peer, proposals))
        kind, body = connection.read_pdu(peer.timeouts.association_s)
        if kind != ASSOCIATE_AC:
            raise self._unexpected(kind, body)
        answer = _answer(body, self.name)
        self.implementation = answer.implementation
        """Name of the peer's implementation, as it says."""
        self._pdu_bytes = min(answer.most_bytes or _LARGEST_PDU, _LARGEST_PDU)
        self.contexts = tuple(_accepted(answer.results, proposals))
        """The presentation contexts that the peer accepted, in the order of the proposals."""
        if self._pdu_bytes < _SMALLEST_PDU:
            raise PeerRefused("it takes only PDUs that hold nothing.", where=self.name)

    def next_message_id(self) -> int:
        """A number for the next request."""
        self._message_id = self._message_id % 65_535 + 1
        return self._message_id

    def send(
        self, context: Context | int, command: Command, data: bytes | BinaryIO | None = None
    ) -> None:
        """Send one message.

        Args:
            context: Under which presentation context.
            command: Its command set.
            data: Its data set; a file is read from where it stands to its end, piece by piece.

        Raises:
            PeerUnavailable: If the connection is lost or the peer reads too slowly.
        """
        number = context if isinstance(context, int) else context.number
        self._send_parts(_pieces(command.encoded(), self._pdu_bytes - 6), number, _COMMAND)
        if data is not None:
            self._send_parts(_pieces(data, self._pdu_bytes - 6), number, 0)

    def _send_parts(self, pieces: Iterable[tuple[bytes, bool]], number: int, flags: int) -> None:
        waiting, size = [], 0
        for piece, is_last in pieces:
            header = flags | (_LAST if is_last else 0)
            waiting += [
                _PDV.pack(P_DATA, len(piece) + 6, len(piece) + 2, number, header),
                piece,
            ]
            size += len(piece)
            if is_last or size >= _WRITE_BYTES:
                self._connection.send(b"".join(waiting))
                waiting, size = [], 0

    def receive(self, within_s: float | None = None) -> tuple[int, Command]:
        """The command set of the next message, and the number of its presentation context.

        Args:
            within_s: How long to wait for it; None for `timeouts.answer_s`.

        Raises:
            PeerUnavailable: If nothing comes, or the association ends.
            PeerRefused: If what comes is no message.
        """
        seconds = self.peer.timeouts.answer_s if within_s is None else within_s
        data, number = bytearray(), 0
        while True:
            number, flags, piece = self._next_part(seconds)
            if not flags & _COMMAND:
                raise PeerRefused("it sends a data set that no command announced.", where=self.name)
            data += piece
            if len(data) > COMMAND_BYTES_MOST:
                raise PeerRefused("it sends a command without an end.", where=self.name)
            if flags & _LAST:
                break
            seconds = self.peer.timeouts.network_s
        try:
            return number, parsed(bytes(data))
        except ValueError as error:
            raise PeerRefused(f"its message cannot be read: {error}.", where=self.name) from error

    def receive_data(self, *, most_bytes: int) -> Iterator[memoryview]:
        """The data set that follows a command, in pieces as they arrive.

        Args:
            most_bytes: How long it may be, all together.

        Raises:
            PeerUnavailable: If it does not go on, or the association ends.
            PeerRefused: If it is longer than allowed.
        """
        size = 0
        while True:
            _, flags, piece = self._next_part(self.peer.timeouts.network_s)
            if flags & _COMMAND:
                raise PeerRefused("a command stands where a data set was due.", where=self.name)
            size += len(piece)
            if size > most_bytes:
                raise PeerRefused(
                    f"it sends a data set of more than {most_bytes} bytes.", where=self.name
                )
            yield piece
            if flags & _LAST:
                return

    def _next_part(self, within_s: float) -> tuple[int, int, memoryview]:
        while not self._parts:
            kind, body = self._connection.read_pdu(within_s)
            if kind != P_DATA:
                raise self._unexpected(kind, body)
            self._parts.extend(_parts(memoryview(body), self.name))
        return self._parts.popleft()

    def _unexpected(self, kind: int, body: bytearray) -> PeerError:
        if kind == ASSOCIATE_RJ and len(body) >= 4:
            return rejected(body[1], body[2], body[3], peer=self.peer)
        if kind == ABORT:
            return aborted(body[2] if len(body) >= 4 else 0, peer=self.peer)
        if kind == RELEASE_RQ:
            self._connection.send(_RELEASE_RP_PDU)
            return PeerUnavailable("it ended the association.", where=self.name)
        return PeerRefused("it does not keep to the protocol.", where=self.name)

    def release(self) -> None:
        """End the association in order; what was confirmed stays so if the peer does not answer."""
        self._connection.send(_RELEASE_RQ_PDU)
        kind = P_DATA
        while kind == P_DATA:  # what was on its way
            kind, _ = self._connection.read_pdu(self.peer.timeouts.association_s)
        if kind == RELEASE_RQ:
            self._connection.send(_RELEASE_RP_PDU)

    def abort(self) -> None:
        """End the association at once."""
        self._connection.send(_ABORT_PDU)


@contextmanager
def opened(peer: DimsePeer, proposals: Sequence[Proposal]) -> Iterator[Association]:
    """An open association: released at the end of the block, aborted where the block fails.

    Args:
        peer: Where to.
        proposals: What to agree on, at most CONTEXTS_MOST.

    Raises:
        PeerUnavailable: If the peer cannot be reached, or rejects it for now.
        PeerRefused: If the peer rejects it for good.
        SettingsError: If a certificate or key cannot be read.
    """
    with quiet_pydicom():
        connection = Connection(peer)
        association: Association | None = None
        try:
            association = Association(connection, peer, proposals)
            yield association
        except BaseException:
            with suppress(PeerError):
                connection.send(_ABORT_PDU)
            raise
        else:
            with suppress(PeerError):  # what was confirmed stays confirmed
                association.release()
        finally:
            connection.close()


def context_for(association: Association, sop_class_uid: str) -> Context:
    """The presentation context for a service.

    Args:
        association: An open association.
        sop_class_uid: The service.

    Raises:
        PeerRefused: If the peer did not accept it.
    """
    for context in association.contexts:
        if context.sop_class_uid == sop_class_uid:
            return context
    raise PeerRefused(
        f"it does not offer {UID(sop_class_uid).name}.",
        where=association.name,
        fix="Ask who runs the peer whether this AE title may use that service.",
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an A-ASSOCIATE-AC says: the contexts that were accepted, by number."""

    results: dict[int, str]
    most_bytes: int
    implementation: str


def _request_pdu(peer: DimsePeer, proposals: Sequence[Proposal]) -> bytes:
    asked = A_ASSOCIATE()
    asked.application_context_name = _APPLICATION_CONTEXT
    asked.calling_ae_title, asked.called_ae_title = peer.calling_ae_title, peer.ae_title
    contexts = []
    for place, proposal in enumerate(proposals):
        context = build_context(proposal.sop_class_uid, list(proposal.transfer_syntaxes))
        context.context_id = 2 * place + 1
        contexts.append(context)
    asked.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = peer.max_pdu
    maker = ImplementationClassUIDNotification()
    maker.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    asked.user_information = [length, maker, version, *_roles(proposals)]
    return bytes(A_ASSOCIATE_RQ(asked).encode())


def _roles(proposals: Sequence[Proposal]) -> Iterator[SCP_SCU_RoleSelectionNegotiation]:
    for uid in dict.fromkeys(one.sop_class_uid for one in proposals if one.as_provider):
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = UID(uid)
        role.scu_role, role.scp_role = False, True
        yield role


def _answer(body: bytearray, name: str) -> _Answer:
    try:
        pdu = A_ASSOCIATE_AC()
        pdu.decode(bytes((ASSOCIATE_AC, 0)) + len(body).to_bytes(4, "big") + bytes(body))
        answer = pdu.to_primitive()
        results = {
            int(one.context_id): str(one.transfer_syntax[0])
            for one in answer.presentation_context_definition_results_list
            if one.result == 0 and one.transfer_syntax
        }
        most_bytes, implementation = 0, ""
        for item in answer.user_information:
            if isinstance(item, MaximumLengthNotification):
                most_bytes = int(item.maximum_length_received or 0)
            elif isinstance(item, ImplementationVersionNameNotification):
                implementation = str(item.implementation_version_name or "")
    except Exception as error:  # pynetdicom raises whatever the bytes provoke
        raise PeerRefused(
            f"its answer to the association cannot be read ({type(error).__name__}).", where=name
        ) from error
    return _Answer(results, most_bytes, implementation)


def _accepted(results: dict[int, str], proposals: Sequence[Proposal]) -> Iterator[Context]:
    for place, proposal in enumerate(proposals):
        chosen = results.get(2 * place + 1)
        if chosen in proposal.transfer_syntaxes:
            yield Context(2 * place + 1, proposal.sop_class_uid, str(chosen), place)


def _pieces(data: bytes | BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Data in pieces of at most `size` bytes, each with whether it is the last."""
    if isinstance(data, bytes):
        for start in range(0, len(data), size):
            yield data[start : start + size], start + size >= len(data)
        return
    piece = data.read(size)
    while piece:
        following = data.read(size)
        yield piece, not following
        piece = following


def _parts(body: memoryview, name: str) -> Iterator[tuple[int, int, memoryview]]:
    """The presentation data values in the body of a P-DATA-TF PDU: context, flags, bytes."""
    place = 0
    while place < len(body):
        if place + _ITEM.size > len(body):
            raise PeerRefused("its message ends too early.", where=name)
        length, number, flags = _ITEM.unpack_from(body, place)
        end = place + 4 + length
        if length < 2 or end > len(body):
            raise PeerRefused("its message has a wrong length in it.", where=name)
        yield number, flags, body[place + _ITEM.size : end]
        place = end
