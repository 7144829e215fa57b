"""Units of work done one after the other where they are asked for."""

from __future__ import annotations

from collections import deque

from ctdenoise.jobs.performing import performed
from ctdenoise.jobs.work import Finished, Prepare, WorkUnit


class InProcess:
    """Does each unit in `finished`, in the thread that calls it; no limits hold here.

    Args:
        prepare: Called once before the first unit, with 0.
    """

    def __init__(self, prepare: Prepare | None = None) -> None:
        self._prepare = prepare
        self._waiting: deque[WorkUnit] = deque()

    @property
    def capacity(self) -> int:
        """One unit at a time."""
        return 1

    def submit(self, unit: WorkUnit) -> None:
        """Take a unit on."""
        self._waiting.append(unit)

    def finished(self, timeout_s: float) -> tuple[Finished, ...]:
        """Do the oldest unit, however long it takes."""
        del timeout_s
        if not self._waiting:
            return ()
        if self._prepare is not None:
            self._prepare(0)
            self._prepare = None
        return (performed(self._waiting.popleft()),)

    def close(self) -> None:
        """Forget units that were not begun."""
        self._waiting.clear()
