"""What a server takes over the hours, and whether it grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from tests.pacs.service_process import Service

_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a server and its workers take at a moment.

    Args:
        minutes: Since the first look.
        server_mb: Resident memory of the server.
        workers_mb: Of its workers together.
        threads: Of the server.
        descriptors: Open files and sockets of the server.
        processes: The server's own.
        ledger_mb: Size of the ledger.
        wal_mb: Size of its write-ahead log.
        state_mb: Size of the whole state folder.
    """

    minutes: float
    server_mb: float
    workers_mb: float
    threads: int
    descriptors: int
    processes: int
    ledger_mb: float
    wal_mb: float
    state_mb: float


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through a quantity over time.

    Args:
        mean: Mean of the quantity.
        per_hour: How much it grows in an hour.
        error: Standard error of that.
    """

    mean: float
    per_hour: float
    error: float


def consumption(running: Service, minutes: float) -> Consumption:
    """Look at a server.

    Args:
        running: The server.
        minutes: Since the first look.
    """
    workers = running.workers()
    state = running.state
    return Consumption(
        minutes=minutes,
        server_mb=_resident_mb(running.pid),
        workers_mb=sum(map(_resident_mb, workers)),
        threads=_entries(running.pid, "task"),
        descriptors=_entries(running.pid, "fd"),
        processes=1 + len(workers),
        ledger_mb=_size_mb(state / "ledger.sqlite"),
        wal_mb=_size_mb(state / "ledger.sqlite-wal"),
        state_mb=_size_below_mb(state),
    )


def slopes(looks: Sequence[Consumption]) -> dict[str, Slope]:
    """How each quantity grows, by least squares over the looks.

    Args:
        looks: Three or more. Those of the time in which everything warms up should be left out.
    """
    hours = np.array([look.minutes for look in looks]) / 60
    away = hours - hours.mean()
    found = {}
    for field in fields(Consumption)[1:]:
        values = np.array([getattr(look, field.name) for look in looks], float)
        slope = float(away @ values / (away @ away))
        rest = values - values.mean() - slope * away
        error = float(np.sqrt(rest @ rest / (len(looks) - 2) / (away @ away)))
        found[field.name] = Slope(float(values.mean()), slope, error)
    return found


def _resident_mb(pid: int) -> float:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 2**20
    return 0.0


def _entries(pid: int, what: str) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/{what}").iterdir()))
    return 0


def _size_mb(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_size / 2**20
    return 0.0


def _size_below_mb(folder: Path) -> float:
    """Of all files below a folder from which some may just be vanishing."""
    walk = os.walk(folder)
    return sum(_size_mb(Path(parent) / name) for parent, _, names in walk for name in names)
