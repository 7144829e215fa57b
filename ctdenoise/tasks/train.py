"""Train a network on pairs."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctdenoise.config.load import load_settings, write_settings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import CheckpointError, UsageError, listed
from ctdenoise.io.pairs import find_pairs
from ctdenoise.io.runfile import RUN_FILE, Run, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.networks.checkpoint import MODEL_FILE
from ctdenoise.training.job import TrainingJob, device_name, prepare_job
from ctdenoise.training.loop import Outcome, Stopped, columns, train
from ctdenoise.training.records import MetricsTable, TensorBoardEvents
from ctdenoise.training.state import (
    Progressed,
    RunIdentity,
    has_state,
    read_progress,
    restore_state,
    save_state,
)

_log = logging.getLogger(__name__)

SETTINGS_FILE = "settings.yaml"

LEAST_CHANGE = 0.999
"""A validation RMSE above this share of the low-dose images' own is no improvement."""

MAY_CHANGE = frozenset({"steps"})
"""Settings that a resumed run may change."""


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


def run(
    pairs: Sequence[Path],
    settings: TrainSettings,
    *,
    out: Path,
    resume: bool = False,
    seed: int = 0,
    progress: Progress = SILENT,
) -> TrainReport:
    """Train a network on every pair at or below some folders.

    Ctrl-C or SIGTERM ends the run after the present step, ready to be resumed; a killed run can be
    resumed from its last saved state.

    Args:
        pairs: Folders with pairs.
        settings: Network, loss, data, how and how long.
        out: Folder for `model.safetensors`, `last/`, `metrics.csv`, TensorBoard events,
            `settings.yaml` and `run.json`.
        resume: Go on with the run in `out`; the result is the same as without the stop.
        seed: Same pairs, settings and seed: same network.
        progress: Who is told.

    Raises:
        UsageError: If settings do not fit, `out` is taken, or a resumed run was made with others.
        InputError: If pairs or checkpoints cannot be used.
        OutputError: If something cannot be written.
    """
    started = time.perf_counter()
    if resume:
        settings = _same_settings(settings, out)
    else:
        require_free_folder(out)
    job = prepare_job(find_pairs(pairs), settings, seed=seed)
    if resume:
        progressed = _resumed(job, out)
    else:
        progressed = Progressed()
        # The folder appears with a state in it, so a run that is killed at once can be resumed.
        with staged_folder(out) as stage:
            write_settings(stage, settings)
            save_state(stage, progressed, job.identity, job.network, job.optimizer)
    with ExitStack() as records:
        table = MetricsTable(out, columns(settings), after=progressed.step)
        events = TensorBoardEvents(out, after=progressed.step)
        records.callback(events.close)
        outcome = train(job, progressed, out=out, recorders=(table, events), progress=progress)
    best = outcome.progressed.best
    if best is not None and best.rmse_hu > LEAST_CHANGE * best.baseline_rmse_hu:
        _log.warning(
            "The network is no better than doing nothing (%.2f HU). Train longer, or with a "
            "smaller optimizer.learning_rate and a longer schedule.warmup_steps.",
            best.baseline_rmse_hu,
        )
    seconds = time.perf_counter() - started
    _write_run(out, job, outcome, seconds)
    return _report(out, outcome, seconds)


def _same_settings(settings: TrainSettings, out: Path) -> TrainSettings:
    """The settings of a run to resume: those of the folder, with as many steps as now asked for."""
    if not has_state(out):
        raise CheckpointError(
            "there is no run here to resume.",
            where=out,
            fix="Give the output folder of a stopped run, or leave --resume out to start one.",
        )
    before = load_settings(TrainSettings, out / SETTINGS_FILE)
    old, new = _flat(before.as_json()), _flat(settings.as_json())
    changed = [
        f"{key} was {old.get(key)!r} and is {new.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in MAY_CHANGE
    ]
    if changed:
        raise UsageError(
            f"a resumed run keeps its settings, but:\n{listed(changed)}",
            where=out,
            fix=f"Resume with --config {out / SETTINGS_FILE}, or start anew in another --out.",
        )
    return settings


def _resumed(job: TrainingJob, out: Path) -> Progressed:
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
            fix="Give the seed and the pairs that the run was started with.",
        )
    progressed = restore_state(out, job.network, job.optimizer)
    if progressed.best is not None and not (out / MODEL_FILE).is_file():
        raise CheckpointError(
            f"{MODEL_FILE} is missing, the best network so far.",
            where=out,
            fix="Put it back, or start anew in another --out.",
        )
    with _replacing(out) as stage:
        write_settings(stage, job.settings).replace(out / SETTINGS_FILE)
    return progressed


def _differences(before: RunIdentity, now: RunIdentity) -> list[str]:
    problems = []
    if before.seed != now.seed:
        problems.append(f"the seed was {before.seed} and is {now.seed}")
    if before.data_digest != now.data_digest:
        problems.append("the pairs are others, or in another order")
    return problems


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _write_run(out: Path, job: TrainingJob, outcome: Outcome, seconds: float) -> None:
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
            "precision": job.precision,
            "best_step": None if best is None else best.step,
            "val_rmse_hu": None if best is None else best.rmse_hu,
            "val_baseline_rmse_hu": None if best is None else best.baseline_rmse_hu,
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


def _report(out: Path, outcome: Outcome, seconds: float) -> TrainReport:
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
    )
