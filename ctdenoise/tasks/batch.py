"""`batch`: many studies, one job each; stopped at any moment, it goes on where it was."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ctdenoise.config.load import write_settings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.errors import OutputExistsError, StudyError, UsageError
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.staging import PARTIAL_MARK
from ctdenoise.jobs.executors import build_executor
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import ENDED, State
from ctdenoise.jobs.work import Executor
from ctdenoise.tasks.batch_dispatch import STUDIES_FOLDER, TOGETHER, BatchRequest, Dispatch
from ctdenoise.tasks.batch_sources import BatchStudy, studies_of
from ctdenoise.tasks.batch_study import done_before, files_digest
from ctdenoise.tasks.batch_summary import Row, write_tables

_LOCK_FILE = "lock"

_DIFFERS = {
    "kind": "another command",
    "version": "another version of ctdenoise",
    "settings": "other settings",
    "model": "another model",
    "format": "another --format",
    "seed": "another --seed",
}


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What came of many studies.

    Args:
        out: The folder above theirs.
        made: Studies that were made now.
        kept: Studies that an earlier run had made.
        failed: Those that were not made, or not whole, in the order of the list; not all of them
            if there are very many.
        failures: How many there are.
        seconds: How long it took.
    """

    out: Path
    made: int
    kept: int
    failed: tuple[Row, ...]
    failures: int
    seconds: float

    @property
    def per_hour(self) -> float:
        """Studies made in an hour."""
        return 3600 * self.made / self.seconds if self.seconds > 0 else 0.0


def run(request: BatchRequest, *, progress: Progress = SILENT) -> BatchReport:
    """Work through many studies; each has a folder of its own, whole or not at all.

    A study that fails does not stop the others. The same request again goes on where it was
    stopped: what is done and unchanged is kept, what failed is tried again.

    Args:
        request: What is asked for.
        progress: Told about every study.

    Raises:
        UsageError: If no study is named, or another batch works in `out` at the same time.
        OutputExistsError: If `out` holds something else, or what was made for another request.
        LedgerError: If the ledger in `out` is damaged.
        PeerError: If a cluster cannot be reached, or is lost.
    """
    begun = time.perf_counter()
    with _alone(request.out), closing(Ledger.open(request.out)) as ledger:
        _require_same(ledger, request)
        ledger.interrupted()
        write_settings(request.out, request.settings)
        _enlist(ledger, request)
        before = ledger.counts()
        made, kept = 0, before["done"]
        try:
            if before["ready"]:
                made = _all_done(ledger, request, progress)
        finally:
            ledger.interrupted()
            _sweep(request.out)
            tables = write_tables(request.out, ledger)
            seconds = time.perf_counter() - begun
            _write_run(request, ledger.counts(), seconds)
            ledger.backup()
    return BatchReport(request.out, made, kept, tables.failed, tables.failures, seconds)


def _all_done(ledger: Ledger, request: BatchRequest, progress: Progress) -> int:
    """Have every study done that waits; returns how many were made."""
    counts = ledger.counts()
    total, done = sum(counts.values()), sum(counts[state] for state in ENDED)
    with (
        closing(_executor(request)) as executor,
        progress.stage("Studies", total, done=done) as advance,
    ):
        dispatch = Dispatch(ledger, request, executor, advance)
        dispatch.work()
        return dispatch.pace.made


def _write_run(request: BatchRequest, counts: Mapping[State, int], seconds: float) -> None:
    run = Run(
        f"batch {request.kind}",
        {"command": request.settings.as_json(), "batch": request.batch.as_json()},
        seed=request.seed,
        inputs={"studies": sum(counts.values()), "model_digest": request.model_digest},
        results={str(state): count for state, count in counts.items()},
        timings_s={"total": seconds},
    )
    write_run(request.out, run)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Make the folder, and keep others from working in it at the same time."""
    ours = (out / "ledger.sqlite").exists() or (out / _LOCK_FILE).exists()
    if out.exists() and not ours and (not out.is_dir() or any(out.iterdir())):
        raise OutputExistsError(
            "the output folder exists already, and no batch made it.",
            where=out,
            fix="Give another --out; nothing is ever overwritten.",
        )
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (out / _LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "another batch works in this folder just now.",
                where=out,
                fix="Wait until it has ended, or give another --out.",
            ) from error
        yield


def _require_same(ledger: Ledger, request: BatchRequest) -> None:
    """Refuse to mix results of different requests in one folder."""
    now = request.facts()
    before = ledger.noted("request")
    if before is None:
        ledger.note("request", now)
        ledger.note("salt", secrets.token_hex(16))
        return
    known = before if isinstance(before, Mapping) else {}
    other = [words for name, words in _DIFFERS.items() if known.get(name) != now[name]]
    if other:
        raise OutputExistsError(
            f"this folder was made with {' and '.join(other)}.",
            where=request.out,
            fix="Give another --out, or what it was made with.",
        )


def _enlist(ledger: Ledger, request: BatchRequest) -> None:
    """Put every study that is not known yet into the ledger, and look at those that are."""
    salt = str(ledger.noted("salt"))
    number = sum(ledger.counts().values())
    studies = studies_of(request.sources, compared=request.compared)
    while some := tuple(islice(studies, TOGETHER)):
        keyed: dict[str, BatchStudy] = {}
        for study in some:
            # The name of a folder must not tell a path, even to somebody who guesses it. What is
            # named twice is one study: the ledger does not tell yet what is changed together.
            keyed.setdefault(digest([salt, *map(str, study.paths)]), study)
        with ledger.together():
            for key, study in keyed.items():
                if ledger.knows(key):
                    _look_at(ledger, request, ledger.job(key))
                else:
                    number += ledger.add(_new_job(request, study, key, number + 1))


def _new_job(request: BatchRequest, study: BatchStudy, key: str, number: int) -> Job:
    payload: dict[str, JsonValue] = {
        "number": number,
        "folder": f"{number:06d}-{key[:8]}",
        "paths": [str(path) for path in study.paths],
        "name": study.name,
    }
    return Job(key, request.kind, key, payload, created=float(int(time.time())))


def _look_at(ledger: Ledger, request: BatchRequest, job: Job) -> None:
    """Lead a study back that is known and needs work again."""
    if job.state in ("refused", "dead-letter"):
        ledger.retry(job.id, reason="run again")
    elif job.state == "done":
        try:
            files = files_digest(request.paths(job))
        except (StudyError, OSError):
            return  # what was made of it stays, though it is gone
        if done_before(request.folder(job), digest(request.facts()), files) is None:
            ledger.retry(job.id, reason="its files were changed, or its result was removed")


def _executor(request: BatchRequest) -> Executor:
    return build_executor(
        request.batch.executor, prepare=request.prepare, gpus=request.gpus, shared=request.out
    )


def _sweep(out: Path) -> None:
    """Remove what killed workers left half-made; nobody works here any more."""
    for left in (out / STUDIES_FOLDER).glob(f"{PARTIAL_MARK}*"):
        shutil.rmtree(left, ignore_errors=True)
