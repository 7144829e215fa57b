"""Batches prepared by threads while the network computes.

A batch depends on the seed and its step alone, so it is the same whoever prepares it, and a resumed
run asks for what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from ctdenoise.config.training import DataSettings
from ctdenoise.core.processors import usable_processors
from ctdenoise.training.distributed import ALONE, Peers

T = TypeVar("T")

BATCHES_A_THREAD = 2
"""Batches that are prepared or wait for each thread."""

_THREADS_FOR_A_GPU = 4


def threads_for(settings: DataSettings, device: torch.device, peers: Peers = ALONE) -> int:
    """How many threads prepare batches; 0 if each is prepared when it is asked for.

    Args:
        settings: What was asked for.
        device: Where the network is.
        peers: The processes of the run, which share the processors of a machine.
    """
    if settings.threads is not None:
        return settings.threads
    if device.type == "cpu":
        return 0
    return min(_THREADS_FOR_A_GPU, max(1, usable_processors() // peers.local_world - 1))


@contextmanager
def prepared_ahead(batches: Sequence[T], *, threads: int) -> Iterator[Sequence[T]]:
    """The same batches, the next ones prepared while one is worked on.

    An error while a batch is prepared is raised where the batch is asked for. Leaving the block
    waits for batches in preparation and drops those that wait.

    Args:
        batches: Safe to index from several threads.
        threads: How many of them; 0 to prepare nothing ahead.
    """
    if threads == 0:
        yield batches
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="patches")
    try:
        yield _Ahead(batches, pool, BATCHES_A_THREAD * threads)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Ahead(Sequence[T]):
    """Batches, of which the next few are in preparation."""

    def __init__(self, batches: Sequence[T], pool: ThreadPoolExecutor, ahead: int) -> None:
        self._batches, self._pool, self._ahead = batches, pool, ahead
        self._pending: dict[int, Future[T]] = {}

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> T:  # type: ignore[override]  # no slices of batches
        for each in range(step, min(step + 1 + self._ahead, len(self))):
            if each not in self._pending:
                self._pending[each] = self._pool.submit(self._batches.__getitem__, each)
        return self._pending.pop(step).result()
