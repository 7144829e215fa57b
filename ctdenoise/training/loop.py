"""The training loop, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.errors import UsageError
from ctdenoise.losses.build import LossTerms
from ctdenoise.networks.checkpoint import MODEL_FILE, Checkpoint, save_checkpoint
from ctdenoise.training.batches import PatchBatch
from ctdenoise.training.best import take_note
from ctdenoise.training.figures import LossSums, by_class, row_of
from ctdenoise.training.finiteness import FIX, failure
from ctdenoise.training.job import TrainingJob
from ctdenoise.training.optimizers import learning_rate_at
from ctdenoise.training.prefetch import prepared_ahead
from ctdenoise.training.records import Recorder
from ctdenoise.training.state import Progressed, save_state
from ctdenoise.training.step import training_step
from ctdenoise.training.stopping import stop_at_step_boundary
from ctdenoise.training.validation import Measured

Stopped = Literal["finished", "early", "interrupted"]
"""Why a run ended: all steps done, nothing gained any more, or somebody stopped it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Args:
        progressed: How far it came.
        stopped: Why it ended.
        patches_per_second: Mean speed of the steps of this part of the run; 0 if there was none.
    """

    progressed: Progressed
    stopped: Stopped
    patches_per_second: float


def train(
    job: TrainingJob,
    progressed: Progressed,
    *,
    out: Path,
    recorders: Sequence[Recorder] = (),
    progress: Progress = SILENT,
) -> Outcome:
    """Train until the last step, until nothing is gained, or until Ctrl-C.

    The same job and the same state give the same weights, bit for bit, on the same processor with
    the same number of threads. On a GPU the cross-entropy of labels may add up in another order.

    Args:
        job: Network, data, settings.
        progressed: The state to go on from; network and optimizer are at it.
        out: Folder of the run: `model.safetensors` is the best network by validation, `last/` the
            state to resume from.
        recorders: Who is told the figures.
        progress: Who is told about each step.

    Raises:
        UsageError: If a loss, a gradient or a weight is no longer a finite number; the last state
            is kept, and the batch that caused it is written beside it.
        PeerError: If another process was lost; the last state is kept.
        OutputError: If a file cannot be written; the last state is kept.
    """
    settings, peers = job.settings, job.peers
    sums = LossSums(progressed, job.device, peers)
    first_step, seconds_before = progressed.step, progressed.seconds
    with (
        stop_at_step_boundary(patient=peers.world > 1) as request,
        _torch_randomness_restored(job.device),
        _repeatable_convolutions(),
        prepared_ahead(job.batches, threads=job.data_threads) as batches,
        progress.stage("Training", settings.steps, done=first_step) as advance,
    ):
        if _start_is_judged(job, progressed):
            _measure_and_keep_best(job, progressed, out)
        stopped = _why_stop(job, progressed, interrupted=False)
        while stopped is None:
            started = time.perf_counter()
            sums.add(_step(job, progressed.step, batches))
            progressed.step += 1
            due = _due(progressed.step, job)
            if due.check:
                _require_finite(job, first_step, out)
            losses = sums.means() if due.record else {}
            progressed.seconds += time.perf_counter() - started

            measured = _measure_and_keep_best(job, progressed, out) if due.measure else None
            if due.record:
                row = row_of(job, progressed, losses, measured)
                for recorder in recorders:
                    recorder.record(row)
                    recorder.show(progressed.step, () if measured is None else measured.panels)

            stopped = _why_stop(job, progressed, interrupted=peers.any(request.made))
            if due.save or stopped is not None:
                _require_finite(job, first_step, out)
                sums.store(progressed)
                _save(job, progressed, out)
            advance(note=_note(progressed, settings.validation.metric))
    spent = progressed.seconds - seconds_before
    patches = (progressed.step - first_step) * settings.batch_size
    return Outcome(progressed, stopped, patches / spent if spent > 0 else 0.0)


def _start_is_judged(job: TrainingJob, progressed: Progressed) -> bool:
    """Whether what a run starts from is measured first, and kept if nothing better comes.

    Where nobody knows the truth, nobody would notice that a network was made worse.
    """
    tunes = job.settings.init is not None and job.settings.supervision.name != "pairs"
    return tunes and progressed.step == 0


class _Due(NamedTuple):
    check: bool
    record: bool
    measure: bool
    save: bool


def _due(step: int, job: TrainingJob) -> _Due:
    """What is to be done after a step; `step` counts from 1."""
    settings = job.settings
    last = step >= settings.steps
    measure = last or step % settings.validation.every == 0
    record = measure or step % settings.record_every == 0
    # A look at the guard waits for a GPU, so there it is taken with the figures.
    check = record or job.device.type == "cpu"
    return _Due(check, record, measure, save=last or step % settings.checkpoint_every == 0)


def _step(job: TrainingJob, step: int, batches: Sequence[PatchBatch]) -> LossTerms:
    settings = job.settings
    rate = learning_rate_at(
        step,
        first=settings.optimizer.learning_rate,
        schedule=settings.schedule,
        steps=settings.steps,
    )
    for group in job.optimizer.param_groups:
        group["lr"] = rate
    # Layers that draw (dropout) draw the same on a resumed run, and something else in each process.
    names = (step,) if job.peers.is_first else (step, job.peers.rank)
    torch.manual_seed(draw_seed(stream(job.identity.seed, "step", *names)))
    terms = training_step(
        job.model,
        job.optimizer,
        job.loss,
        batches[step],
        settings=settings,
        precision=job.precision,
        watch=job.guard,
    )
    if job.average is not None:
        job.average.follow(job.network, step=step + 1)
    return terms


def _require_finite(job: TrainingJob, first_step: int, out: Path) -> None:
    """End the run if a step since `first_step` was not finite; the first process says where."""
    if not bool(job.guard.tripped):
        return
    step = first_step + job.guard.good_steps
    error = failure(job, step, out) if job.peers.is_first else _diverged(step + 1)
    job.peers.wait()
    raise error


def _measure_and_keep_best(job: TrainingJob, progressed: Progressed, out: Path) -> Measured:
    """Measure the network; if it is the best so far, it becomes `model.safetensors`."""
    measured = job.validator.measure(job.judged)
    if not math.isfinite(measured.rmse_hu) or not math.isfinite(measured.loss):
        raise _diverged(progressed.step)
    if take_note(progressed, measured, job.settings) and job.peers.is_first:
        save_checkpoint(out / MODEL_FILE, _checkpoint(job, progressed.step, measured))
    return measured


def _save(job: TrainingJob, progressed: Progressed, out: Path) -> None:
    weights = [*job.network.parameters(), *job.judged.parameters()]
    if not all(bool(torch.isfinite(weight).all()) for weight in weights):
        raise _diverged(progressed.step)
    if job.peers.is_first:
        save_state(out, progressed, job.identity, job.network, job.optimizer, job.average)


def _checkpoint(job: TrainingJob, step: int, measured: Measured) -> Checkpoint:
    summary: dict[str, JsonValue] = {
        "step": step,
        "seed": job.identity.seed,
        "data_digest": job.identity.data_digest,
        "arithmetic": job.identity.arithmetic,
        "val_rmse_hu": measured.rmse_hu,
        "val_baseline_rmse_hu": measured.baseline_rmse_hu,
        "val_psnr_db": measured.psnr_db,
        "val_loss": measured.loss,
        "val_dice": measured.dice,
        "val_class_dice": by_class(job.class_names, measured.class_dice),
        "metric": job.settings.validation.metric,
        "ema": None if job.settings.ema is None else job.settings.ema.as_json(),
        "labels": job.settings.data.labels,
        "class_names": list(job.class_names),
        "frozen": job.learning.frozen,
        "trained_on": job.trained_on,
        "trained_patients": None if job.patients is None else list(job.patients),
        "judging_patients": list(job.judges),
    }
    return Checkpoint(
        network=job.settings.network,
        weights=job.judged.state_dict(),
        hu_range=job.hu_range,
        training=summary,
    )


def _why_stop(job: TrainingJob, progressed: Progressed, *, interrupted: bool) -> Stopped | None:
    stopping = job.settings.early_stopping
    if progressed.step >= job.settings.steps:
        return "finished"
    if stopping is not None and progressed.checks_without_gain >= stopping.patience:
        return "early"
    return "interrupted" if interrupted else None


def _note(progressed: Progressed, metric: str) -> str:
    best = progressed.best
    if best is None:
        return ""
    deciding = "" if metric == "rmse_hu" else f", {metric} {best.value:.4g}"
    return f"best {best.rmse_hu:.1f} HU, low dose {best.baseline_rmse_hu:.1f} HU{deciding}"


def _diverged(step: int) -> UsageError:
    return UsageError(
        f"the training diverged before step {step} was done: a figure is no finite number.",
        where="optimizer.learning_rate",
        fix=FIX,
    )


@contextmanager
def _torch_randomness_restored(device: torch.device) -> Iterator[None]:
    """Leave torch's global random state as it was: training seeds it before every step."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def _repeatable_convolutions() -> Iterator[None]:
    """On a GPU, float32 means float32 and convolutions add up in a fixed order."""
    with torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled, deterministic=True, allow_tf32=False
    ):
        yield
