"""Threads that run one compiled function together, and the memory it works in."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Lock

import numpy as np

from ctdenoise.core.arrays import FloatArray

_HUGE_PAGE = 2 << 20

Function = Callable[[int, int], None]
"""Compiled code: takes the address of its numbers and of memory of its own."""


def huge_memory(size: int) -> mmap.mmap:
    """Memory in huge pages, where the system has them; zeros.

    The kernels jump between planes that are thousands of bytes apart: with small pages, most of
    these jumps would wait for the page table.

    Args:
        size: Bytes.
    """
    memory = mmap.mmap(-1, max(1, -(-size // _HUGE_PAGE)) * _HUGE_PAGE + _HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def array_in(memory: mmap.mmap, count: int) -> FloatArray:
    """The first float32 numbers of a memory, from a whole huge page on."""
    start = -np.frombuffer(memory, np.uint8).ctypes.data % _HUGE_PAGE
    return np.frombuffer(memory, np.float32, count, start)


def huge_array(count: int) -> FloatArray:
    """A float32 array of zeros in memory of its own; see `huge_memory`."""
    return array_in(huge_memory(4 * count), count)


class Crew:
    """A fixed number of threads; every one of them runs a function until the work is done.

    The compiled functions share the work among themselves by counting: which thread does which
    part differs from run to run, the result does not.

    Args:
        count: Threads, the calling one included.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._others = ThreadPoolExecutor(max(1, count - 1), "convolution")
        self._scratch = [np.empty(0, np.float32)] * count
        self._lock = Lock()

    def run(self, function: Function, numbers: int, scratch: int) -> None:
        """Run a function on every thread and wait for all.

        Args:
            function: What to run.
            numbers: Address that all get.
            scratch: float32 numbers of memory that each gets for itself.
        """
        with self._lock:
            if self._scratch[0].size < scratch:
                self._scratch = [huge_array(scratch) for _ in range(self.count)]
            own, *rest = (memory.ctypes.data for memory in self._scratch)
            waiting = [self._others.submit(function, numbers, memory) for memory in rest]
            try:
                function(numbers, own)
            finally:  # on Ctrl-C, too: they write into memory that the caller then lets go of
                wait(waiting)
            for one in waiting:
                one.result()


@cache
def crew_of(count: int, process: int) -> Crew:
    """The threads that all engines of a process share.

    Args:
        count: Threads.
        process: Its number: a forked process has none of the threads of its parent.
    """
    del process
    return Crew(count)


def shared_crew(count: int) -> Crew:
    """The same, of this process."""
    return crew_of(count, os.getpid())
