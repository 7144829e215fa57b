"""Train a network on pairs, or on plain scans."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctdenoise.config.load import load_settings, write_settings
from ctdenoise.config.supervision import needs_pairs
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import CheckpointError, UsageError, listed
from ctdenoise.io.pairs import find_pairs
from ctdenoise.io.runfile import RUN_FILE, Run, write_run
from ctdenoise.io.staged_scan import stage_scans
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.networks.checkpoint import MODEL_FILE
from ctdenoise.tasks.train_readme import README_FILE, write_readme
from ctdenoise.training.distributed import peers_of_this_process
from ctdenoise.training.figures import by_class, columns
from ctdenoise.training.job import TrainingJob, device_name, prepare_job
from ctdenoise.training.judged import what_judges
from ctdenoise.training.loop import Outcome, Stopped, train
from ctdenoise.training.patches import BatchTransform
from ctdenoise.training.records import MetricsTable, TensorBoardEvents
from ctdenoise.training.split import TrainingScan
from ctdenoise.training.state import (
    Progressed,
    RunIdentity,
    has_state,
    read_progress,
    restore_state,
    save_state,
)
from ctdenoise.training.step import has_gpu
from ctdenoise.training.threads import arithmetic_threads

_log = logging.getLogger(__name__)

SETTINGS_FILE = "settings.yaml"

LEAST_CHANGE = 0.999
"""A validation RMSE above this share of the low-dose images' own is no improvement."""

MAY_CHANGE = frozenset(
    {
        "steps",
        "optimizer.learning_rate",
        "clip_norm",
        "precision",
        "threads",
        "data.keep_on",
        "data.threads",
        "peer_timeout_s",
    }
)
"""Settings that a resumed run may change: to go on longer, or after it diverged."""

