"""From a complete study to a job, once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.jobs.job import Job
from ctdenoise.pacs.arrivals import Arrivals, Round
from ctdenoise.pacs.instance_head import meta_of
from ctdenoise.tasks.serve_shared import KIND, Shared

_log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 1.0


class Intake:
    """Makes a job of every round of a study.

    Args:
        shared: What the parts of the server share.
        arrivals: Tells which studies are complete.
    """

    def __init__(self, shared: Shared, arrivals: Arrivals) -> None:
        self._shared = shared
        self._arrivals = arrivals

    def run(self) -> None:
        """Take what is complete until the server stops."""
        self._shared.again_and_again(self._step_and_wait, idle_s=0.0)

    def _step_and_wait(self) -> bool:
        self.step()
        self._arrivals.wait(_LONGEST_WAIT_S)
        return True

    def step(self) -> int:
        """Take what is complete now; returns how many studies that were."""
        rounds = self._arrivals.due()
        for found in rounds:
            self.take(found)
        return len(rounds)

    def take(self, found: Round) -> None:
        """Put a round into the ledger, where it cannot get lost.

        Args:
            found: A complete study; the same round may come again after a crash.
        """
        shared = self._shared
        digests, lost = _digests(found.files)
        changed, is_repeated = self._compared(found, digests)
        reason = _conflict(len(found.conflicts) + changed) or _lost(lost)
        if is_repeated and not reason:
            _log.info("study %s: some of it came again, which was worked on before", found.study)
            self._arrivals.handed_on(found)
            return
        shared.audit.record(
            "conflict" if found.conflicts or changed else "received",
            job=found.id,
            study_uid=found.study_instance_uid,
            senders=sorted(found.senders),
            instances=len(found.files),
            conflicts=len(found.conflicts) + changed,
            complete_by=found.why,
            sha256=_digest_of_all(digests),
        )
        job = Job(
            id=found.id,
            kind=KIND,
            study=found.study,
            payload={
                "files": [path.name for path in found.files],
                "senders": sorted(found.senders),
                "complete_by": found.why,
            },
            state="receiving",
            created=_arrived_at(found.files),
        )
        shared.ledger.add(job)
        if shared.ledger.job(job.id).state == "receiving":
            shared.ledger.remember_instances(job.id, {} if changed else digests)
            shared.ledger.move(job.id, "refused" if reason else "ready", reason=reason)
            if reason:
                shared.metrics.ended("refused")
        self._arrivals.handed_on(found)
        _log.info(
            "study %s: job %s, %d instances, complete by %s",
            *(found.study, job.id, len(found.files), found.why),
        )
        shared.alarm.ring()

    def _compared(self, found: Round, digests: Mapping[str, str]) -> tuple[int, bool]:
        """How many files have other bytes than before, and whether all are part of a done job.

        The inbox knows what it holds. What it held before, and was removed by the rules of
        retention, the ledger knows.
        """
        known = self._shared.ledger.known_instances(digests)
        known = {key: one for key, one in known.items() if one[0] != found.id}
        changed = sum(digest != digests[key] for key, (_, digest) in known.items())
        jobs = {job for job, _ in known.values()}
        if len(known) < len(digests) or len(jobs) != 1:
            return changed, False
        before = self._shared.ledger.job(jobs.pop())
        files = before.payload.get("files")
        is_part = isinstance(files, list) and len(digests) < len(files)
        return changed, is_part and before.state == "done"


def _conflict(count: int) -> str:
    if not count:
        return ""
    several = "1 instance" if count == 1 else f"{count} instances"
    return (
        f"{several} came again with other contents under the same SOPInstanceUID; "
        "a person has to decide which is right"
    )


def _lost(count: int) -> str:
    if not count:
        return ""
    several = "1 file of it is" if count == 1 else f"{count} files of it are"
    return f"{several} gone from the inbox or cannot be read any more; have the study sent again"


def _digests(files: Sequence[Path]) -> tuple[dict[str, str], int]:
    """The digest of each file by its name, and how many files cannot be read."""
    digests: dict[str, str] = {}
    for path in files:
        try:
            digests[path.stem] = _data_set_digest(path)
        except OSError as error:
            _log.warning("a file of the inbox cannot be read (%s)", error.strerror)
    return digests, len(files) - len(digests)


def _data_set_digest(path: Path) -> str:
    """SHA-256 of a data set; the file meta group is ours and tells who sent it."""
    with path.open("rb") as file:
        try:
            meta_of(file)
        except DamagedFileError:
            file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _arrived_at(files: Sequence[Path]) -> float:
    """Seconds since 1970 at which the last of some files came; 0 if none is there.

    What is made is dated by it: a job that is found again in the inbox, since a ledger was restored
    from an older copy, gives the same bytes again.
    """
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


def _digest_of_all(digests: Mapping[str, str]) -> str:
    """One digest for all instances of a study, in whatever order they came."""
    return hashlib.sha256("\n".join(sorted(digests.values())).encode()).hexdigest()
