"""When a loss or a gradient is no finite number: no weight is spoilt, and the patch is named.

The guard looks at every step on the device, without waiting for it. From the first bad step on,
the optimizer leaves the weights alone, so the step can be looked at again with the weights it had:
batches depend on the seed and the step only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save as bytes_from_tensors
from torch import Tensor

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import UsageError
from ctdenoise.io.staging import staged_file
from ctdenoise.training.distributed import ALONE, Peers
from ctdenoise.training.shares import piece_of
from ctdenoise.training.step import gradient_norm, losses_of

if TYPE_CHECKING:
    from ctdenoise.training.batches import PatchBatch
    from ctdenoise.training.job import TrainingJob
    from ctdenoise.training.plans import BatchPlan

FIX = (
    "Go on from the last saved state with --resume and a smaller optimizer.learning_rate, a "
    "clip_norm, or precision=float32."
)


class Guard:
    """Looks for losses and gradients that are no finite numbers.

    Args:
        device: Where they are.
        peers: Processes that stop together.
    """

    def __init__(self, device: torch.device, peers: Peers = ALONE) -> None:
        self.tripped = torch.zeros((), device=device)
        self._good = torch.zeros((), device=device)
        self._peers = peers

    def look(self, *values: Tensor) -> None:
        """Look at the loss and the gradient of one step; every process must do so.

        Args:
            values: Scalars on the device.
        """
        finite = torch.stack([torch.isfinite(value.detach()) for value in values]).all()
        self._peers.summed(self.tripped.add_(1.0 - finite.float())).clamp_(max=1.0)
        self._good += 1.0 - self.tripped

    @property
    def good_steps(self) -> int:
        """Steps before the first bad one."""
        return int(self._good)

    def protect(self, optimizer: torch.optim.Optimizer) -> None:
        """Let a fused optimizer skip every step once the guard has tripped.

        `found_inf` is how torch.amp.GradScaler tells it so.
        """
        optimizer.found_inf = self.tripped  # type: ignore[attr-defined]  # read if it is there


@dataclass(frozen=True, slots=True)
class Finding:
    """What was not finite in one step.

    Args:
        what: Names of the terms of the loss, or "the gradient".
        patches: Numbers of the patches in the batch that show it by themselves.
    """

    what: tuple[str, ...]
    patches: tuple[int, ...]


def failure(job: TrainingJob, step: int, out: Path) -> UsageError:
    """The error for a step that was not finite; writes its batch beside the other files.

    Args:
        job: At the weights before the step.
        step: Which step, from 0.
        out: Folder of the run.
    """
    batch = job.whole_batch(step)
    plan = job.plans[step]
    finding = _finding(job, batch)
    path = _write(out, job, step, batch, plan, finding)
    count = len(batch.low)
    where = "all of them" if len(finding.patches) == count else _place(job, plan, finding.patches)
    return UsageError(
        f"the training diverged in step {step + 1}: {' and '.join(finding.what)} is no finite "
        f"number for {len(finding.patches) or 'no single one'} of {count} patches ({where}). "
        f"The batch is in {path.name}; the weights were not changed by it.",
        where=out,
        fix=FIX,
    )


def _finding(job: TrainingJob, batch: PatchBatch) -> Finding:
    """Each patch by itself; the whole batch where none shows it by itself."""
    count = len(batch.low)
    found = [_not_finite(job, piece_of(batch, number, count)) for number in range(count)]
    patches = tuple(number for number, names in enumerate(found) if names)
    names = dict.fromkeys(name for names in found for name in names)
    return Finding(tuple(names or _not_finite(job, batch) or ["the loss"]), patches)


def _not_finite(job: TrainingJob, batch: PatchBatch) -> list[str]:
    """Names of what is not finite for a batch, by itself."""
    job.network.zero_grad(set_to_none=True)
    terms = losses_of(job.network, job.loss, batch, precision=job.precision)
    named = {f"the loss {name}": value for name, value in terms.terms.items()}
    names = [name for name, value in named.items() if not bool(torch.isfinite(value))]
    if not names and not bool(torch.isfinite(terms.total)):
        return ["the loss"]
    if not names:
        terms.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        names = [] if bool(torch.isfinite(gradient_norm(job.network))) else ["the gradient"]
    job.network.zero_grad(set_to_none=True)
    return names


def _place(job: TrainingJob, plan: BatchPlan, patches: Sequence[int]) -> str:
    """Pair, slice and position of the first of some patches, for people."""
    if not patches:
        return "only together"
    first = patches[0]
    part = job.parts[int(plan.source[first])]
    size = job.settings.patches.size
    return (
        f"the first: pair {part.files.folder.name}, slice {part.start + int(plan.z[first])}, "
        f"row {int(plan.row[first])}, column {int(plan.column[first])}, {size} x {size} pixels"
    )


def _write(
    out: Path, job: TrainingJob, step: int, batch: PatchBatch, plan: BatchPlan, finding: Finding
) -> Path:
    """The batch in network scale with the places of its patches; nothing says whose they are."""
    tensors = {"low": batch.low, "full": batch.target.image}
    further = {"noise": batch.noise, "labels": batch.target.labels, "beside": batch.beside}
    tensors |= {name: tensor for name, tensor in further.items() if tensor is not None}
    record: JsonValue = {
        "step": step + 1,
        "seed": job.identity.seed,
        "not_finite": list(finding.what),
        "patches": list(finding.patches),
        "places": {
            name: getattr(plan, name).tolist()
            for name in ("source", "dose", "z", "row", "column", "symmetry")
        },
    }
    path = out / f"not_finite_step_{step + 1:09d}.safetensors"
    copies = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    with staged_file(path) as stage:
        stage.write_bytes(bytes_from_tensors(copies, {"ctdenoise": json.dumps(record)}))
    return path
