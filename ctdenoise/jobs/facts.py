"""What a running service knows of itself beyond its ledger, for those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class EntranceFacts:
    """One way by which studies come in.

    Args:
        name: What to call it: "DICOM receiver CTDENOISE on port 11112", "watch folder".
        is_open: Whether studies can come in at the moment.
        connections: How many senders are connected.
        problem: Why it is closed, or what else could not come in by it; empty otherwise.
    """

    name: str
    is_open: bool
    connections: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ReceptionFacts:
    """What senders were refused since the start.

    Args:
        turned_away: Instances that were not kept, by why; the sender was told so.
        refused_associations: Connections that were refused, by why.
        conflicts: Instances under a UID that another instance had; kept apart.
    """

    turned_away: Mapping[str, int] = field(default_factory=dict)
    refused_associations: Mapping[str, int] = field(default_factory=dict)
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class DestinationFacts:
    """One peer that results go to.

    Args:
        name: Its name in the settings.
        kind: "dimse" or "dicomweb".
        last_success: Seconds since 1970 of the last instance that it took; None before the first.
        last_failure: Seconds since 1970 of its last failure; None before the first.
        last_reason: Why it failed then; names no patient.
    """

    name: str
    kind: Literal["dimse", "dicomweb"]
    last_success: float | None = None
    last_failure: float | None = None
    last_reason: str = ""

    @property
    def is_failing(self) -> bool:
        """Whether the last that is known of it is a failure."""
        if self.last_failure is None:
            return False
        return self.last_success is None or self.last_failure > self.last_success


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A snapshot; made anew whenever somebody asks, so it should cost little.

    Args:
        started: Seconds since 1970.
        uptime_s: Seconds of the monotonic clock since then.
        is_dispatching: Whether the thread that hands out work is alive.
        is_draining: Whether it is stopping: nothing new is begun.
        workers: How many studies can be worked on at once.
        busy: How many are.
        disk_free_bytes: Free space where the state folder lies.
        disk_limit_bytes: Below this nothing more is received.
        arriving: Studies that are not complete yet, so that there is no job for them.
        arriving_instances: What is here of them.
        entrances: How studies come in.
        destinations: Where results go.
        reception: What senders were refused; None where nothing listens.
    """

    started: float
    uptime_s: float
    is_dispatching: bool
    is_draining: bool
    workers: int
    busy: int
    disk_free_bytes: int
    disk_limit_bytes: int
    arriving: int = 0
    arriving_instances: int = 0
    entrances: tuple[EntranceFacts, ...] = field(default_factory=tuple)
    destinations: tuple[DestinationFacts, ...] = field(default_factory=tuple)
    reception: ReceptionFacts | None = None
