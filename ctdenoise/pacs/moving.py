"""C-MOVE: a DIMSE peer sends instances to another one that it knows by its AE title."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from ctdenoise.config.peers import DimsePeer
from ctdenoise.errors import PeerRefused
from ctdenoise.io.dicom_uids import is_uid
from ctdenoise.pacs.association import Proposal, context_for, opened
from ctdenoise.pacs.commands import Command, Element, Operation, request
from ctdenoise.pacs.finding import (
    CANCELLED,
    PENDING,
    PLAIN,
    STUDY_ROOT_MOVE,
    SUCCESS,
    encoded_identifier,
    failed,
    received_identifier,
    texts,
)
from ctdenoise.pacs.matches import IDENTITY, LEVELS, Level, Wanted

_SOME_FAILED = 0xB000


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a move is, or what came of it.

    Args:
        completed: Instances that the destination has.
        failed: Instances that it did not get.
        warned: Instances that it has, with a warning.
        remaining: Instances that are still to go.
        failed_uids: Which failed, as far as the peer says.
    """

    completed: int
    failed: int
    warned: int
    remaining: int = 0
    failed_uids: tuple[str, ...] = ()


def move(
    peer: DimsePeer,
    wanted: Wanted,
    destination: str,
    *,
    on_progress: Callable[[Moved], None] | None = None,
) -> Moved:
    """Have a peer send a study, a series or an instance to another one.

    Args:
        peer: Who has it.
        wanted: UIDs of it; what lies in it is sent with it.
        destination: AE title of who is to get it; the peer must know it.
        on_progress: Called as the peer tells how far it is.

    Returns:
        What came of it; something may have failed.

    Raises:
        PeerUnavailable: If the peer is lost or busy.
        PeerRefused: If it does not do it.
    """
    uids: dict[Level, str] = {
        "study": wanted.study_instance_uid,
        "series": wanted.series_instance_uid,
        "image": wanted.sop_instance_uid,
    }
    level = [one for one in LEVELS if uids[one]][-1]
    keys = {IDENTITY[one]: uid for one, uid in uids.items() if uid}
    with opened(peer, [Proposal(STUDY_ROOT_MOVE, PLAIN)]) as association:
        context = context_for(association, STUDY_ROOT_MOVE)
        number = association.next_message_id()
        command = request(
            Operation.MOVE,
            number,
            STUDY_ROOT_MOVE,
            has_data=True,
            more={Element.MOVE_DESTINATION: destination},
        )
        association.send(context, command, encoded_identifier(context, level, keys))
        while True:
            _, answer = association.receive()
            if not answer.answers(Operation.MOVE, number):
                raise PeerRefused("its answer is to something else.", where=association.name)
            listed = received_identifier(association, context) if answer.has_data else None
            if answer.status in PENDING:
                if on_progress is not None:
                    on_progress(_moved(answer, None))
            elif answer.status in (SUCCESS, _SOME_FAILED, CANCELLED):
                return _moved(answer, listed)
            else:
                raise failed(answer.status, association.name)


def _moved(answer: Command, listed: Dataset | None) -> Moved:
    text = "" if listed is None else texts(listed).get("FailedSOPInstanceUIDList", "")
    return Moved(
        completed=answer.number(Element.COMPLETED_SUB_OPERATIONS, 0),
        failed=answer.number(Element.FAILED_SUB_OPERATIONS, 0),
        warned=answer.number(Element.WARNING_SUB_OPERATIONS, 0),
        remaining=answer.number(Element.REMAINING_SUB_OPERATIONS, 0),
        failed_uids=tuple(uid for uid in text.split("\\") if is_uid(uid)),
    )
