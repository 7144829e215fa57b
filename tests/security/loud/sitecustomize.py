"""Put on PYTHONPATH by the tests: a program of the user's that keeps all that anybody logs.

Every Python process then writes what any logger says, from DEBUG up, and every warning, into the
folder that CTDENOISE_TESTS_LOUD names; worker processes too.
"""

from __future__ import annotations

import logging
import os
import pathlib


def listen() -> logging.Handler | None:
    """Keep everything; None where nobody asked for it."""
    folder = os.environ.get("CTDENOISE_TESTS_LOUD")
    if folder is None:
        return None
    handler = logging.FileHandler(pathlib.Path(folder) / f"{os.getpid()}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    return handler


listen()
