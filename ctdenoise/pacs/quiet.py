"""Libraries of the network that say nothing: what they log quotes patients.

pynetdicom logs whole data sets at the level DEBUG and titles of peers in errors, pydicom warns with
the values that it does not like. What is worth knowing, this package logs itself, without values.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ctdenoise.io.dicom_file import quiet_pydicom

_SILENT = logging.CRITICAL + 1


@dataclass(slots=True)
class _Quiet:
    """How many callers want silence, and the level to put back when the last one ends."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    callers: int = 0
    level: int = logging.NOTSET


_quiet = _Quiet()


@contextmanager
def quiet_network() -> Iterator[None]:
    """Keep pynetdicom and pydicom out of logs and off the screen until the block ends.

    It may be entered by several threads, and again inside itself; a server enters it for as long as
    it runs.
    """
    logger = logging.getLogger("pynetdicom")
    with quiet_pydicom():
        with _quiet.lock:
            if _quiet.callers == 0:
                _quiet.level = logger.level
                logger.setLevel(_SILENT)
            _quiet.callers += 1
        try:
            yield
        finally:
            with _quiet.lock:
                _quiet.callers -= 1
                if _quiet.callers == 0:
                    logger.setLevel(_quiet.level)
