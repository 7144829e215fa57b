"""Who was connected and what came of it, for those who keep account of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ctdenoise.pacs.acceptance import Refused
from ctdenoise.pacs.inbox import Kept
from ctdenoise.pacs.incoming import Reason
from ctdenoise.pacs.storage_session import Listener


@dataclass(slots=True)
class Visit:
    """One association; counts what it brought, and passes it on.

    Args:
        sender: Calling AE title.
        address: Where it came from.
        listener: Who else is told.
        instances: How many were kept.
        refused: How many were not.
        studies: Keys of the studies that they belong to.
    """

    sender: str
    address: str
    listener: Listener
    instances: int = 0
    refused: int = 0
    studies: set[str] = field(default_factory=set)

    def kept(self, kept: Kept) -> None:
        """An instance is in the inbox.

        Args:
            kept: Which.
        """
        self.listener.kept(kept)
        self.instances += 1
        self.studies.add(kept.study)

    def not_kept(self, reason: Reason) -> None:
        """An instance was refused.

        Args:
            reason: Why.
        """
        self.listener.not_kept(reason)
        self.refused += 1


class Watcher(Protocol):
    """Is told of everybody who comes, in the thread of each connection; must not raise."""

    def visited(self, visit: Visit) -> None:
        """An association ended in which somebody sent something."""

    def turned_away(self, address: str, why: Refused) -> None:
        """Somebody was not let in."""
