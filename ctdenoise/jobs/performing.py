"""One unit of work done in this process, and what went wrong in words that name nobody."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

from ctdenoise.errors import CTDenoiseError, InputError, UsageError
from ctdenoise.jobs.work import Failure, Finished, WorkUnit

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "std::bad_alloc")
"""Words of the errors, mostly RuntimeErrors, by which torch and others say it."""


def performed(unit: WorkUnit) -> Finished:
    """Do a unit here and now; whatever it raises becomes a failure.

    A Rust panic or an exit that something asks for ends the unit, not the process.

    Args:
        unit: What to do.

    Raises:
        KeyboardInterrupt: If the process is to stop.
    """
    begun = time.perf_counter()
    try:
        result = unit.work(unit.argument)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - one study must not stop the others
        return Finished(unit.id, failure=failure_of(error), seconds=time.perf_counter() - begun)
    return Finished(unit.id, result, seconds=time.perf_counter() - begun)


def failure_of(error: BaseException) -> Failure:
    """What an exception means for the study in whose work it was raised.

    Args:
        error: Anything that was raised.
    """
    if isinstance(error, CTDenoiseError):
        final = isinstance(error, InputError | UsageError)
        return Failure("raised", one_line(error.what), final=final)
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        return Failure("memory", "there was not enough memory for it")
    return Failure("raised", unexpected(error))


def unexpected(error: BaseException) -> str:
    """An error that nobody foresaw, without its message, which may quote the study.

    Args:
        error: Anything that was raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"unexpected {type(error).__name__}{place}: a fault of ctdenoise"


def one_line(text: str) -> str:
    """A message with a list below it, as one line.

    Args:
        text: Of any number of lines.
    """
    first, *more = text.splitlines() or [""]
    return " ".join((first, "; ".join(line.strip().removeprefix("- ") for line in more))).strip()
