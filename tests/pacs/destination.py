"""A destination of the tests, seen from outside: a process that can be told, killed and asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from tests.pacs.recording import SUCCESS, Behaviour, Delivery, deliveries

ROOT = Path(__file__).parents[2]
ACCEPTED = frozenset({SUCCESS, 200})


class Destination:
    """A recording destination and its process; comes back on the same port.

    Args:
        folder: Where it keeps what it is sent.
        kind: How it is sent to.
    """

    def __init__(self, folder: Path, kind: Literal["dimse", "web"] = "dimse") -> None:
        self.folder, self.kind, self.port = folder, kind, 0
        self._process: subprocess.Popen[str] | None = None

    def start(self, behaviour: Behaviour | None = None) -> None:
        """Listen; returns once it does."""
        program = f"tests.pacs.{self.kind}_destination"
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, str(self.folder), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.port = int(self._line())
        if behaviour is not None:
            self.behave(behaviour)

    def behave(self, behaviour: Behaviour) -> None:
        """Answer otherwise from now on."""
        process = self._running()
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(behaviour)) + "\n")
        process.stdin.flush()
        assert self._line() == "told"

    def kill(self) -> None:
        """Gone, in the middle of whatever it does."""
        if self._process is None:
            return
        self._process.kill()
        self.gone()

    def gone(self, timeout_s: float = 60) -> None:
        """Wait until its process has ended by itself."""
        process = self._running()
        process.wait(timeout_s)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        self._process = None

    def deliveries(self) -> list[Delivery]:
        """What came over the wire, oldest first."""
        return deliveries(self.folder)

    def kept(self) -> dict[str, Path]:
        """The file of every instance that it accepted, by its UID."""
        return {path.stem: path for path in (self.folder / "instances").glob("*.dcm")}

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the destination does not run"
        return self._process

    def _line(self) -> str:
        process = self._running()
        assert process.stdout is not None
        return process.stdout.readline().strip()


@contextmanager
def destination(folder: Path, kind: Literal["dimse", "web"] = "dimse") -> Iterator[Destination]:
    """A destination that listens and behaves; it is gone at the end."""
    found = Destination(folder, kind)
    found.start()
    try:
        yield found
    finally:
        found.kill()
