"""The moment that what is made is dated by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

_told: list[datetime] = []


@contextmanager
def dated(moment: datetime) -> Iterator[None]:
    """Date all that this process makes by a moment, so that work done again gives the same bytes.

    It comes before SOURCE_DATE_EPOCH and holds for all threads: a process makes one thing at a time
    where it matters.

    Args:
        moment: With its offset from UTC, which local times are given in.
    """
    _told.append(moment)
    try:
        yield
    finally:
        _told.pop()


def told_moment() -> datetime | None:
    """The moment that was told by `dated`; None outside of it."""
    return _told[-1] if _told else None


def moment_of(posix_s: float) -> datetime:
    """A second as a moment in local time, or SOURCE_DATE_EPOCH in UTC where that is set.

    Args:
        posix_s: Seconds since 1970, such as those of a job; fractions are dropped.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdigit():
        return datetime.fromtimestamp(int(epoch), UTC)
    return datetime.fromtimestamp(int(posix_s), UTC).astimezone()
