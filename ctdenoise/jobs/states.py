"""The states of a job, and which follow which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

State = Literal[
    "receiving", "ready", "running", "made", "sending", "done", "refused", "dead-letter"
]

MOVES: Final[Mapping[State, frozenset[State]]] = {
    "receiving": frozenset(("ready", "refused")),
    "ready": frozenset(("running",)),
    "running": frozenset(("made", "done", "ready", "refused", "dead-letter")),
    "made": frozenset(("sending", "done")),
    "sending": frozenset(("done", "made", "dead-letter")),
    "done": frozenset(),
    "refused": frozenset(),
    "dead-letter": frozenset(),
}
"""What may follow each state by itself."""

RETRIES: Final[Mapping[State, frozenset[State]]] = {
    "done": frozenset(("ready",)),
    "refused": frozenset(("ready",)),
    "dead-letter": frozenset(("ready", "made")),
}
"""Where a person may lead a job that has ended."""

STARTS: Final[frozenset[State]] = frozenset(("receiving", "ready"))
"""States in which a job may be added."""

BEGUN: Final[Mapping[State, State]] = {"ready": "running", "made": "sending"}
"""What a job that waits becomes when somebody takes it on; also where it falls back to, read
backwards, when that somebody is no more."""

ENDED: Final[frozenset[State]] = frozenset(("done", "refused", "dead-letter"))
"""States in which nothing more happens by itself."""
