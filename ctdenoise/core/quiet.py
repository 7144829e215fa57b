"""Libraries that quote what they handle are kept from saying it.

pynetdicom logs whole data sets, urllib3 the UIDs in addresses, dask the arguments of its tasks, and
pydicom warns with the value that it does not like. A program that logs everything at DEBUG would
keep all that. Here, and nowhere else, their loggers are cut off from the root: what they say is
thrown away, and only where a warning came from is passed on, under this module's name at DEBUG.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

TALKATIVE = (
    "PIL",
    "SimpleITK",
    "asyncio",
    "bokeh",
    "charset_normalizer",
    "dask",
    "dicomanonymizer",
    "dicomweb_client",
    "distributed",
    "highdicom",
    "matplotlib",
    "monai",
    "nibabel",
    "numba",
    "py.warnings",
    "pydicom",
    "pynetdicom",
    "requests",
    "retrying",
    "tornado",
    "urllib3",
)
"""Loggers of libraries that patients, files or addresses pass through."""

_log = logging.getLogger(__name__)


class _Unquoted(logging.Handler):
    """Says that a library said something, and where, but not what."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on the place of a warning or an error.

        Args:
            record: What the library said.
        """
        if record.levelno >= logging.WARNING:
            _log.debug(
                "%s of %s (%s, line %d); its words may quote a patient and are not kept",
                record.levelname.lower(),
                record.name,
                record.filename,
                record.lineno,
            )


@dataclass(slots=True)
class _Quiet:
    """How many callers want the libraries quiet, and what to put back when the last one ends."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    callers: int = 0
    undo: ExitStack = field(default_factory=ExitStack)


_quiet = _Quiet()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what TALKATIVE libraries log out of every log, also one of the caller's program.

    Loggers belong to the whole process. They are as before when the last block ends, of however
    many threads.
    """
    with _quiet.lock:
        if _quiet.callers == 0:
            for name in TALKATIVE:
                _cut_off(logging.getLogger(name), _quiet.undo)
        _quiet.callers += 1
    try:
        yield
    finally:
        with _quiet.lock:
            _quiet.callers -= 1
            if _quiet.callers == 0:
                _quiet.undo.close()


def _cut_off(logger: logging.Logger, undo: ExitStack) -> None:
    undo.callback(setattr, logger, "propagate", logger.propagate)
    undo.callback(setattr, logger, "handlers", logger.handlers)
    undo.callback(logger.setLevel, logger.level)
    logger.propagate = False
    logger.handlers = [_Unquoted()]
    logger.setLevel(logging.WARNING)  # what is not said is not put into words either


@contextmanager
def quiet_process() -> Iterator[None]:
    """All of a process of ours: libraries, warnings, and the errors of threads.

    Warnings of Python and errors that end a thread are shown without their words, which may quote
    a value. Filters that make errors of warnings stay as they are.
    """
    with ExitStack() as undo:
        undo.enter_context(quiet_libraries())
        for place, name, quiet in (
            (warnings, "showwarning", _warned),
            (threading, "excepthook", _thread_ended),
            (sys, "unraisablehook", not_raised),
        ):
            if getattr(place, name) is not getattr(place, f"__{name}__", getattr(place, name)):
                continue  # somebody, such as a worker, waits for it
            undo.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, quiet)
        yield


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,  # as the standard library has it
    line: str | None = None,
) -> None:
    del message, file, line
    _log.debug("%s (%s, line %d)", category.__name__, Path(filename).name, lineno)


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    _say_place("a thread ended", ended.exc_type, ended.exc_traceback)


def not_raised(lost: sys.UnraisableHookArgs) -> None:
    """Say where an error came from that Python cannot raise, without its words.

    Args:
        lost: What Python hands to `sys.unraisablehook`.
    """
    _say_place("an error could not be raised", lost.exc_type, lost.exc_traceback)


def _say_place(what: str, kind: type[BaseException] | None, trace: TracebackType | None) -> None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "an error" if kind is None else kind.__name__
    place = "" if trace is None else f" in {Path(trace.tb_frame.f_code.co_filename).name}"
    line = 0 if trace is None else trace.tb_lineno
    _log.error("%s with %s%s, line %d", what, name, place, line)
