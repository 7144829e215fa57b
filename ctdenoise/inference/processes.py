"""Several processes that denoise on one machine: how they share its cores and its GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus_for(device: str) -> list[str]:
    """The GPUs that studies may be spread over, as CUDA_VISIBLE_DEVICES names them.

    Args:
        device: The setting: none for `cpu`, and none to choose from for one GPU by number.
    """
    if device not in {"auto", "cuda"} or not torch.cuda.is_available():
        return []
    names = [name for name in os.environ.get(_VISIBLE, "").split(",") if name]
    return names or [str(number) for number in range(torch.cuda.device_count())]


def prepare_process(threads: int, gpus: Sequence[str], seat: int) -> None:
    """Give a fresh process its share of the machine, before it uses any of it.

    Args:
        threads: Threads that it may compute with.
        gpus: GPUs of the machine; each process sees one of them, in turn.
        seat: Number of the process among those that work at a time.
    """
    torch.set_num_threads(max(1, threads))
    if gpus:  # read by CUDA when it is first used, so it is not too late
        os.environ[_VISIBLE] = gpus[seat % len(gpus)]
