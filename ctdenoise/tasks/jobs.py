"""`jobs`: look into the ledger of a server or a batch, and lead jobs back that have ended."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import IllegalMove, LedgerError, UsageError, listed
from ctdenoise.jobs.audit import AUDIT_FILE, Audit, local_user
from ctdenoise.jobs.job import Job, Move
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import ENDED, State

_MATCHES_TOLD = 6


@dataclass(frozen=True, slots=True)
class FoundJobs:
    """What is in a ledger.

    Args:
        jobs: The jobs that were asked for, the last that was added first.
        matching: How many there are of them, those beyond the limit included.
        counts: Number of all jobs in each state.
    """

    jobs: tuple[Job, ...]
    matching: int
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class FoundJob:
    """One job.

    Args:
        job: How far it is.
        history: Its moves, oldest first.
    """

    job: Job
    history: tuple[Move, ...]


def find(
    folder: Path, *, states: Collection[State] = (), study: str | None = None, limit: int | None
) -> FoundJobs:
    """The jobs of a ledger; changes nothing.

    Args:
        folder: State folder of a server or output folder of a batch.
        states: Only in these; all if empty.
        study: Only of the study whose digest this is.
        limit: How many at most; None for all.

    Raises:
        LedgerError: If there is no ledger that can be read.
    """
    with Ledger.open(folder, read_only=True) as ledger:
        counts = ledger.counts()
        jobs = ledger.jobs(states, study=study, limit=None if study else limit)
        if study is not None:
            return FoundJobs(jobs[:limit], len(jobs), counts)
        return FoundJobs(jobs, sum(counts[state] for state in set(states) or counts), counts)


def find_one(folder: Path, name: str) -> FoundJob:
    """One job with its history.

    Args:
        folder: State folder of a server or output folder of a batch.
        name: Its id, or how its id alone begins.

    Raises:
        LedgerError: If there is no such job, or no ledger that can be read.
        UsageError: If several ids begin so.
    """
    with Ledger.open(folder, read_only=True) as ledger:
        id_ = _id_of(ledger, name)
        return FoundJob(ledger.job(id_), ledger.history(id_))


def retry(folder: Path, names: Sequence[str], *, all_dead_letters: bool) -> tuple[Job, ...]:
    """Lead jobs back that have ended; none of them unless all can be.

    Args:
        folder: State folder of a server, running or not, or output folder of a batch.
        names: Ids, or how an id alone begins.
        all_dead_letters: In place of names: every job that was given up.

    Returns:
        The jobs as they are now. Where there is an audit trail, it says who did it.

    Raises:
        UsageError: If a beginning fits several ids, or if names were given and all asked for.
        LedgerError: If one of them is unknown, or has not ended.
    """
    if bool(names) == all_dead_letters:
        raise UsageError(
            "say which jobs to try again.", fix="Give their ids, or --all-dead-letters."
        )
    with Ledger.open(folder, create=False, restore=False) as ledger:
        if all_dead_letters:
            given_up: tuple[State, ...] = ("dead-letter",)
            ids = [job.id for job in ledger.jobs(given_up, newest_first=False)]
        else:
            ids = list(dict.fromkeys(_id_of(ledger, name) for name in names))
        states = {id_: ledger.job(id_).state for id_ in ids}
        going_on = [f"{id_} is {state}" for id_, state in states.items() if state not in ENDED]
        if going_on:
            raise IllegalMove(
                f"only jobs that have ended can be tried again:\n{listed(going_on)}", where=folder
            )
        back = tuple(ledger.retry(id_) for id_ in ids)
    if back and (folder / AUDIT_FILE).is_file():
        with Audit.open(folder) as audit:
            audit.record("retried", who=local_user(), jobs=[job.id for job in back])
    return back


def _id_of(ledger: Ledger, name: str) -> str:
    if ledger.knows(name):
        return name
    found = ledger.ids_from(name, most=_MATCHES_TOLD + 1) if name else ()
    if not found:
        raise LedgerError(
            "no job has an id that begins like this.",
            where=name,
            fix="See `ctdenoise jobs list` for those that there are.",
        )
    if len(found) > 1:
        raise UsageError(
            f"several jobs have ids that begin like this:\n{listed(found, most=_MATCHES_TOLD)}",
            where=name,
            fix="Give more of the id.",
        )
    return found[0]


def list_as_json(found: FoundJobs) -> str:
    """Jobs for other programs, without what they were told and without their results."""
    return json.dumps(
        {"counts": dict(found.counts), "jobs": [_as_json(job) for job in found.jobs]}, indent=2
    )


def job_as_json(found: FoundJob, *, details: bool) -> str:
    """One job for other programs.

    Args:
        found: The job.
        details: Whether to tell what it was told and its result, which may hold paths.
    """
    told: dict[str, JsonValue] = {**_as_json(found.job)}
    if details:
        told.update(payload=found.job.payload, result=found.job.result)
    told["history"] = [
        {
            "at": moment(move.at),
            "before": move.before,
            "after": move.after,
            "reason": move.reason,
        }
        for move in found.history
    ]
    return json.dumps(told, indent=2)


def _as_json(job: Job) -> dict[str, JsonValue]:
    return {
        "id": job.id,
        "kind": job.kind,
        "study": job.study,
        "state": job.state,
        "tries": job.tries,
        "reason": job.reason,
        "not_before": moment(job.not_before) if job.not_before else None,
        "created": moment(job.created),
        "changed": moment(job.changed),
    }


def moment(seconds: float) -> str:
    """Seconds since 1970 as a time in UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
