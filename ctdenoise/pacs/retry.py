"""When to try again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ctdenoise.config.peers import RetrySettings
from ctdenoise.errors import PeerUnavailable

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Clock(Protocol):
    """Where time comes from; a test, or a server that may be stopped, brings its own."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; may raise to end the work."""
        ...


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(slots=True)
class BackOff:
    """Longer and longer waits between tries that fail, and an end to them.

    Args:
        settings: How often and how long.
        clock: Where time comes from.
        jitter: Source of the random part of each wait.
    """

    settings: RetrySettings
    clock: Clock = field(default_factory=SystemClock)
    jitter: random.Random = field(default_factory=random.SystemRandom)
    tries: int = 0
    """Failures so far, in all."""

    _in_a_row: int = 0

    def progressed(self) -> None:
        """Something succeeded: the next failure counts as the first."""
        self._in_a_row = 0

    def wait(self, error: PeerUnavailable) -> None:
        """Wait before the next try.

        Args:
            error: Why the last one failed; raised where that was the last try.
        """
        self.tries += 1
        self._in_a_row += 1
        if self._in_a_row >= self.settings.tries:
            raise error
        seconds = self.seconds(self._in_a_row)
        _logger.info("a peer is unavailable; next try in %.1f s", seconds)
        self.clock.sleep(seconds)

    def seconds(self, failures: int) -> float:
        """How long to wait after some failures in a row, seconds.

        Args:
            failures: At least 1.
        """
        settings = self.settings
        longest = settings.longest_wait_s
        plain = settings.first_wait_s
        for _ in range(failures - 1):
            plain = min(plain * settings.factor, longest)
        change = 1 + settings.jitter * self.jitter.uniform(-1, 1)
        return min(plain * change, longest)

    def until_it_works(self, call: Callable[[], Result]) -> Result:
        """What a call returns, made again as long as a peer is unavailable.

        Args:
            call: What to do.

        Raises:
            PeerUnavailable: If it was to the last try.
        """
        while True:
            try:
                return call()
            except PeerUnavailable as error:
                self.wait(error)
