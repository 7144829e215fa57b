"""Asking a peer whether it is there, and what it has: one way to ask for both protocols."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom.uid import UID

from ctdenoise.config.peers import DimsePeer, Peer
from ctdenoise.errors import PeerRefused, UsageError
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.pacs.association import Proposal, context_for, opened
from ctdenoise.pacs.commands import Operation, request
from ctdenoise.pacs.finding import FIND, PLAIN, found
from ctdenoise.pacs.matches import (
    IDENTITY,
    LEVELS,
    Level,
    Match,
    Wanted,
    asked_for,
    match_of,
)
from ctdenoise.pacs.web import JSON, WebConnection
from ctdenoise.pacs.web_finding import found_by_web

VERIFICATION = "1.2.840.10008.1.1"
"""SOP class of C-ECHO."""

MATCHES_MOST = 100_000
"""More instances than this are not listed for one study."""

Ask = Callable[[Level, Mapping[str, str], Sequence[str], int], Iterator[Mapping[str, str]]]
"""Asks a peer: level, what must fit, what to tell, how many at most."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A peer that answered.

    Args:
        connect_s: Time until the association stood; 0 for DICOMweb.
        answer_s: Time from the question to the answer.
        protocol: The transfer syntax that was agreed on, or the media type.
        implementation: What the peer says it is; empty where it says nothing.
    """

    connect_s: float
    answer_s: float
    protocol: str
    implementation: str


def echo(peer: Peer) -> Echo:
    """Ask a peer whether it is there: C-ECHO, or a QIDO-RS query for one study.

    Args:
        peer: Whom.

    Raises:
        PeerUnavailable: If it cannot be reached or is lost.
        PeerRefused: If it does not want to.
        SettingsError: If a secret or a certificate cannot be read.
    """
    started = time.perf_counter()
    if isinstance(peer, DimsePeer):
        with opened(peer, [Proposal(VERIFICATION, PLAIN)]) as association:
            connected = time.perf_counter()
            context = context_for(association, VERIFICATION)
            number = association.next_message_id()
            association.send(context, request(Operation.ECHO, number, VERIFICATION))
            _, answer = association.receive()
            if not answer.answers(Operation.ECHO, number) or answer.status != 0:
                raise PeerRefused("it does not answer an echo.", where=association.name)
            seconds = time.perf_counter() - connected
            name = str(UID(context.transfer_syntax).name)
            return Echo(connected - started, seconds, name, association.implementation)
    with (
        quiet_pydicom(),
        WebConnection(peer) as connection,
        connection.get("/studies", accept=JSON, query=[("limit", "1")]) as reply,
    ):
        reply.require_success()
        reply.body()
        return Echo(0.0, time.perf_counter() - started, reply.content_type, "")


@contextmanager
def asking(peer: Peer) -> Iterator[Ask]:
    """A way to ask a peer what it has, for as long as the block lasts.

    Args:
        peer: Whom.

    Raises:
        PeerUnavailable, PeerRefused, SettingsError: As by `echo`.
    """
    if isinstance(peer, DimsePeer):
        with opened(peer, [FIND]) as association:
            yield lambda level, keys, shown, most: found(association, level, keys, shown, most=most)
        return
    with quiet_pydicom(), WebConnection(peer) as connection:
        yield lambda level, keys, shown, most: found_by_web(
            connection, level, keys, shown, most=most
        )


def find(
    peer: Peer, level: Level, wanted: Wanted, *, most: int, patient: bool = False
) -> tuple[Match, ...]:
    """What a peer has of what is wanted.

    Series are looked for in each study that fits, and instances in each series, as every archive
    understands it.

    Args:
        peer: Whom to ask.
        level: What to look for.
        wanted: What must fit.
        most: How many matches at most.
        patient: Whether to ask for what names the patient, too.

    Raises:
        UsageError: If nothing says which studies, and instances are looked for.
        PeerUnavailable, PeerRefused, SettingsError: As by `echo`.
    """
    if level == "image" and not wanted.keys("study", top=level):
        raise UsageError(
            "instances are looked for in a study.", fix="Say which: --study with its UID."
        )
    with asking(peer) as ask:
        matches: list[Match] = [Match("study")]
        for current in LEVELS[: LEVELS.index(level) + 1]:
            is_last = current == level
            matches = [
                match
                for above in matches
                for match in _below(
                    ask,
                    current,
                    above,
                    wanted.keys(current, top=level),
                    asked_for(current, patient=patient),
                    most if is_last else MATCHES_MOST,
                )
            ]
            if is_last:
                return tuple(matches[:most])
    return ()


def _below(
    ask: Ask,
    level: Level,
    above: Match,
    wanted: Mapping[str, str],
    shown: Sequence[str],
    most: int,
) -> Iterator[Match]:
    """Matches of a level within one of the level above it."""
    place = {IDENTITY[outer]: above.uid(outer) for outer in LEVELS[: LEVELS.index(level)]}
    for attributes in ask(level, {**wanted, **place}, shown, most):
        match = match_of(level, attributes, above.attributes, shown)
        if match is not None:
            yield match
