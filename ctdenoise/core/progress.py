"""How long-running work tells how far it is, without knowing who watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """Called when some of the work is done.

    Args:
        count: How many units were finished since the last call.
        note: A few words to show beside the bar, such as the present loss.
    """

    def __call__(self, count: int = 1, *, note: str = "") -> None:
        """Tell that `count` more units are done."""


class Progress(Protocol):
    """Somebody who may be told about progress. Implementations never raise."""

    def stage(self, what: str, total: int, *, done: int = 0) -> AbstractContextManager[Advance]:
        """Open a stage of work.

        Args:
            what: What is being done, for people: "Simulating", "Training".
            total: Units of work in all.
            done: Units that were finished before, as on a resumed run.
        """
        ...


class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def stage(self, what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """Open a stage that shows nothing."""
        del what, total, done

        def advance(count: int = 1, *, note: str = "") -> None:
            del count, note

        yield advance


SILENT: Progress = Silent()
"""The default wherever a progress is asked for."""
