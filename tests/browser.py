"""A browser without a screen, told what to do through a pipe (the DevTools protocol)."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


@dataclass
class Visit:
    """What a browser saw of one page.

    Args:
        evaluate: Gives the value of an expression in the page.
        screenshot: Gives what is to be seen as PNG.
        console: What it complained of.
        requests: Addresses that the page asked for, itself included.
        statuses: Status of each answer, by address.
    """

    evaluate: Callable[[str], Any]
    screenshot: Callable[[], bytes]
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)


class Browser:
    """A running Chromium.

    Args:
        program: Its path.
        profile: Folder for its files.
    """

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, ours_out = _high_pipe()
        ours_in, theirs_out = _high_pipe()

        def join() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self._process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}"],
            preexec_fn=join,  # noqa: PLW1509 - two calls to the system and no more
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._rest = b""
        self._last = 0

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    @contextmanager
    def visit(self, url: str, *, width: int, height: int, is_dark: bool = False) -> Iterator[Visit]:
        """Load a page in a window of a size, and wait until it and its pictures are there."""
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]

        def call(method: str, **params: Any) -> Any:
            return self._call(method, params, session, visit)

        def evaluate(expression: str) -> Any:
            answer = call("Runtime.evaluate", expression=expression, returnByValue=True)
            return answer["result"].get("value")

        def screenshot() -> bytes:
            call("Emulation.setScrollbarsHidden", hidden=True)
            return base64.b64decode(call("Page.captureScreenshot", format="png")["data"])

        visit = Visit(evaluate, screenshot)
        try:
            for domain in ("Page", "Runtime", "Log", "Network"):
                call(f"{domain}.enable")
            call(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
            )  # fmt: skip
            scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
            call("Emulation.setEmulatedMedia", features=[scheme])
            call("Page.navigate", url=url)
            self._read_until(lambda told: told.get("method") == "Page.loadEventFired", visit)
            yield visit
        finally:
            self._call("Target.closeTarget", {"targetId": target})

    def _call(
        self,
        method: str,
        params: dict[str, Any],
        session: str | None = None,
        visit: Visit | None = None,
    ) -> Any:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        number = self._last
        answer = self._read_until(lambda told: told.get("id") == number, visit)
        assert "error" not in answer, answer
        return answer["result"]

    def _read_until(
        self, is_it: Callable[[dict[str, Any]], bool], visit: Visit | None
    ) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while True:
            while b"\0" in self._rest:
                text, _, self._rest = self._rest.partition(b"\0")
                told = json.loads(text)
                if visit is not None:
                    _remember(visit, told)
                if is_it(told):
                    return told
            ready = select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, "the browser does not answer"
            received = os.read(self._in, 1 << 20)
            assert received, "the browser ended"
            self._rest += received


def _remember(visit: Visit, told: dict[str, Any]) -> None:
    method, params = told.get("method"), told.get("params", {})
    if method == "Network.requestWillBeSent":
        visit.requests.append(params["request"]["url"])
    elif method == "Network.responseReceived":
        visit.statuses[params["response"]["url"]] = params["response"]["status"]
    elif method == "Log.entryAdded":
        visit.console.append(params["entry"]["text"])
    elif method == "Runtime.consoleAPICalled":
        visit.console.append(str(params["args"]))
    elif method == "Runtime.exceptionThrown":
        visit.console.append(params["exceptionDetails"]["text"])


def _high_pipe() -> tuple[int, int]:
    """A pipe whose numbers are none of those that the browser expects."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return (high[0], high[1])


@contextmanager
def running_browser(profile: Path) -> Iterator[Browser]:
    """A browser; the test is skipped where none is installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium is installed (Debian package chromium)")
    browser = Browser(program, profile)
    try:
        yield browser
    finally:
        browser.close()
