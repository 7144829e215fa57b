"""One study that is to be worked on, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ctdenoise.core.provenance import JsonValue
from ctdenoise.jobs.states import State


@dataclass(frozen=True, slots=True)
class Job:
    """One study, one job.

    Args:
        id: What tells it from all others; the same work has the same id.
        kind: What is done: "serve", "simulate", "infer", "evaluate".
        study: Digest that stands for the study; names nobody.
        payload: What the work needs to know, plain JSON that the ledger does not look into.
        state: How far it is.
        tries: How often it was begun; counted anew for sending once there is a result.
        not_before: Seconds since 1970 before which it is not tried again; 0 where it need not wait.
        reason: Why it waits, was refused, or given up; empty otherwise.
        result: What came out so far, plain JSON.
        created: Seconds since 1970; what is made is dated by it, so that work done again gives the
            same bytes.
        changed: Seconds since 1970 of the last move.
    """

    id: str
    kind: str
    study: str
    payload: Mapping[str, JsonValue] = field(default_factory=dict)
    state: State = "ready"
    tries: int = 0
    not_before: float = 0.0
    reason: str = ""
    result: Mapping[str, JsonValue] = field(default_factory=dict)
    created: float = 0.0
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class Move:
    """One line of a job's history.

    Args:
        at: Seconds since 1970.
        before: State that it left; None where the job was added.
        after: State that it came to.
        reason: Why; empty where that is plain.
    """

    at: float
    before: State | None
    after: State
    reason: str = ""
