"""Python's wall clock, off by the seconds that a file says; intervals run on as they are.

Python imports a module of this name from PYTHONPATH before all else. (libfaketime does the same
for any program, but Python 3.11 cannot sleep under it once the clock has jumped.)
"""

from __future__ import annotations

import os
import time

_TRUE, _TRUE_NS = time.time, time.time_ns


def _offset_s() -> int:
    try:
        with open(os.environ["CTDENOISE_TEST_CLOCK"]) as file:  # noqa: PTH123 - before pathlib
            return int(file.read())
    except (OSError, KeyError, ValueError):
        return 0


def _time() -> float:
    return _TRUE() + _offset_s()


def _time_ns() -> int:
    return _TRUE_NS() + _offset_s() * 1_000_000_000


time.time, time.time_ns = _time, _time_ns
