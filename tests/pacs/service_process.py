"""`ctdenoise serve` as a process of its own, which a test can start, kill, stop and look at."""

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
READY_S = 180.0
_WORKER = b"ctdenoise.jobs.worker"


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_until(holds: Callable[[], bool], *, what: str, timeout_s: float = 180.0) -> None:
    """Wait for a condition that nothing announces, looking twenty times a second.

    Raises:
        AssertionError: If it does not hold in time.
    """
    until, pause = time.monotonic() + timeout_s, threading.Event()
    while not holds():
        assert time.monotonic() < until, f"in {timeout_s:g} s it never came to this: {what}"
        pause.wait(0.05)


class Service:
    """The server under test; it keeps its ports over restarts.

    Args:
        folder: Gets its settings, its state and what it says.
        settings: Of `serve`, as they would stand in YAML; ports are filled in.
        state: Its state folder; one below `folder` unless given.
        before: Words in front of the command, such as `unshare --mount`.
        environment: Added to that of this process.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        *,
        state: Path | None = None,
        before: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.state, self.log = state or folder / "state", folder / "log.txt"
        self.port, self.http = free_port(), free_port()
        self._before, self._environment = list(before), dict(environment or {})
        self._config = folder / "serve.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.configure(settings)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Other settings from the next start on."""
        receiver = {**settings.get("receiver", {}), "port": self.port}
        http = {**settings.get("http", {}), "port": self.http}
        whole = {**settings, "receiver": receiver, "http": http}
        self._config.write_text(json.dumps(whole, indent=1))  # JSON is YAML

    def start(self, *, ready: bool = True) -> None:
        """Start it on its state folder; returns once it is ready, or at once."""
        command = [sys.executable, "-m", "ctdenoise", "serve", "--config", str(self._config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._before, *command, "--state", str(self.state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "NUMBA_NUM_THREADS": "1",
                    **self._environment,
                },
                cwd=ROOT,
            )
        self.starts += 1
        if ready:
            wait_until(self.is_ready, what="the server is ready", timeout_s=READY_S)

    def is_ready(self) -> bool:
        """Whether it says that it is.

        Raises:
            AssertionError: If it has ended.
        """
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with {self.process.poll()}:\n{self.said()}"
        return self.get("/ready")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an answer of its HTTP server; status 0 where it gives none."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http}{path}", timeout=10
            ) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code), error.read().decode()
        except (OSError, ValueError):
            return 0, ""

    def kill(self) -> None:
        """Kill it (SIGKILL), it alone; its workers must see that it is gone."""
        self.send_signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(60)

    def stop(self, timeout_s: float = 120.0) -> int:
        """Ask it to end (SIGTERM); its exit code."""
        self.send_signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(timeout_s)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, and to nothing else."""
        os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        """Of the server itself, whatever was put in front of it."""
        assert self.process is not None
        below = children(self.process.pid) if self._before else []
        return below[0] if below else self.process.pid

    def workers(self) -> list[int]:
        """Processes that do its work now."""
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with {self.process.poll()}:\n{self.said()}"
        return [pid for pid in descendants(self.pid) if is_worker(pid)]

    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Those, and theirs."""
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def is_worker(pid: int) -> bool:
    """Whether a process runs that does the work of a server."""
    try:
        return _WORKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@contextmanager
def service(folder: Path, settings: Mapping[str, Any], **more: Any) -> Iterator[Service]:
    """A server that is ready; killed at the end with all that it started."""
    running = Service(folder, settings, **more)
    try:
        running.start()
        yield running
    finally:
        end(running)


def end(running: Service) -> None:
    """Kill a server and whatever it started, if any of it still runs."""
    process = running.process
    if process is None:
        return
    below = descendants(process.pid)
    process.kill()
    process.wait(60)
    for pid in below:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
