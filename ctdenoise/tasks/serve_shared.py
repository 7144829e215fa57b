"""What the threads of the server share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ctdenoise.config.rules import Rules
from ctdenoise.config.serve import ServeSettings
from ctdenoise.core.series_facts import ArrivedBy
from ctdenoise.errors import OutputError
from ctdenoise.jobs.audit import Audit
from ctdenoise.jobs.exposition import ServiceMetrics
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.tasks.serve_folder import StateFolder
from ctdenoise.tasks.serve_plan import Order, orders_of

_log = logging.getLogger(__name__)

PAUSE_S = 5.0
"""How long is waited where something could not be written."""

KIND = "serve"
"""Kind of the jobs of a server."""


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """Rules, and what each asks for, resolved.

    Args:
        rules: In the order of trying.
        orders: By name of the rule.
    """

    rules: Rules
    orders: dict[str, Order]

    @classmethod
    def of(cls, rules: Rules) -> RulesInForce:
        """Rules with all the settings that they name read.

        Raises:
            SettingsError: If settings of `infer` cannot be read.
        """
        return cls(rules, orders_of(rules))


class Alarm:
    """Wakes threads that wait for something to do, and tells all of them to stop.

    The first thread that fails stops the others; nothing goes on without one of them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rings = 0
        self._failure: BaseException | None = None
        self._is_stopping = False
        self._is_to_reload = False

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._is_stopping

    @property
    def failure(self) -> BaseException | None:
        """What the first thread that failed raised."""
        return self._failure

    def ring(self) -> None:
        """There may be something to do."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def stop(self, failure: BaseException | None = None) -> None:
        """Nothing new is to be begun.

        Args:
            failure: Why, where a thread failed.
        """
        with self._changed:
            self._is_stopping = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def reload(self) -> None:
        """The rules are to be read again."""
        with self._changed:
            self._is_to_reload = True
            self._changed.notify_all()

    def wait_for_order(self, timeout_s: float) -> bool:
        """Wait for the order to stop or to read the rules again; whether it is the latter."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self._is_to_reload, timeout_s)
            found, self._is_to_reload = self._is_to_reload, False
            return found and not self._is_stopping

    def wait(self, timeout_s: float) -> None:
        """Wait for the next ring or the order to stop, at most so long."""
        with self._changed:
            rings = self._rings
            self._changed.wait_for(lambda: self._is_stopping or self._rings != rings, timeout_s)

    def wait_for_stop(self, timeout_s: float) -> bool:
        """Wait for the order to stop, at most so long; whether it came."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_stopping, timeout_s)

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread that is started, and stops all others if it fails.

        Args:
            name: Of the thread.
            work: What it does until it is told to stop.
        """

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                self.stop(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread


@dataclass(slots=True)
class Shared:
    """What every part of the server needs.

    Args:
        settings: Of the server.
        folder: Its state folder.
        ledger: Jobs and how far they are.
        audit: Who did what.
        metrics: Counters.
        in_force: Rules; replaced as a whole when they are read again.
        alarm: Wakes and stops threads.
        started: Seconds since 1970.
        started_monotonic: The same on the clock that only grows.
    """

    settings: ServeSettings
    folder: StateFolder
    ledger: Ledger
    audit: Audit
    metrics: ServiceMetrics
    in_force: RulesInForce
    alarm: Alarm = field(default_factory=Alarm)
    started: float = field(default_factory=time.time)
    started_monotonic: float = field(default_factory=time.monotonic)

    @property
    def entrances(self) -> dict[str, ArrivedBy]:
        """How series of some senders come in."""
        found: dict[str, ArrivedBy] = {one.sender: "folder" for one in self.settings.folders}
        return found | dict.fromkeys((one.sender for one in self.settings.orthanc), "orthanc")

    def again_and_again(self, step: Callable[[], bool], *, idle_s: float) -> None:
        """Do a step until the server stops, and outlast a disk that is full for a while.

        A step that could not be written down is done again, so it must leave everything as it was.

        Args:
            step: Returns whether there is more to do at once.
            idle_s: Longest wait where there is not.
        """
        said = ""
        while not self.alarm.is_stopping:
            try:
                if not step():
                    self.alarm.wait(idle_s)
                said = ""
            except OutputError as error:
                if error.what != said:
                    _log.error("%s", error.what)
                said = error.what
                self.alarm.wait_for_stop(PAUSE_S)

    def has_room(self) -> bool:
        """Whether there is as much free space as there should be before anything is begun."""
        return self.folder.free_bytes() >= self.settings.inbox.free_mb * 2**20

    def files_of(self, study: str, names: list[str]) -> tuple[Path, ...]:
        """Files of a job in the inbox."""
        return tuple(self.folder.inbox / study / name for name in names)
