"""Who may send what: the answer to a request for an association."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification

from ctdenoise.config.receiver import AllowedSender, ReceiverSettings
from ctdenoise.io.dicom_kinds import CT_CLASSES
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID
from ctdenoise.pacs.upper_layer import Pdu, ProtocolError, pdu, rejection

Refused = Literal["address", "calling-ae", "called-ae", "busy", "tls", "protocol"]
"""Why nobody may talk to us: the address, a calling AE title that is not on the list, a called AE
title that is not ours, too many at a time, no encryption as it must be, or no DICOM at all."""

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_ACCEPTED, _CLASS_REFUSED, _SYNTAX_REFUSED = 0, 3, 4
_STORAGE_PREFIXES = (  # PS3.4 B.5 and GG.3: images and what travels with them
    "1.2.840.10008.5.1.4.1.1.",
    "1.2.840.10008.5.1.4.34.",
    "1.2.840.10008.5.1.4.39.",
    "1.2.840.10008.5.1.4.43.",
    "1.2.840.10008.5.1.4.44.",
    "1.2.840.10008.5.1.4.45.",
)
_STANDARD = "1.2.840.10008."
_SYNTAXES = frozenset(one for one in AllTransferSyntaxes if "JPIP" not in one.name)
"""Pixels that lie elsewhere on the network are of no use."""


@dataclass(frozen=True, slots=True)
class Association:
    """What was agreed upon.

    Args:
        sender: Calling AE title.
        contexts: SOP class and transfer syntax by the number of the presentation context.
        pdu_bytes: Largest PDU that the other end takes; 0 for any.
    """

    sender: str
    contexts: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    pdu_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request for an association.

    Args:
        pdu: What to send.
        association: What was agreed upon; None if nothing was.
        refused: Why nothing was.
        reason: The same in words, for the log of the receiver.
    """

    pdu: bytes
    association: Association | None = None
    refused: Refused | None = None
    reason: str = ""


_REJECTIONS: Mapping[Refused, bytes] = {
    "address": rejection(1, 1, 3),
    "calling-ae": rejection(1, 1, 3),
    "called-ae": rejection(1, 1, 7),
    "busy": rejection(2, 3, 2),
}


def may_connect(address: str, senders: tuple[AllowedSender, ...]) -> bool:
    """Whether anybody on the list may call from an address.

    Args:
        address: Where a connection comes from.
        senders: The list; empty for anyone.
    """
    return not senders or any(_is_from(address, sender) for sender in senders)


def _is_from(address: str, sender: AllowedSender) -> bool:
    if not sender.addresses:
        return True
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in ipaddress.ip_network(network) for network in sender.addresses)


def answer_to(
    request: bytes, settings: ReceiverSettings, *, address: str, is_busy: bool = False
) -> Answer:
    """The answer to an A-ASSOCIATE-RQ.

    Args:
        request: What the PDU holds.
        settings: Who may send what.
        address: Where the connection comes from.
        is_busy: Whether there are too many already.

    Raises:
        ProtocolError: If it cannot be parsed.
    """
    asked = _parsed(request)
    called, calling = asked.called_ae_title.strip(), asked.calling_ae_title.strip()
    if asked.application_context_name != _APPLICATION_CONTEXT:
        return Answer(rejection(1, 1, 2), refused="protocol", reason="it does not speak DICOM")
    refused = _refusal(settings, called, calling, address)
    if refused is None and is_busy:
        refused = "busy"
    if refused is not None:
        reason = _in_words(refused, settings, called, calling)
        return Answer(_REJECTIONS[refused], refused=refused, reason=reason)
    results = [
        _result(context, settings.objects) for context in asked.presentation_context_definition_list
    ]
    accepted = {
        int(one.context_id or 0): (str(one.abstract_syntax), str(one.transfer_syntax[0]))
        for one in results
        if one.result == _ACCEPTED
    }
    association = Association(calling, accepted, asked.maximum_length_received or 0)
    return Answer(_acceptance(asked, results, settings.pdu_bytes), association)


def _parsed(request: bytes) -> A_ASSOCIATE:
    try:
        parsed = A_ASSOCIATE_RQ()
        parsed.decode(pdu(Pdu.ASSOCIATE_RQ, request))
        return parsed.to_primitive()
    except Exception as error:  # pynetdicom raises whatever the bytes provoke
        raise ProtocolError("a request for an association cannot be parsed", 6) from error


def _refusal(settings: ReceiverSettings, called: str, calling: str, address: str) -> Refused | None:
    if settings.called_ae_title == "required" and called != settings.ae_title:
        return "called-ae"
    known = [sender for sender in settings.senders if sender.ae_title == calling]
    if settings.senders and not known:
        return "calling-ae"
    if known and not any(_is_from(address, sender) for sender in known):
        return "address"
    return None


def _in_words(refused: Refused, settings: ReceiverSettings, called: str, calling: str) -> str:
    """Why nobody may talk to us, for those who can put it right."""
    if refused == "called-ae":
        return f"it calls {_shown(called)}, and the title here is {settings.ae_title}"
    if refused == "calling-ae":
        return f"its AE title, {_shown(calling)}, is not among `receiver.senders`"
    if refused == "address":
        return f"`receiver.senders` has other addresses for {_shown(calling)}"
    return f"{settings.associations} connections are open already (`receiver.associations`)"


def _shown(title: str) -> str:
    """An AE title that anybody may have made up, without what does not belong into a log."""
    return re.sub(r"[^A-Za-z0-9._-]", "?", title) or "an empty one"


def _result(asked: PresentationContext, objects: str) -> PresentationContext:
    """One presentation context, with the first transfer syntax that can be kept."""
    result = PresentationContext()
    result.context_id = asked.context_id
    result.abstract_syntax = asked.abstract_syntax
    known = [one for one in asked.transfer_syntax if one in _SYNTAXES]
    result.transfer_syntax = known[:1] or asked.transfer_syntax[:1]
    if not _is_wanted(str(asked.abstract_syntax), objects):
        result.result = _CLASS_REFUSED
    else:
        result.result = _ACCEPTED if known else _SYNTAX_REFUSED
    return result


def _is_wanted(sop_class: str, objects: str) -> bool:
    if sop_class == Verification:
        return True
    if objects == "ct":
        return sop_class in CT_CLASSES
    return sop_class.startswith(_STORAGE_PREFIXES) or not sop_class.startswith(_STANDARD)


def _acceptance(asked: A_ASSOCIATE, results: list[PresentationContext], pdu_bytes: int) -> bytes:
    longest = MaximumLengthNotification()
    longest.maximum_length_received = pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = "CTDENOISE"
    accepted = A_ASSOCIATE()
    accepted.application_context_name = UID(_APPLICATION_CONTEXT)
    accepted.calling_ae_title = asked.calling_ae_title
    accepted.called_ae_title = asked.called_ae_title
    accepted.result = 0
    accepted.result_source = 1
    accepted.presentation_context_definition_results_list = results
    accepted.user_information = [longest, implementation, version]
    return bytes(A_ASSOCIATE_AC(accepted).encode())
