"""Studies of an archive that could not be taken: each is tried again later, the others go on.

Waits are measured on the clock that only grows. What is remembered for the next start is the time
of day at which a study is due, and a wait that seems longer than the longest counts as that: a
clock that jumps neither forgets a study nor makes us ask for it without a pause.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from ctdenoise.config.peers import RetrySettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.pacs.retry import BackOff

__all__ = ["POSTPONED_MOST", "Postponed"]

_log = logging.getLogger(__name__)

POSTPONED_MOST = 1000
"""So many studies of an archive may wait; it is rather the archive where more cannot be taken."""


@dataclass(slots=True)
class _Waiting:
    """A study that is tried again.

    Args:
        failures: All of them; the wait grows with them.
        tries: Those that were no fault of the archive as a whole.
        due: When it is tried again, on the clock that only grows.
        due_by_day: The same in seconds since 1970.
        taken: How many studies had been taken when it failed last.
    """

    failures: int = 0
    tries: int = 0
    due: float = 0.0
    due_by_day: float = 0.0
    taken: int = -1


class Postponed:
    """The studies of one archive that are tried again; for one thread.

    A try counts only if another study was taken since the last one, or the reason lies in the
    study alone: nothing is given up because all of the archive fails for days.

    Args:
        settings: How often, and how long is waited.
        clock: Seconds on a clock that only grows.
        time_of_day: Seconds since 1970.
    """

    def __init__(
        self,
        settings: RetrySettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._back_off = BackOff(settings)
        self._clock = clock
        self._time_of_day = time_of_day
        self._waiting: dict[str, _Waiting] = {}
        self._taken = 0
        self._last_reason = ""

    @property
    def problem(self) -> str:
        """How many wait and why, in words without patient data; empty if none does."""
        count = len(self._waiting)
        if not count:
            return ""
        words = "1 study waits" if count == 1 else f"{count} studies wait"
        return f"{words} to be tried again. {self._last_reason}".rstrip()

    def due(self) -> tuple[str, ...]:
        """Those whose wait is over, the longest over first."""
        now = self._clock()
        found = [(one.due, study) for study, one in self._waiting.items() if one.due <= now]
        return tuple(study for _, study in sorted(found))

    def has_room(self, study: str) -> bool:
        """Whether a study waits already, or may.

        Args:
            study: Which.
        """
        return study in self._waiting or len(self._waiting) < POSTPONED_MOST

    def settled(self, study: str, *, came: bool) -> None:
        """A study was taken, or is gone.

        Args:
            study: Which.
            came: Whether something of it came, so that the archive is able to give studies.
        """
        self._waiting.pop(study, None)
        self._taken += came

    def failed(self, study: str, reason: str, *, own_fault: bool) -> int:
        """Try a study again later, unless this was its last try.

        Args:
            study: Which.
            reason: Why, without patient data.
            own_fault: Whether the reason lies in the study alone.

        Returns:
            After how many tries it is given up now; 0 if it is not.
        """
        one = self._waiting.setdefault(study, _Waiting())
        one.failures += 1
        one.tries += own_fault or one.taken < 0 or self._taken > one.taken
        one.taken = self._taken
        self._last_reason = reason
        if one.tries >= self._settings.tries:
            del self._waiting[study]
            return one.failures
        seconds = self._back_off.seconds(one.failures)
        one.due, one.due_by_day = self._clock() + seconds, self._time_of_day() + seconds
        if one.failures == 1:
            _log.warning("a study cannot be taken and is tried again later: %s", reason)
        return 0

    def as_json(self) -> dict[str, JsonValue]:
        """As it is remembered."""
        return {
            study: [one.failures, one.tries, round(one.due_by_day)]
            for study, one in self._waiting.items()
        }

    def restore(self, remembered: JsonValue) -> None:
        """Go on with what was remembered.

        Args:
            remembered: By `as_json`; None for nothing.
        """
        if not isinstance(remembered, Mapping):
            return
        longest = self._settings.longest_wait_s * (1 + self._settings.jitter)
        now, today = self._clock(), self._time_of_day()
        for study, fields in remembered.items():
            failures, tries, due = cast("tuple[int, int, float]", fields)
            seconds = min(max(0.0, due - today), longest)
            self._waiting[study] = _Waiting(failures, tries, now + seconds, today + seconds, 0)
