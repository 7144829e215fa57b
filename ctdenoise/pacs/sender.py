"""Sending files to a peer, over DIMSE or DICOMweb, whatever becomes of the connection meanwhile."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ctdenoise.config.peer_address import shown
from ctdenoise.config.peers import DimsePeer, Peer, RetrySettings
from ctdenoise.errors import PeerRefused, PeerUnavailable, listed
from ctdenoise.pacs.outgoing import Outgoing, outgoing
from ctdenoise.pacs.refusals import Fate
from ctdenoise.pacs.retry import BackOff, Clock, SystemClock
from ctdenoise.pacs.storing import Answered, store
from ctdenoise.pacs.web_storing import store_by_web

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """One instance that the peer confirmed.

    Args:
        path: Its file.
        sop_instance_uid: Its identity.
        warning: What the peer did not like although it stored the instance; empty if nothing.
        converted: Whether the peer got it in another transfer syntax than it is stored in, every
            value the same, because it takes it in no other way.
    """

    path: Path
    sop_instance_uid: str
    warning: str = ""
    converted: bool = False


@dataclass(frozen=True, slots=True)
class SendReport:
    """Everything that was asked for was sent.

    Args:
        sent: Instances that the peer confirmed.
        bytes_sent: Size of their data sets as they are stored.
        seconds: Time of everything, waits included.
        failures: Times that something was transient and tried again.
        warnings: What the peer did not like, and for how many instances.
        converted: Instances that were sent in another transfer syntax than they are stored in.
    """

    sent: int
    bytes_sent: int
    seconds: float
    failures: int
    warnings: tuple[tuple[str, int], ...] = ()
    converted: int = 0


def send(
    files: Sequence[Path],
    peer: Peer,
    *,
    retry: RetrySettings | None = None,
    on_sent: Callable[[Sent], None] | None = None,
    clock: Clock | None = None,
) -> SendReport:
    """Send DICOM files to a peer, each until it is confirmed, and tell of each at once.

    Files are read one by one, so memory does not grow with their size. What was confirmed is not
    sent again after a lost connection.

    Args:
        files: DICOM files.
        peer: Where to.
        retry: What is tried again; by default as `RetrySettings` says.
        on_sent: Called from the calling thread for each instance as soon as the peer confirmed it.
        clock: Where time comes from.

    Raises:
        InputError: If a file is no DICOM instance that can be sent; nothing was sent then.
        PeerUnavailable: If the peer could not be reached, was lost or busy to the last try. What
            was confirmed is known by on_sent.
        PeerRefused: If the peer refuses the association or some of the instances for good. The
            others were sent, and are known by on_sent.
        SettingsError: If a secret or a certificate cannot be read.
    """
    clock = clock or SystemClock()
    started = clock.monotonic()
    sending = _Sending({one.sop_instance_uid: one for one in outgoing(files)}, peer, on_sent)
    back_off = BackOff(retry or RetrySettings(), clock)
    while sending.waiting:
        before = len(sending.waiting)
        try:
            sending.once()
        except PeerUnavailable as error:
            if len(sending.waiting) < before:
                back_off.progressed()
            back_off.wait(sending.with_count(error))
    sending.require_none_refused()
    return sending.report(clock.monotonic() - started, back_off.tries)


@dataclass(slots=True)
class _Sending:
    """What is still to be sent, and what became of the rest."""

    waiting: dict[str, Outgoing]
    peer: DimsePeer | Peer
    on_sent: Callable[[Sent], None] | None
    sent: int = 0
    bytes_sent: int = 0
    converted: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def once(self) -> None:
        """Send everything that waits.

        Raises:
            PeerUnavailable: If some of it has to be tried again.
        """
        later: Counter[str] = Counter()
        for answer in self._answers():
            fate, words = answer.verdict.fate, answer.verdict.words
            if fate is Fate.LATER:
                later[words] += 1
                if isinstance(self.peer, DimsePeer):
                    break  # it is short of something: the next instance would fare no better
                continue
            del self.waiting[answer.instance.sop_instance_uid]
            if fate is Fate.NEVER:
                self.refusals[words] += 1
            else:
                self._confirmed(answer, words)
        if later:
            raise PeerUnavailable(f"it does not store now: {_counted(later)}.", where=self._name)

    def _answers(self) -> Iterator[Answered]:
        instances = list(self.waiting.values())
        if isinstance(self.peer, DimsePeer):
            return store(instances, self.peer)
        return store_by_web(instances, self.peer)

    def _confirmed(self, answer: Answered, warning: str) -> None:
        self.sent += 1
        self.bytes_sent += answer.instance.data_bytes
        self.converted += answer.converted
        if warning:
            self.warnings[warning] += 1
        if self.on_sent is not None:
            instance = answer.instance
            self.on_sent(Sent(instance.path, instance.sop_instance_uid, warning, answer.converted))

    @property
    def _name(self) -> str:
        return shown(self.peer)

    def with_count(self, error: PeerUnavailable) -> PeerUnavailable:
        """The error, with what was sent and what was not."""
        if not self.sent:
            return error
        left = len(self.waiting)
        what = f"{error.what} {self.sent} instances are there, {left} are not."
        return PeerUnavailable(what, where=error.where, fix=error.fix)

    def require_none_refused(self) -> None:
        """Raise one error with everything that the peer does not want."""
        if self.refusals:
            count = self.refusals.total()
            reasons = [f"{words}: {number}" for words, number in self.refusals.most_common()]
            raise PeerRefused(
                f"{count} instances are refused, {self.sent} are there:\n{listed(reasons)}",
                where=self._name,
            )

    def report(self, seconds: float, failures: int) -> SendReport:
        """What was done."""
        return SendReport(
            sent=self.sent,
            bytes_sent=self.bytes_sent,
            seconds=seconds,
            failures=failures,
            warnings=tuple(self.warnings.most_common()),
            converted=self.converted,
        )


def _counted(words: Counter[str]) -> str:
    return ", ".join(f"{text} ({number})" for text, number in words.most_common(3))
