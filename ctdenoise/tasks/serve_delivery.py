"""What goes to each destination of a job, and how far that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctdenoise.core.provenance import JsonValue
from ctdenoise.io.checksum import sha256_of
from ctdenoise.io.manifest import read_manifest
from ctdenoise.jobs.job import Job
from ctdenoise.tasks.serve_outcomes import outcomes_of

DELIVERIES = "delivery"
"""Where the result of a job keeps how far sending is."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file that goes to a destination.

    Args:
        path: The file.
        sop_instance_uid: What it is.
        sha256: Of the file when it was written.
    """

    path: Path
    sop_instance_uid: str
    sha256: str

    @property
    def is_as_written(self) -> bool:
        """Whether the file is what it was then."""
        return self.path.is_file() and sha256_of(self.path) == self.sha256


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far the sending of a job to one destination is.

    Args:
        tries: Attempts that failed.
        reason: Why the last one failed.
        is_final: Whether it is not tried again.
        is_done: Whether everything was confirmed.
        is_further: Whether at least something was confirmed in the last one.
        is_lost: Whether the result itself is gone or damaged, so that it has to be made again.
    """

    tries: int = 0
    reason: str = ""
    is_final: bool = False
    is_done: bool = False
    is_further: bool = False
    is_lost: bool = False

    def as_json(self) -> dict[str, JsonValue]:
        """As the ledger keeps it."""
        return {"tries": self.tries, "reason": self.reason, "given_up": self.is_final}

    @classmethod
    def from_json(cls, record: Any) -> Delivery:
        """Read back; a fresh one from anything else."""
        if isinstance(record, dict) and isinstance(record.get("tries"), int):
            final = bool(record.get("given_up"))
            return cls(record["tries"], str(record.get("reason", "")), is_final=final)
        return cls()


def parcels_of(job: Job, results: Path) -> dict[str, tuple[Parcel, ...]]:
    """What is to be sent of a job, by destination, images before what belongs to them.

    Args:
        job: Its result says what was made, and for whom.
        results: Folder above the results of all jobs.

    Raises:
        InputError: If a result is no longer there, or damaged.
    """
    found: dict[str, dict[str, Parcel]] = {}
    for outcome in outcomes_of(job.result):
        if not outcome.folder or not outcome.send_to:
            continue
        folder = results / outcome.folder
        for series in read_manifest(folder).series:
            for one in series.instances:
                parcel = Parcel(folder / one.file, one.sop_instance_uid, one.sha256)
                for name in outcome.send_to:
                    found.setdefault(name, {})[one.sop_instance_uid] = parcel
    return {name: tuple(parcels.values()) for name, parcels in found.items()}


def deliveries_of(job: Job) -> dict[str, Delivery]:
    """How far the sending of a job was before; nothing for one that was begun afresh.

    Args:
        job: Being sent.
    """
    record = job.result.get(DELIVERIES)
    if job.tries <= 1 or not isinstance(record, dict):
        return {}
    return {name: Delivery.from_json(one) for name, one in record.items()}


def told(deliveries: Mapping[str, Delivery]) -> str:
    """Why some destinations have not got everything, in one line.

    Args:
        deliveries: By their names.
    """
    return "; ".join(_told_one(name, one) for name, one in deliveries.items())


def _told_one(name: str, delivery: Delivery) -> str:
    tries = f" (try {delivery.tries})" if delivery.tries else ""
    return f"{name}: {delivery.reason.rstrip('.')}{tries}"
