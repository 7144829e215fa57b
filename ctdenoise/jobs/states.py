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
    "done": frozenset(("ready",)),
    "refused": frozenset(("ready",)),
    "dead-letter": frozenset(("ready", "made")),
}
"""What may follow each state. Out of an ended state only a person leads a job."""

ENDED: Final[frozenset[State]] = frozenset(("done", "refused", "dead-letter"))
"""States in which nothing more happens by itself."""
