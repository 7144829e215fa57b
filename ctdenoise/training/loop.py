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
from torch import Tensor

from ctdenoise.config.training import TrainSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.errors import UsageError
from ctdenoise.losses.build import LossTerms
from ctdenoise.networks.checkpoint import MODEL_FILE, Checkpoint, save_checkpoint
from ctdenoise.training.job import TrainingJob
from ctdenoise.training.optimizers import learning_rate_at
from ctdenoise.training.records import TIMINGS, Recorder
from ctdenoise.training.state import Best, Progressed, save_state
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
        UsageError: If the loss or a weight is no longer a finite number; the last state is kept.
        OutputError: If a file cannot be written; the last state is kept.
    """
    settings = job.settings
    stopped = _why_stop(job, progressed, interrupted=False)
    sums = _Sums(progressed, job.device)
    first_step, seconds_before = progressed.step, progressed.seconds
    with (
        stop_at_step_boundary() as request,
        _torch_randomness_restored(job.device),
        _repeatable_convolutions(),
        progress.stage("Training", settings.steps, done=first_step) as advance,
    ):
        while stopped is None:
            started = time.perf_counter()
            terms = _step(job, progressed.step)
            sums.add(terms)
            progressed.step += 1
            due = _due(progressed.step, settings)
            losses = sums.means(progressed.step) if due.record else {}
            progressed.seconds += time.perf_counter() - started

            measured = _measure_and_keep_best(job, progressed, out) if due.measure else None
            if due.record:
                row = _row(job, progressed, losses, measured)
                for recorder in recorders:
                    recorder.record(row)

            stopped = _why_stop(job, progressed, interrupted=request.made)
            if due.save or stopped is not None:
                sums.store(progressed)
                _require_finite_weights(job, progressed.step)
                save_state(out, progressed, job.identity, job.network, job.optimizer)
            advance(note=_note(progressed))
    spent = progressed.seconds - seconds_before
    patches = (progressed.step - first_step) * settings.batch_size
    return Outcome(progressed, stopped, patches / spent if spent > 0 else 0.0)


def columns(settings: TrainSettings) -> tuple[str, ...]:
    """The columns of the table that `train` records, "step" first."""
    terms = [f"loss_{term.name}" for term in settings.loss.terms]
    measured = ["val_rmse_hu", "val_baseline_rmse_hu"]
    if settings.loss.needs_labels:
        measured.append("val_dice")
    return ("step", "learning_rate", "loss", *terms, *measured, *TIMINGS)


class _Due(NamedTuple):
    record: bool
    measure: bool
    save: bool


def _due(step: int, settings: TrainSettings) -> _Due:
    """What is to be done after a step; `step` counts from 1."""
    last = step >= settings.steps
    measure = last or step % settings.validation.every == 0
    record = measure or step % settings.record_every == 0
    return _Due(record, measure, save=last or step % settings.checkpoint_every == 0)


def _step(job: TrainingJob, step: int) -> LossTerms:
    settings = job.settings
    for group in job.optimizer.param_groups:
        group["lr"] = _learning_rate(settings, step)
    # Layers that draw (dropout) draw the same on a resumed run.
    torch.manual_seed(draw_seed(stream(job.identity.seed, "step", step)))
    return training_step(
        job.network,
        job.optimizer,
        job.loss,
        job.batches[step],
        precision=job.precision,
        clip_norm=settings.clip_norm,
    )


def _learning_rate(settings: TrainSettings, step: int) -> float:
    return learning_rate_at(
        step,
        first=settings.optimizer.learning_rate,
        schedule=settings.schedule,
        steps=settings.steps,
    )


class _Sums:
    """Sums of the losses since the last recorded line, kept on the device: no waiting for it."""

    def __init__(self, progressed: Progressed, device: torch.device) -> None:
        self._device = device
        self._steps = progressed.summed
        self._sums = {name: self._double(value) for name, value in progressed.sums.items()}

    def add(self, terms: LossTerms) -> None:
        named = {"loss": terms.total, **{f"loss_{k}": v for k, v in terms.terms.items()}}
        for name, value in named.items():
            self._sums[name] = self._sums.get(name, self._double(0.0)) + value.double()
        self._steps += 1

    def means(self, step: int) -> dict[str, float]:
        """Mean of each loss, and a new start."""
        means = {name: float(value) / self._steps for name, value in self._sums.items()}
        if not all(math.isfinite(mean) for mean in means.values()):
            raise _diverged(step)
        self._sums, self._steps = {}, 0
        return means

    def store(self, progressed: Progressed) -> None:
        """Put the sums into the state to be saved."""
        progressed.sums = {name: float(value) for name, value in self._sums.items()}
        progressed.summed = self._steps
        if not all(math.isfinite(value) for value in progressed.sums.values()):
            raise _diverged(progressed.step)

    def _double(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self._device)


def _measure_and_keep_best(job: TrainingJob, progressed: Progressed, out: Path) -> Measured:
    """Measure the network; if it is the best so far, it becomes `model.safetensors`."""
    measured = job.validator.measure(job.network)
    if not math.isfinite(measured.rmse_hu):
        raise _diverged(progressed.step)
    best, stopping = progressed.best, job.settings.early_stopping
    gain_hu = math.inf if best is None else best.rmse_hu - measured.rmse_hu
    # Every gain makes a new best network; only one that is large enough resets the patience.
    enough = gain_hu > (0.0 if stopping is None else stopping.least_gain_hu)
    progressed.checks_without_gain = 0 if enough else progressed.checks_without_gain + 1
    if gain_hu > 0:
        progressed.best = Best(progressed.step, measured.rmse_hu, measured.baseline_rmse_hu)
        save_checkpoint(out / MODEL_FILE, _checkpoint(job, progressed.step, measured))
    return measured


def _checkpoint(job: TrainingJob, step: int, measured: Measured) -> Checkpoint:
    summary: dict[str, JsonValue] = {
        "step": step,
        "seed": job.identity.seed,
        "data_digest": job.identity.data_digest,
        "arithmetic": job.identity.arithmetic,
        "val_rmse_hu": measured.rmse_hu,
        "val_baseline_rmse_hu": measured.baseline_rmse_hu,
        "val_dice": measured.dice,
        "labels": job.settings.data.labels,
        "trained_on": job.trained_on,
    }
    return Checkpoint(
        network=job.settings.network,
        weights=job.network.state_dict(),
        hu_range=job.hu_range,
        training=summary,
    )


def _row(
    job: TrainingJob,
    progressed: Progressed,
    losses: dict[str, float],
    measured: Measured | None,
) -> dict[str, float | int | None]:
    patches = progressed.step * job.settings.batch_size
    row: dict[str, float | int | None] = {
        "step": progressed.step,
        "learning_rate": _learning_rate(job.settings, progressed.step - 1),
        **losses,
        "patches_per_second": round(patches / max(progressed.seconds, 1e-9), 2),
        "seconds": round(progressed.seconds, 3),
    }
    if measured is not None:
        row["val_rmse_hu"] = measured.rmse_hu
        row["val_baseline_rmse_hu"] = measured.baseline_rmse_hu
        if job.settings.loss.needs_labels:
            row["val_dice"] = measured.dice
    return row


def _why_stop(job: TrainingJob, progressed: Progressed, *, interrupted: bool) -> Stopped | None:
    stopping = job.settings.early_stopping
    if progressed.step >= job.settings.steps:
        return "finished"
    if stopping is not None and progressed.checks_without_gain >= stopping.patience:
        return "early"
    return "interrupted" if interrupted else None


def _note(progressed: Progressed) -> str:
    best = progressed.best
    if best is None:
        return ""
    return f"best {best.rmse_hu:.1f} HU, low dose {best.baseline_rmse_hu:.1f} HU"


def _require_finite_weights(job: TrainingJob, step: int) -> None:
    if not all(bool(torch.isfinite(weight).all()) for weight in job.network.parameters()):
        raise _diverged(step)


def _diverged(step: int) -> UsageError:
    return UsageError(
        f"the training diverged before step {step}: the loss is no longer a finite number.",
        where="optimizer.learning_rate",
        fix="Start again in a new folder with a smaller learning rate, a warm-up "
        "(schedule.warmup_steps) or clip_norm.",
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
