"""What the library warns of while it works on one study, kept apart from all else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 100
"""Lines that are kept of one study."""


class _Lines(logging.Handler):
    """Keeps messages as lines."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message, each only once."""
        line = f"{record.levelname.lower()}: {record.getMessage()}"
        if line not in self._lines and len(self._lines) < MOST:
            self._lines.append(line)


@contextmanager
def kept_warnings(lines: list[str]) -> Iterator[None]:
    """Keep what the library warns of, and let nobody else hear it.

    Args:
        lines: Where each different message goes, as "warning: ...".
    """
    logger = logging.getLogger("ctdenoise")
    others, propagate = list(logger.handlers), logger.propagate
    logger.handlers, logger.propagate = [_Lines(lines)], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = others, propagate
