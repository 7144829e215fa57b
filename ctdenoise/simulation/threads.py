"""How many threads the compiled loops of this process use."""

from __future__ import annotations

import numba


def limit_threads(count: int) -> None:
    """Let the compiled loops of the calling thread use at most so many threads.

    Args:
        count: At least 1; more than there are cores means all of them.
    """
    numba.set_num_threads(max(1, min(count, numba.config.NUMBA_NUM_THREADS)))
