"""`ctdenoise serve` as a process that is heard, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_until(holds: Callable[[], bool], *, what: str, timeout_s: float = 180.0) -> None:
    """Wait for something that nothing announces.

    Raises:
        AssertionError: If it does not come.
    """
    until, pause = time.monotonic() + timeout_s, threading.Event()
    while not holds():
        assert time.monotonic() < until, f"it never came to this: {what}"
        pause.wait(0.05)


@dataclass
class Running:
    """The server.

    Args:
        process: Its process.
        state: Its state folder.
        log: What it printed.
        port: Where it receives.
        http: Where its pages are.
    """

    process: subprocess.Popen[bytes]
    state: Path
    log: Path
    port: int
    http: int

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page; 0 where there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=20) as page:
                return int(page.status), page.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code), error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        """Whether it says that it is."""
        assert self.process.poll() is None, self.log.read_text()
        return self.get("/ready")[0] == 200

    def stop(self) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


@contextmanager
def running(
    folder: Path, settings: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[Running]:
    """A server that is ready; it is gone at the end.

    Args:
        folder: For its settings, its state and what it prints.
        settings: Of `serve`; ports are filled in.
        environment: Added to that of this process.
    """
    port, http = free_port(), free_port()
    ports = {"receiver": {"port": port}, "http": {"port": http}}
    (folder / "serve.yaml").write_text(json.dumps({**settings, **ports}))
    words = ["serve", "--config", folder / "serve.yaml", "--state", folder / "state"]
    with (folder / "printed.txt").open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "ctdenoise", *words],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            cwd=ROOT,
        )
    server = Running(process, folder / "state", folder / "printed.txt", port, http)
    try:
        wait_until(server.is_ready, what="the server is ready")
        yield server
    finally:
        process.kill()
        process.wait(60)
