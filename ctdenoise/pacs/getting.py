"""C-GET: instances from a DIMSE peer, which arrive on the association that asked for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ctdenoise.config.peers import DimsePeer
from ctdenoise.errors import OutputError, PeerRefused
from ctdenoise.io.dicom_uids import is_uid
from ctdenoise.pacs.association import (
    CONTEXTS_MOST,
    Association,
    Context,
    Proposal,
    context_for,
    opened,
)
from ctdenoise.pacs.commands import Command, Element, Operation, request, response
from ctdenoise.pacs.finding import (
    PENDING,
    PLAIN,
    STUDY_ROOT_GET,
    SUCCESS,
    encoded_identifier,
    failed,
    received_identifier,
)
from ctdenoise.pacs.inbox import instance_key
from ctdenoise.pacs.incoming import IncomingFile, NotKeptError
from ctdenoise.pacs.matches import Match

_SYNTAXES = tuple(
    map(
        str,
        (
            ExplicitVRLittleEndian,
            ImplicitVRLittleEndian,
            JPEGLSLossless,
            JPEG2000Lossless,
            JPEGLosslessSV1,
            JPEGLossless,
            RLELossless,
            DeflatedExplicitVRLittleEndian,
            HTJ2KLossless,
            JPEG2000,
            JPEGLSNearLossless,
            JPEGBaseline8Bit,
            JPEGExtended12Bit,
            ExplicitVRBigEndian,
        ),
    )
)
"""In which instances are taken, each in a context of its own: as the peer has them stored."""

_SOME_FAILED = 0xB000
_DOES_NOT_MATCH, _NOT_AUTHORISED, _OUT_OF_RESOURCES = 0xA900, 0x0124, 0xA700
_UIDS_MOST = 200  # in one request: some archives refuse longer lists
_MESSAGES_MOST = 10 * _UIDS_MOST  # an instance and a word about it for each, and some more


def get(matches: Sequence[Match], peer: DimsePeer, folder: Path) -> Iterator[str]:
    """Get instances, once, and give the UID of each as soon as its file is whole.

    Args:
        matches: What to get: matches of the level "image".
        peer: From whom.
        folder: An existing folder; the file of an instance is `instance_key` of its UID.

    Raises:
        PeerUnavailable: If the peer is lost or busy; what was given before is there.
        PeerRefused: If it does not do it.
        OutputError: If the disk is full.
    """
    with opened(peer, _proposals(matches)) as association:
        context = context_for(association, STUDY_ROOT_GET)
        for group in _groups(matches):
            yield from _get_group(association, context, group, folder)


def _proposals(matches: Sequence[Match]) -> list[Proposal]:
    classes = {match.attributes.get("SOPClassUID", "") for match in matches}
    known = sorted(uid for uid in classes if is_uid(uid)) or [str(CTImageStorage)]
    room = (CONTEXTS_MOST - 1) // len(known)
    storing = [
        Proposal(uid, (syntax,), as_provider=True)
        for uid in known
        for syntax in _SYNTAXES[: max(room, 2)]
    ]
    return [Proposal(STUDY_ROOT_GET, PLAIN), *storing][:CONTEXTS_MOST]


def _groups(matches: Sequence[Match]) -> Iterator[list[Match]]:
    """Matches of one series each, not too many."""
    by_series: dict[tuple[str, str], list[Match]] = {}
    for match in matches:
        by_series.setdefault((match.uid("study"), match.uid("series")), []).append(match)
    for series in by_series.values():
        for start in range(0, len(series), _UIDS_MOST):
            yield series[start : start + _UIDS_MOST]


def _get_group(
    association: Association, context: Context, group: Sequence[Match], folder: Path
) -> Iterator[str]:
    wanted = {match.uid("image") for match in group}
    keys = {
        "StudyInstanceUID": group[0].uid("study"),
        "SeriesInstanceUID": group[0].uid("series"),
        "SOPInstanceUID": "\\".join(sorted(wanted)),
    }
    number = association.next_message_id()
    command = request(Operation.GET, number, STUDY_ROOT_GET, has_data=True)
    association.send(context, command, encoded_identifier(context, "image", keys))
    by_number = {one.number: one for one in association.contexts}
    for _ in range(_MESSAGES_MOST):
        arrived_in, answer = association.receive()
        if answer.field == Operation.STORE:
            uid = _take(association, by_number.get(arrived_in), answer, wanted, folder)
            if uid:
                wanted.discard(uid)
                yield uid
            continue
        if not answer.answers(Operation.GET, number):
            raise PeerRefused("its answer is to something else.", where=association.name)
        if answer.has_data:
            received_identifier(association, context)  # instances that failed: we know them
        if answer.status in (SUCCESS, _SOME_FAILED):
            return
        if answer.status not in PENDING:
            raise failed(answer.status, association.name)
    raise PeerRefused("it does not come to an end.", where=association.name)


def _take(
    association: Association,
    context: Context | None,
    asked: Command,
    wanted: set[str],
    folder: Path,
) -> str:
    """Take one instance and answer; its UID, or nothing where it is not kept."""
    if context is None or not asked.has_data:
        raise PeerRefused("it sends what was not agreed on.", where=association.name)
    uid = asked.text(Element.AFFECTED_SOP_INSTANCE_UID)
    sop_class = asked.text(Element.AFFECTED_SOP_CLASS_UID)
    most_bytes = association.peer.most_instance_mb * 2**20
    pieces = association.receive_data(most_bytes=most_bytes)
    if uid not in wanted or sop_class != context.sop_class_uid:
        for _ in pieces:  # it has to be read, but nothing is kept
            pass
        association.send(context, response(asked, _NOT_AUTHORISED))
        return ""
    incoming = IncomingFile(
        folder,
        uids=(sop_class, uid),
        transfer_syntax=context.transfer_syntax,
        sender=association.peer.ae_title,
        most_bytes=most_bytes,
    )
    try:
        for piece in pieces:
            incoming.write(piece)
        incoming.finish(durable=False).path.replace(folder / f"{instance_key(uid)}.dcm")
    except NotKeptError as error:
        if error.reason in ("full", "disk"):
            association.send(context, response(asked, _OUT_OF_RESOURCES))
            raise OutputError(
                f"{error.what} What arrived is thrown away.",
                where=folder.parent,
                fix="Free some space or choose another --out.",
            ) from error
        association.send(context, response(asked, _DOES_NOT_MATCH))
        return ""
    finally:
        incoming.close()
    association.send(context, response(asked, SUCCESS))
    return uid
