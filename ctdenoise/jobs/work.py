"""Work that an executor does: what is handed to it, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

Prepare = Callable[[int], object]
"""Called in a process before its first unit, with its number among those that work at a time; a
function of a module, or a `partial` of one."""


@dataclass(frozen=True, slots=True)
class Named:
    """A function of a module that is only loaded where it is called.

    Args:
        module: Its full name.
        function: The name in it.
    """

    module: str
    function: str

    def __call__(self, argument: Any) -> Any:
        """Load the module and call the function."""
        return getattr(import_module(self.module), self.function)(argument)


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """One study to work on.

    Args:
        id: Of the job.
        work: A function of a module, or its name; called with `argument`, perhaps in another
            process or on another machine.
        argument: A frozen dataclass that can be pickled.
    """

    id: str
    work: Callable[[Any], Any]
    argument: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit has no result.

    Args:
        kind: "raised" by the work, or its process was "lost", took too long, or too much memory.
        words: What happened; names no patient.
        final: Whether trying again changes nothing: the input cannot be used.
    """

    kind: Literal["raised", "lost", "timeout", "memory"]
    words: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """A unit that came to its end.

    Args:
        id: Of the unit.
        result: What the work returned; None where it failed.
        failure: Why it failed; None where it did not.
        seconds: How long it took.
    """

    id: str
    result: Any = None
    failure: Failure | None = None
    seconds: float = 0.0


class Executor(Protocol):
    """Does units of work, some at a time.

    Every unit that was submitted is told of exactly once by `finished`, in any order, whatever
    happens to what works on it. Results do not depend on which executor it is. One thread at a time
    calls it.
    """

    @property
    def capacity(self) -> int:
        """How many units it works on at a time; may change as workers come and go."""

    def submit(self, unit: WorkUnit) -> None:
        """Take a unit on. Does not wait for it."""

    def finished(self, timeout_s: float) -> tuple[Finished, ...]:
        """Units that came to their end since the last call; waits for one, at most so long."""

    def close(self) -> None:
        """Stop what is under way; units that were not told of are lost to the caller."""
