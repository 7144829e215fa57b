"""Several processes that train one network together, as `torchrun` starts them.

Each computes its share of every batch; torch's DistributedDataParallel makes the mean of their
gradients, so that all move their weights alike. Only the first process writes.

What travels in tensors on the CPU (stop requests, figures) goes through gloo, gradients on GPUs
through NCCL.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ctdenoise.errors import PeerError

_LOST = ("gloo", "nccl", "connection", "timed out", "peer")
"""Words in what torch.distributed raises, as plain RuntimeErrors, where a process is lost."""

_LAST_WORDS_S = 0.2
"""How long a process stays after the group is dissolved: threads of gloo may still let go of the
last tensors, and kill a process whose interpreter is torn down meanwhile (pytorch 179291)."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The processes of a run; by default this one alone.

    Args:
        rank: Number of this process, from 0.
        world: Processes in all.
        local_rank: Number of this process on its machine, from 0: also that of its GPU.
        local_world: Processes on this machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same in each; every one must ask."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def any(self, claim: bool) -> bool:
        """Whether a claim holds in some process; every one must ask."""
        return bool(self.summed(torch.tensor(float(claim))) > 0)

    def largest(self, number: int) -> int:
        """The largest number that a process names; every one must ask."""
        value = torch.tensor(number)
        if self.world > 1:
            dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    @torch.no_grad()
    def even_out(self, network: nn.Module) -> None:
        """Give the running statistics of batch normalisations their mean over all processes.

        Each process has normalised its own share of the batches, and has statistics of these.

        Args:
            network: Changed; every process must ask.
        """
        if self.world == 1:
            return
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - there is no public name for all dimensions
                for statistics in (layer.running_mean, layer.running_var):
                    if statistics is not None:
                        dist.all_reduce(statistics)
                        statistics.div_(self.world)

    def wait(self) -> None:
        """Return when every process has come here."""
        self.any(False)

    def shared(self, model: nn.Module, device: torch.device, *, has_unused: bool) -> nn.Module:
        """The network whose gradients are means over all processes.

        Args:
            model: The network, or what torch.compile made of it.
            device: Where it is.
            has_unused: Whether the loss leaves parameters without a gradient.
        """
        if self.world == 1:
            return model
        devices = [device.index] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            model, device_ids=devices, find_unused_parameters=has_unused
        )


ALONE = Peers()
"""A run in one process."""


@contextmanager
def peers_of_this_process(*, timeout_s: float, cuda: bool) -> Iterator[Peers]:
    """Join the processes that `torchrun` started together with this one.

    Args:
        timeout_s: How long to wait for another process.
        cuda: Whether gradients are on GPUs.

    Yields:
        The processes; without `torchrun`, this one alone.

    Raises:
        PeerError: If another process was lost.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    local = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    if local[0] > 0 or int(os.environ["RANK"]) > 0:
        # What is worth a warning is said once, by the first process.
        logging.getLogger("ctdenoise").setLevel(logging.ERROR)
    with _told_as_peer_error():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timedelta(seconds=timeout_s)
        )
        try:
            yield Peers(dist.get_rank(), dist.get_world_size(), *local)
        finally:
            dist.destroy_process_group()
        time.sleep(_LAST_WORDS_S)  # not after an error, which must be told at once


@contextmanager
def _told_as_peer_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if not isinstance(error, dist.DistError) and not any(word in text for word in _LOST):
            raise
        raise PeerError(
            "another process of this training was lost; the last saved state is whole.",
            fix="Its own message says why. Start all processes again with --resume.",
        ) from error
