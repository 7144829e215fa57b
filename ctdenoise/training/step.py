"""One training step, and the number format it is computed in."""

from __future__ import annotations

import logging
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from ctdenoise.config.training import TrainSettings
from ctdenoise.errors import SettingsError
from ctdenoise.losses.build import Loss, LossTerms
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.training.patches import PatchBatch

_log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]

_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""What Linux calls native bfloat16 in /proc/cpuinfo, on x86 and on ARM."""


def training_step(
    network: DenoisingNetwork,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    batch: PatchBatch,
    *,
    precision: Precision,
    clip_norm: float | None,
) -> LossTerms:
    """Predict, compare, and move the weights once.

    Args:
        network: In training mode.
        optimizer: Over the network's parameters, its learning rate set.
        loss: Computed in float32.
        batch: On the network's device.
        precision: Number format of the layers.
        clip_norm: Longest gradient, or None.

    Returns:
        The loss before the weights moved, detached, still on the device.
    """
    optimizer.zero_grad(set_to_none=True)
    with _layers_in(precision, batch.low.device):
        prediction = network(batch.low)
    terms = loss(prediction, batch.target)
    terms.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    optimizer.step()
    return LossTerms(terms.total.detach(), terms.terms)


def choose_device(settings: TrainSettings) -> torch.device:
    """Where to train.

    Raises:
        SettingsError: If a GPU is asked for and there is none.
    """
    if settings.device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if settings.device == "cuda":
        raise SettingsError(
            "this machine has no GPU that torch can use.",
            where="device",
            fix="Set device=auto or device=cpu.",
        )
    return torch.device("cpu")


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
