"""How many threads the arithmetic on a CPU is shared among."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ctdenoise.core.processors import usable_processors
from ctdenoise.training.distributed import Peers

_log = logging.getLogger(__name__)


@contextmanager
def arithmetic_threads(wanted: int | None, peers: Peers) -> Iterator[int]:
    """Set torch's threads inside the block.

    Args:
        wanted: As many as asked for; None for the usable processors, shared among the processes on
            this machine and within what torch was told (OMP_NUM_THREADS).
        peers: The processes of the run.

    Yields:
        The number of threads.
    """
    before, usable = torch.get_num_threads(), usable_processors()
    threads = wanted or max(1, min(before, usable // peers.local_world))
    torch.set_num_threads(threads)
    if threads > 1 and hasattr(os, "getloadavg") and os.getloadavg()[0] > usable:
        _log.warning(
            "Other programs are busy: a load of %.1f on %d processors. %d threads then wait for "
            "each other; threads=1 may be faster.",
            os.getloadavg()[0],
            usable,
            threads,
        )
    try:
        yield threads
    finally:
        torch.set_num_threads(before)
