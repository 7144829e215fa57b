"""Unique identifiers that are new for new pixels and the same for the same work done again."""

from __future__ import annotations

import re
import uuid

from pydicom.uid import UID

NAMESPACE = uuid.UUID("bf6f3d1e-8f4a-5a46-9d0b-6f1c2e7a9b54")
"""Frozen for ever: another value would give every series that was made before a second identity."""

_SHAPE = re.compile(r"[0-9]+(\.[0-9]+)+")


def new_uid(role: str, *parts: str) -> UID:
    """A UID that depends on its role and parts only.

    It is `2.25.` and the decimal value of a version 5 UUID (PS3.5 B.2), so it needs no registered
    root and cannot meet the UID of another maker.

    Args:
        role: "series", "instance", "study", ...: one source gets a different UID in each role.
        parts: What decides the identity, such as the UID of the source and the digest of what was
            done to it. Parts are kept apart, so ("a", "bc") is not ("ab", "c").
    """
    name = "\x1f".join((role, *parts))
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")


IMPLEMENTATION_CLASS_UID = new_uid("implementation")
"""Who wrote the file, for the file meta information."""


def is_uid(text: str) -> bool:
    """Whether text is made like a UID: numbers joined by dots, at most 64 characters."""
    return len(text) <= 64 and _SHAPE.fullmatch(text) is not None
