"""A worker process and all that it started: what memory they hold, and how they are ended.

A worker leads a session of its own (`setsid`), which its children cannot leave by forming a process
group of their own, as programs do that shall not hear Ctrl-C.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_KB_A_MB = 1000 / 1.024


def memory_mb(sessions: Collection[int]) -> dict[int, float]:
    """Memory that the processes of each session hold, MB.

    Pages of program files are not counted: they are shared and can be given up. Empty where the
    system does not say.

    Args:
        sessions: Ids of the leaders.
    """
    held: dict[int, float] = {}
    for process, session in _processes():
        if session in sessions:
            held[session] = held.get(session, 0.0) + held_mb(process)
    return held


def held_mb(process: int | str = "self") -> float:
    """Memory that one process holds without pages of files, MB; 0 if it is no more.

    Args:
        process: Its id.
    """
    try:
        text = (_PROC / str(process) / "status").read_text()
    except OSError:
        return 0.0
    return sum(
        int(line.split()[1]) / _KB_A_MB
        for line in text.splitlines()
        if line.startswith(("RssAnon:", "RssShmem:"))
    )


def kill_session(leader: int) -> None:
    """End a session leader and everything that it started, at once.

    Args:
        leader: Its id; not yet waited for, so that the id is still its own.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for process, session in _processes():
        if session == leader:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, int]]:
    """Every process of the machine with its session."""
    try:
        names = [name for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - often
    except OSError:
        return
    for name in names:
        try:
            text = (_PROC / name / "stat").read_text()
            session = int(text.rpartition(")")[2].split()[3])
        except (OSError, ValueError, IndexError):
            continue
        yield int(name), session
