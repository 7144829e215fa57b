"""Running the real command line from tests."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.cli.app import app
from ctdenoise.cli.failure import guarded


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def _arguments(words: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "ctdenoise", *map(str, words)]


def _environment() -> dict[str, str]:
    # One thread, as in the test process itself: the same bits, and no fight for the cores.
    return {**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def ctdenoise(*words: str | Path) -> Outcome:
    """Run a command to its end, in this process: the imports are paid for once."""
    stdout, stderr = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = guarded(app, [str(word) for word in words])
    finally:
        signal.signal(signal.SIGTERM, handler)
    return Outcome(code, stdout.getvalue(), stderr.getvalue())


def ctdenoise_process(*words: str | Path, timeout_s: float = 600) -> Outcome:
    """Run a command to its end in a process of its own, as a shell does."""
    done = subprocess.run(
        _arguments(words),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=_environment(),
        stdin=subprocess.DEVNULL,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def stopped(
    *words: str | Path,
    when: Callable[[], bool],
    with_signal: signal.Signals = signal.SIGINT,
    timeout_s: float = 300,
) -> Outcome:
    """Run a command and send it a signal as soon as a condition holds.

    Raises:
        AssertionError: If the command ended before the condition held.
    """
    process = subprocess.Popen(
        _arguments(words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + timeout_s
    try:
        while not when():
            assert process.poll() is None, f"ended too early: {process.communicate()}"
            assert time.monotonic() < deadline, "the condition never held"
            time.sleep(0.01)
        process.send_signal(with_signal)
        stdout, stderr = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return Outcome(process.returncode, stdout, stderr)


def files_below(folder: Path) -> list[str]:
    """Everything in a folder, at any depth, hidden entries included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
