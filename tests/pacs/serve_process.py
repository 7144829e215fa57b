"""`ctdenoise serve` as a process of its own, and what it says."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger

PATIENCE_S = 120.0


@contextmanager
def serving(folder: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """A server that is ready; stopped by SIGTERM at the end, and it must end well.

    Args:
        folder: Gets the settings, the state folder `state` and what the server says (`says`).
        settings: As a file has them.

    Yields:
        The state folder.
    """
    file, state, says = folder / "serve.yaml", folder / "state", folder / "says"
    file.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")
    command = [sys.executable, "-m", "ctdenoise", "serve", "--config", str(file)]
    with says.open("w") as output:
        process = subprocess.Popen(
            [*command, "--state", str(state)], stdout=output, stderr=output, cwd=folder
        )
    try:
        (folder / "pid").write_text(str(process.pid))
        until(lambda: "ready:" in says.read_text() or process.poll() is not None)
        assert process.poll() is None, says.read_text()
        yield state
    finally:
        process.terminate()
        code = process.wait(PATIENCE_S)
    assert code == 0, says.read_text()


def port_of(state: Path) -> int:
    """Where a server receives, as it said."""
    found = re.search(r"DICOM on port (\d+)", (state.parent / "says").read_text())
    assert found is not None
    return int(found[1])


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def ended(state: Path, count: int) -> tuple[Job, ...]:
    """The jobs of a server once so many have ended."""
    with Ledger.open(state, read_only=True) as ledger:
        until(lambda: len(ledger.jobs(("done", "refused", "dead-letter"))) >= count)
        return ledger.jobs(newest_first=False)
