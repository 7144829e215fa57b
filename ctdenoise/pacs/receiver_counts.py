"""What a receiver did so far: for the status page, the metrics, and whoever asks why."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ctdenoise.pacs.acceptance import Refused
from ctdenoise.pacs.inbox import Kept
from ctdenoise.pacs.incoming import Reason

_SENDERS_MOST = 1000
"""AE titles that are counted one by one; anybody can make them up."""

_OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class ReceiverStatistics:
    """What a receiver did since it was started.

    Args:
        connections: Now open.
        associations: Agreed upon.
        refused_associations: How often, by why.
        ended_associations: Lost, too slow, or against the protocol.
        received: New instances.
        again: Instances that were here already.
        conflicts: Instances under a UID that another had.
        refused: Instances that were not kept, by why.
        size: Bytes of the data sets of all that were kept.
        by_sender: Instances by AE title.
    """

    connections: int = 0
    associations: int = 0
    refused_associations: Mapping[Refused, int] = field(default_factory=dict)
    ended_associations: int = 0
    received: int = 0
    again: int = 0
    conflicts: int = 0
    refused: Mapping[Reason, int] = field(default_factory=dict)
    size: int = 0
    by_sender: Mapping[str, int] = field(default_factory=dict)


class ReceptionCounts:
    """Counts what happens; may be told by several threads.

    Args:
        on_kept: Called for each instance that was kept, before it is counted.
    """

    def __init__(self, on_kept: Callable[[Kept], None]) -> None:
        self._on_kept = on_kept
        self._lock = threading.Lock()
        self._associations = Counter[str]()
        self._outcomes = Counter[str]()
        self._refused_associations = Counter[Refused]()
        self._refused = Counter[Reason]()
        self._by_sender = Counter[str]()

    def kept(self, kept: Kept) -> None:
        """An instance is in the inbox.

        Args:
            kept: Which.
        """
        self._on_kept(kept)
        with self._lock:
            self._outcomes[kept.outcome] += 1
            self._outcomes["size"] += kept.size
            is_counted = kept.sender in self._by_sender or len(self._by_sender) < _SENDERS_MOST
            self._by_sender[kept.sender if is_counted else _OTHERS] += 1

    def not_kept(self, reason: Reason) -> None:
        """An instance was refused.

        Args:
            reason: Why.
        """
        with self._lock:
            self._refused[reason] += 1

    def agreed(self) -> None:
        """An association was agreed upon."""
        with self._lock:
            self._associations["agreed"] += 1

    def ended(self) -> None:
        """A connection ended otherwise than it should."""
        with self._lock:
            self._associations["ended"] += 1

    def turned_away(self, why: Refused) -> None:
        """A connection or an association was refused.

        Args:
            why: Why.
        """
        with self._lock:
            self._refused_associations[why] += 1

    def taken(self, connections: int) -> ReceiverStatistics:
        """What was counted so far.

        Args:
            connections: How many are open now.
        """
        with self._lock:
            return ReceiverStatistics(
                connections=connections,
                associations=self._associations["agreed"],
                refused_associations=dict(self._refused_associations),
                ended_associations=self._associations["ended"],
                received=self._outcomes["new"],
                again=self._outcomes["again"],
                conflicts=self._outcomes["conflict"],
                refused=dict(self._refused),
                size=self._outcomes["size"],
                by_sender=dict(self._by_sender),
            )
