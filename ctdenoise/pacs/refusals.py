"""What peers answer when they do not want to, in words, and whether it may work later."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ctdenoise.config.peer_address import shown
from ctdenoise.config.peers import DimsePeer
from ctdenoise.errors import PeerError, PeerRefused, PeerUnavailable


class Fate(Enum):
    """What became of an instance that was sent."""

    STORED = "stored"
    WARNED = "stored, with a warning"
    LATER = "not now"
    NEVER = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a status says of an instance.

    Args:
        fate: What became of it.
        words: The status in words; empty for plain success.
    """

    fate: Fate
    words: str = ""


_CODES = {
    0x0000: Verdict(Fate.STORED),
    0x0001: Verdict(Fate.WARNED, "requested optional attributes are not supported"),
    0x0105: Verdict(Fate.NEVER, "no such attribute"),
    0x0106: Verdict(Fate.NEVER, "an attribute value is not valid"),
    0x0107: Verdict(Fate.WARNED, "some attributes were ignored"),
    0x0110: Verdict(Fate.LATER, "processing failure"),
    0x0111: Verdict(Fate.WARNED, "it has an instance of this identity already"),
    0x0112: Verdict(Fate.NEVER, "no such instance"),
    0x0116: Verdict(Fate.WARNED, "an attribute value is out of range"),
    0x0117: Verdict(Fate.NEVER, "the SOP instance is not valid"),
    0x0118: Verdict(Fate.NEVER, "no such SOP class"),
    0x0119: Verdict(Fate.NEVER, "class and instance do not fit each other"),
    0x0122: Verdict(Fate.NEVER, "the SOP class is not supported"),
    0x0124: Verdict(Fate.NEVER, "not authorised"),
    0x0210: Verdict(Fate.NEVER, "duplicate invocation"),
    0x0211: Verdict(Fate.NEVER, "unrecognised operation"),
    0x0212: Verdict(Fate.NEVER, "mistyped argument"),
    0x0213: Verdict(Fate.LATER, "resource limitation"),
    0xB000: Verdict(Fate.WARNED, "data elements were coerced"),
    0xB006: Verdict(Fate.WARNED, "elements were discarded"),
    0xB007: Verdict(Fate.WARNED, "the data set does not match its SOP class"),
    0xC122: Verdict(Fate.NEVER, "the transfer syntax is not supported"),
}
"""Status codes of C-STORE (PS3.4 B.2.3, PS3.7 annex C) and reasons of STOW-RS (PS3.18 I.2.2)."""

_RANGES = {
    0xA7: Verdict(Fate.LATER, "out of resources"),
    0xA9: Verdict(Fate.NEVER, "the data set does not match its SOP class"),
    0xB0: Verdict(Fate.WARNED, "a warning that it does not explain"),
}
"""The same by their first byte."""

_UNKNOWN = Verdict(Fate.NEVER, "cannot understand")

_SERVICE_USER, _ACSE, _PRESENTATION = 1, 2, 3
_REASONS = {
    (_SERVICE_USER, 1): "no reason given",
    (_SERVICE_USER, 2): "the application context is not supported",
    (_SERVICE_USER, 3): "it does not know our AE title",
    (_SERVICE_USER, 7): "its AE title is another one",
    (_ACSE, 1): "no reason given by its protocol layer",
    (_ACSE, 2): "the protocol version is not supported",
    (_PRESENTATION, 1): "it is congested for the moment",
    (_PRESENTATION, 2): "it has as many associations as it can have",
}
"""Why an association is rejected (PS3.8 table 9-21), by source and reason."""

_FIXES = {
    (_SERVICE_USER, 3): "Have this calling AE title registered there, or name another.",
    (_SERVICE_USER, 7): "Check the AE title of the peer: capital and small letters count.",
}
_PERMANENT = 1


def verdict(status: int) -> Verdict:
    """What a status of C-STORE, or a reason of STOW-RS, means.

    Args:
        status: The code.

    Returns:
        The meaning; for failures the code is part of the words.
    """
    found = _CODES.get(status) or _RANGES.get(status >> 8) or _UNKNOWN
    if found.fate in (Fate.STORED, Fate.WARNED):
        return found
    return Verdict(found.fate, f"{found.words} (0x{status:04X})")


def rejected(result: int, source: int, reason: int, *, peer: DimsePeer) -> PeerError:
    """The error for an association that was rejected.

    Args:
        result: Whether it is for good (1) or for now (2), in the A-ASSOCIATE-RJ (PS3.8 9.3.4).
        source: Who rejects it.
        reason: Why.
        peer: Who rejected it.
    """
    words = _REASONS.get((source, reason), f"reason {reason} of source {source}")
    titles = f"as {peer.calling_ae_title} to {peer.ae_title}"
    what = f"it rejects the association ({titles}): {words}."
    busy = source == _PRESENTATION or result != _PERMANENT
    kind = PeerUnavailable if busy and (source, reason) not in _FIXES else PeerRefused
    return kind(what, where=shown(peer), fix=_FIXES.get((source, reason)))


def aborted(source: int, *, peer: DimsePeer) -> PeerUnavailable:
    """The error for an association that the peer aborted.

    Args:
        source: Who aborted: 0 the application, 2 its protocol layer.
        peer: The peer.
    """
    who = "its protocol layer" if source == 2 else "the peer"
    return PeerUnavailable(
        f"{who} aborted the association.",
        where=shown(peer),
        fix="Its log says why: often it does not allow this service to this AE title.",
    )
