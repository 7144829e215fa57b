"""What travels between a program and its own worker processes, as bytes.

Nothing is ever unpacked that came from a file or from a stranger: unpacking can run code.
"""

from __future__ import annotations

import pickle
from typing import Any


def packed(value: object) -> bytes:
    """A value as bytes; its class and functions travel by name.

    Args:
        value: Something made of what modules define.

    Raises:
        Exception: Of many kinds, if it cannot travel.
    """
    return pickle.dumps(value)


def unpacked(data: bytes) -> Any:
    """A value that our own parent or worker packed.

    Args:
        data: From a connection that nobody else can write to.

    Raises:
        Exception: Of many kinds, if what it names cannot be imported here.
    """
    return pickle.loads(data)  # noqa: S301 - never from a file or a stranger