UNTOLD = frozenset({"threads", "data.keep_on", "data.threads", "peer_timeout_s"})
"""Those of them that do not enter the result's history: the record of the machine has them."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """How a training run ended.

    Args:
        out: Its folder.
        steps: Steps done, over all parts of the run.
        best_step: After which step the kept network was saved; None if none was measured yet.
        val_rmse_hu: Validation RMSE of the kept network, HU; None as above.
        baseline_rmse_hu: RMSE of the low-dose images on the same slices, HU; None as above.
        seconds: Wall-clock time of this part of the run.
        patches_per_second: Mean speed of the training steps of this part.
        stopped: "finished", "early" (nothing gained any more) or "interrupted" (resume it).
        model: The kept network, if there is one yet.
        judged_by: What the two figures compare with, for people.
        rank: Number of this process, from 0; only the first one has anything to tell.
        learning: What is frozen and how many parameters learn, for people; empty where all do.
        dice: Mean Dice of the classes of the kept network; None without labels.
        class_dice: Dice of each class of the kept network by name; None for a class that no
            validation slice shows. Empty without labels.
    """

    out: Path
    steps: int
    best_step: int | None
    val_rmse_hu: float | None
    baseline_rmse_hu: float | None
    seconds: float
    patches_per_second: float
    stopped: Stopped
    model: Path | None
    judged_by: str
    rank: int = 0
    learning: str = ""
    dice: float | None = None
    class_dice: Mapping[str, JsonValue] = field(default_factory=dict)


def run(
    folders: Sequence[Path],
    settings: TrainSettings,
    *,
    out: Path,
    resume: bool = False,
    seed: int = 0,
    transforms: Sequence[BatchTransform] = (),
    progress: Progress = SILENT,
) -> TrainReport:
    """Train a network on every pair, or every readable scan, at or below some folders.

    Started by `torchrun`, the processes train together: each calls this with the same arguments,
    and the first one writes. Ctrl-C or SIGTERM ends the run after the present step, ready to be
    resumed; a killed run can be resumed from its last saved state.

    Args:
        folders: Folders with pairs; with studies, where `settings.supervision` needs no pairs.
        settings: Network, loss, data, how and how long.
        out: Folder for `model.safetensors`, `last/`, `metrics.csv`, TensorBoard events,
            `settings.yaml`, `run.json` and a `README.md` that explains them.
        resume: Go on with the run in `out`; the result is the same as without the stop.
        seed: Same data, settings and seed: same network.
        transforms: What further is done to the patches of a batch, from Python only; a resumed run
            must be given the same.
        progress: Who is told.

    Raises:
        UsageError: If settings do not fit, `out` is taken, or a resumed run was made with others.
        InputError: If pairs, scans or checkpoints cannot be used.
        OutputError: If something cannot be written.
        PeerError: If another process was lost.
    """
    started = time.perf_counter()
    changes = _changes(settings, out) if resume else []
    uses_cuda = settings.device != "cpu" and has_gpu()
    with (
        peers_of_this_process(timeout_s=settings.peer_timeout_s, cuda=uses_cuda) as peers,
        arithmetic_threads(settings.threads, peers) as threads,
    ):
        if not resume and peers.is_first:
            require_free_folder(out)
        scans = _scans(folders, settings, progress if peers.is_first else SILENT)
        job = prepare_job(scans, settings, seed=seed, peers=peers, transforms=transforms)
        progressed = _resumed(job, out, changes) if resume else Progressed()
        # Nobody writes before everybody has read.
        peers.wait()
        if peers.is_first:
            _open_folder(job, progressed, out, resume=resume)
        outcome = _train(job, progressed, out, progress)
        if peers.is_first:
            _warn_if_useless(outcome, job)
            _write_run(out, job, outcome, time.perf_counter() - started, threads=threads)
        peers.wait()
    return _report(out, outcome, time.perf_counter() - started, job)


def _scans(
    folders: Sequence[Path], settings: TrainSettings, progress: Progress
) -> tuple[TrainingScan, ...]:
    """What is learnt from."""
    if needs_pairs(settings.supervision):
        return find_pairs(folders)
    return stage_scans(folders, progress)


def _open_folder(job: TrainingJob, progressed: Progressed, out: Path, *, resume: bool) -> None:
    """Make the folder of the run, or bring its settings up to date.

    It appears with a state in it, so a run that is killed at once can be resumed.
    """
    if resume:
        with _replacing(out) as stage:
            write_settings(stage, job.settings).replace(out / SETTINGS_FILE)
            write_readme(stage, job).replace(out / README_FILE)
        return
    with staged_folder(out) as stage:
        write_settings(stage, job.settings)
        write_readme(stage, job)
        save_state(stage, progressed, job.identity, job.network, job.optimizer, job.average)


def _train(job: TrainingJob, progressed: Progressed, out: Path, progress: Progress) -> Outcome:
    """Train; the first process keeps the figures and shows the progress."""
    if not job.peers.is_first:
        return train(job, progressed, out=out)
    with ExitStack() as records:
        table = MetricsTable(out, columns(job.settings, job.class_names), after=progressed.step)
        events = TensorBoardEvents(out, after=progressed.step)
        records.callback(events.close)
        return train(job, progressed, out=out, recorders=(table, events), progress=progress)


def _warn_if_useless(outcome: Outcome, job: TrainingJob) -> None:
    best = outcome.progressed.best
    learns = job.learning.frozen != "trunk"
    if best is not None and best.step == 0:
        _log.warning(
            "The network that this run started from is kept: on the held-out slices, nothing that "
            "was learnt here is better. Train longer, with more slices or a smaller "
            "optimizer.learning_rate."
        )
    elif learns and best is not None and best.rmse_hu > LEAST_CHANGE * best.baseline_rmse_hu:
        _log.warning(
            "The network is no better than doing nothing (%.2f HU). Train longer, or with a "
            "smaller optimizer.learning_rate and a longer schedule.warmup_steps.",
            best.baseline_rmse_hu,
        )


def _changes(settings: TrainSettings, out: Path) -> list[str]:
    """What a resumed run changes, for its record; refuses what it must not change."""
    if not has_state(out):
        raise CheckpointError(
            "there is no run here to resume.",
            where=out,
            fix="Give the output folder of a stopped run, or leave --resume out to start one.",
        )
    before = load_settings(TrainSettings, out / SETTINGS_FILE)
    old, new = _flat(before.as_json()), _flat(settings.as_json())
    changed = {
        key: f"{key} was {old.get(key)!r} and is {new.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }
    refused = [text for key, text in changed.items() if key not in MAY_CHANGE]
    if refused:
        raise UsageError(
            f"a resumed run keeps its settings, but:\n{listed(refused)}",
            where=out,
            fix=f"Resume with --config {out / SETTINGS_FILE}, or start anew in another --out.",
        )
    return [text for key, text in changed.items() if key not in UNTOLD]


def _resumed(job: TrainingJob, out: Path, changes: Sequence[str]) -> Progressed:
    _, before = read_progress(out)
    if before.arithmetic != job.identity.arithmetic:
        _log.warning(
            "Computed on %s before and on %s now: the result will not be the same bit for bit.",
            before.arithmetic,
            job.identity.arithmetic,
        )
    problems = _differences(before, job.identity)
    if problems:
        raise UsageError(
            f"this run cannot go on with what was given:\n{listed(problems)}",
            where=out,
            fix="Give the seed and the data that the run was started with.",
        )
    progressed = restore_state(out, job.network, job.optimizer, job.average)
    progressed.changes += [f"after step {progressed.step}: {change}" for change in changes]
    if progressed.best is not None and not (out / MODEL_FILE).is_file():
        raise CheckpointError(
            f"{MODEL_FILE} is missing, the best network so far.",
            where=out,
            fix="Put it back, or start anew in another --out.",
        )
    return progressed


def _differences(before: RunIdentity, now: RunIdentity) -> list[str]:
    problems = []
    if before.seed != now.seed:
        problems.append(f"the seed was {before.seed} and is {now.seed}")
    if before.data_digest != now.data_digest:
        problems.append("the pairs or scans are others, or in another order")
    return problems


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _write_run(
    out: Path, job: TrainingJob, outcome: Outcome, seconds: float, *, threads: int
) -> None:
    best = outcome.progressed.best
    record = Run(
        command="train",
        settings=job.settings.as_json(),
        seed=job.identity.seed,
        device=device_name(job.device),
        inputs={"data_digest": job.identity.data_digest, **job.trained_on},
        results={
            "steps": outcome.progressed.step,
            "stopped": outcome.stopped,
            "changes": list(outcome.progressed.changes),
            "precision": job.precision,
            "processes": job.peers.world,
            "threads": threads,
            "started_from": len(job.start.taken),
            "started_widened_from": job.start.widened_from,
            "started_fresh": list(job.start.fresh) if job.settings.init else [],
            "judged_by": what_judges(job.settings.supervision),
            "best_step": None if best is None else best.step,
            "val_rmse_hu": None if best is None else best.rmse_hu,
            "val_baseline_rmse_hu": None if best is None else best.baseline_rmse_hu,
            "val_dice": None if best is None else best.dice,
            "val_class_dice": {} if best is None else by_class(job.class_names, best.class_dice),
            "frozen": job.learning.frozen,
            "parameters": job.learning.parameters,
            "parameters_learning": job.learning.learning,
            "patches_per_second": round(outcome.patches_per_second, 2),
        },
        timings_s={"steps": outcome.progressed.seconds, "this_part": seconds},
    )
    with _replacing(out) as stage:
        write_run(stage, record).replace(out / RUN_FILE)


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A folder on the same disk, to write a file in that then replaces one in `out`."""
    with tempfile.TemporaryDirectory(prefix=".ctdenoise-partial-", dir=out) as stage:
        yield Path(stage)


def _report(out: Path, outcome: Outcome, seconds: float, job: TrainingJob) -> TrainReport:
    best = outcome.progressed.best
    model = out / MODEL_FILE
    return TrainReport(
        out=out,
        steps=outcome.progressed.step,
        best_step=None if best is None else best.step,
        val_rmse_hu=None if best is None else best.rmse_hu,
        baseline_rmse_hu=None if best is None else best.baseline_rmse_hu,
        seconds=seconds,
        patches_per_second=outcome.patches_per_second,
        stopped=outcome.stopped,
        model=model if model.is_file() else None,
        judged_by=what_judges(job.settings.supervision),
        rank=job.peers.rank,
        learning=job.learning.text,
        dice=None if best is None else best.dice,
        class_dice={} if best is None else by_class(job.class_names, best.class_dice),
    )
