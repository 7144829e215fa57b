"""Where the lines of the server's log go: stderr, for people or as JSON, and a file of its own."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from ctdenoise.jobs.private_folder import private_folder

if TYPE_CHECKING:
    from ctdenoise.config.serve import LogSettings

LOG_FILE = "log.jsonl"
"""Name of the file in the state folder."""

_FILE_BYTES = 16 * 2**20
_FILES_BEFORE = 4


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        line = {
            "at": _moment(record),
            "level": record.levelname.lower(),
            "from": record.name,
            "says": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__  # its message may quote a header
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """Lines for people; a control character in a message cannot begin another."""

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        message = record.getMessage()
        shown = "".join(one if one.isprintable() else " " for one in message)
        return f"{_moment(record)} {record.levelname.lower()} {shown}"


class PrivateFile(RotatingFileHandler):
    """A log file that only its user can read."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.baseFilename, flags, 0o600)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of the base class
        """Leave a line out that the disk has no room for; it stands on stderr all the same."""


@contextmanager
def logged(settings: LogSettings, state: Path) -> Iterator[None]:
    """Write what the program says about its work while the block runs.

    Args:
        settings: How.
        state: State folder of the server; made if there is none.

    Raises:
        UsageError: If others can look into the folder.
        OutputError: If it cannot be made.
    """
    screen = logging.StreamHandler()
    screen.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    handlers: list[logging.Handler] = [screen]
    if settings.file:
        path = private_folder(state) / LOG_FILE
        file = PrivateFile(path, maxBytes=_FILE_BYTES, backupCount=_FILES_BEFORE)
        file.setFormatter(JsonLines())
        handlers.append(file)
    logger = logging.getLogger("ctdenoise")
    before = logger.level
    logger.setLevel(settings.level.upper())
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _moment(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + "Z"
