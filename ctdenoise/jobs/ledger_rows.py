"""Jobs, moves and instances as rows of the ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.errors import LedgerError
from ctdenoise.jobs.job import Job, Move

COLUMNS: Final = (
    "id, kind, study, payload, state, tries, not_before, reason, result, created, changed"
)
"""What makes up a job, in this order."""

Row = tuple[Any, ...]
"""A row as SQLite gives it."""


def job_of(row: Row) -> Job:
    """The job that a row of COLUMNS stands for.

    Raises:
        LedgerError: If the row cannot be read.
    """
    id_, kind, study, payload, state, tries, not_before, reason, result, created, changed = row
    try:
        return Job(
            id=id_,
            kind=kind,
            study=study,
            payload=json.loads(payload),
            state=state,
            tries=tries,
            not_before=not_before,
            reason=reason,
            result=json.loads(result),
            created=created,
            changed=changed,
        )
    except ValueError as error:
        raise LedgerError(f"job {id_} of the ledger cannot be read; it is damaged.") from error


def row_of(job: Job, *, created: float, changed: float) -> Row:
    """A job as a row of COLUMNS.

    Args:
        job: What to write.
        created: Seconds since 1970, in place of the job's own.
        changed: Likewise.
    """
    return (
        job.id,
        job.kind,
        job.study,
        canonical_json(job.payload),
        job.state,
        job.tries,
        job.not_before,
        job.reason,
        canonical_json(job.result),
        created,
        changed,
    )


def move_of(row: Row) -> Move:
    """The line of history that a row of time, states and reason stands for."""
    at, before, after, reason = row
    return Move(at=at, before=before, after=after, reason=reason)


def text_of(value: Mapping[str, JsonValue]) -> str:
    """A payload, result or note as it is kept."""
    return canonical_json(value)


def uid_digest(uid: str) -> bytes:
    """What stands for a UID in the ledger: 16 bytes that do not tell it."""
    return hashlib.sha256(uid.encode()).digest()[:16]


def by_digest(uids: Iterable[str]) -> dict[bytes, str]:
    """UIDs by what stands for them."""
    return {uid_digest(uid): uid for uid in uids}
