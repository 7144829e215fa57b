"""Two reasons to stop before the last step: nothing is gained any more, or somebody says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether Ctrl-C or SIGTERM came since the block was entered."""

    def __init__(self) -> None:
        self.made = False


@contextmanager
def stop_at_step_boundary(*, patient: bool = False) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request, so that no step is left half-done.

    A second one goes to whoever handled the signal before, at once. Outside the main thread,
    where Python delivers no signals, the block changes nothing.

    Args:
        patient: Take a second one like the first: `torchrun` hands a Ctrl-C on to processes that
            the terminal has sent it to already, and kills them by itself if they take too long.

    Yields:
        The request, to be looked at after every step.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        request.made = True
        if not patient:
            restore()

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
