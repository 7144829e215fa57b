"""One training step, and the number format it is computed in."""

from __future__ import annotations

import logging
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from ctdenoise.config.training import TrainSettings
from ctdenoise.errors import SettingsError
from ctdenoise.losses.build import Loss, LossTerms
from ctdenoise.training.batches import PatchBatch
from ctdenoise.training.distributed import ALONE, Peers
from ctdenoise.training.shares import piece_of

_log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]

_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""What Linux calls native bfloat16 in /proc/cpuinfo, on x86 and on ARM."""


class Watch(Protocol):
    """Somebody who looks at the loss and the gradient before the weights move."""

    def look(self, *values: Tensor) -> None:
        """Look at scalars on the device."""
        ...


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    batch: PatchBatch,
    *,
    settings: TrainSettings,
    precision: Precision,
    watch: Watch,
) -> LossTerms:
    """Predict, compare, and move the weights once.

    The batch is computed in `settings.accumulate` equal pieces whose gradients are added; with
    several processes the last piece's gradient brings the mean over them.

    Args:
        model: The network in training mode, perhaps compiled or shared with other processes.
        optimizer: Over the network's parameters, its learning rate set.
        loss: Computed in float32.
        batch: On the network's device.
        settings: Pieces, longest gradient.
        precision: Number format of the layers.
        watch: Is shown the loss and the length of the gradient.

    Returns:
        The loss before the weights moved, detached, still on the device: the mean of the pieces.
    """
    optimizer.zero_grad(set_to_none=True)
    pieces = settings.accumulate
    done = []
    for number in range(pieces):
        with _kept_to_itself(model, number < pieces - 1):
            terms = losses_of(model, loss, piece_of(batch, number, pieces), precision=precision)
            (terms.total / pieces).backward()  # type: ignore[no-untyped-call]  # not annotated
        done.append(terms)
    total = torch.stack([terms.total.detach() for terms in done]).mean()
    named = {name: torch.stack([t.terms[name] for t in done]).mean() for name in done[0].terms}
    watch.look(total, gradient_norm(model, clip_norm=settings.clip_norm))
    optimizer.step()
    return LossTerms(total, named)


def losses_of(
    model: nn.Module, loss: Loss, batch: PatchBatch, *, precision: Precision
) -> LossTerms:
    """The losses of a batch, ready to take the gradient of."""
    with _layers_in(precision, batch.low.device):
        prediction = model(batch.seen)
    return loss(prediction, batch.target)


def gradient_norm(model: nn.Module, *, clip_norm: float | None = None) -> Tensor:
    """The length of the gradient, a scalar on the device; a longer one is cut to `clip_norm`."""
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    length = nn.utils.get_total_norm(gradients)
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(model.parameters(), clip_norm, length)
    return length


def _kept_to_itself(model: nn.Module, alone: bool) -> AbstractContextManager[object]:
    """Whether a piece's gradient stays in this process until the next piece is done."""
    if alone and isinstance(model, nn.parallel.DistributedDataParallel):
        return model.no_sync()
    return nullcontext()


def has_gpu() -> bool:
    """Whether torch can use a GPU here."""
    return torch.cuda.is_available()


def choose_device(settings: TrainSettings, peers: Peers = ALONE) -> torch.device:
    """Where to train; with several processes on a machine, each takes the GPU of its number.

    Raises:
        SettingsError: If a GPU is asked for and there is none, or fewer than processes.
    """
    if settings.device == "cpu" or not torch.cuda.is_available():
        if settings.device == "cuda":
            raise SettingsError(
                "this machine has no GPU that torch can use.",
                where="device",
                fix="Set device=auto or device=cpu.",
            )
        return torch.device("cpu")
    if peers.local_world > torch.cuda.device_count():
        raise SettingsError(
            f"{peers.local_world} processes were started on this machine, which has "
            f"{torch.cuda.device_count()} GPUs.",
            where="device",
            fix="Start as many processes as GPUs: torchrun --nproc-per-node gpu.",
        )
    device = torch.device("cuda", peers.local_rank)
    torch.cuda.set_device(device)
    return device


def choose_precision(settings: TrainSettings, device: torch.device) -> Precision:
    """The number format of the layers: bfloat16 only pays where the processor has it."""
    if settings.precision != "auto":
        if settings.precision == "bfloat16" and device.type == "cpu" and not native_bfloat16():
            _log.warning("This CPU has no native bfloat16: float32 trains faster here.")
        return settings.precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if native_bfloat16() else "float32"


def native_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 by itself; False where that cannot be told."""
    if platform.system() != "Linux":
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = {
        word
        for line in text.splitlines()
        if line.startswith(("flags", "Features"))
        for word in line.partition(":")[2].split()
    }
    return not flags.isdisjoint(_BFLOAT16_FLAGS)


def _layers_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
