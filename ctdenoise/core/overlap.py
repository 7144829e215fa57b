"""Three things at once: reading ahead, working, and writing behind.

The work stays in the caller's thread, where Ctrl-C is heard; reading and writing have a thread
each. Both queues are short, so memory holds a few items however many there are.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE_S = 0.2
"""How long a full or empty queue is waited for before a thread looks whether it should end."""


@dataclass(slots=True)
class Busy:
    """Seconds that each stage worked, without waiting for the others.

    What several threads do at the same time in one stage counts once.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _working: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _since: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """Count the time of a block of code."""
        with self._lock:
            if not self._working[stage]:
                self._since[stage] = time.perf_counter()
            self._working[stage] += 1
        try:
            yield
        finally:
            with self._lock:
                self._working[stage] -= 1
                if not self._working[stage]:
                    self.seconds[stage] += time.perf_counter() - self._since[stage]


class _End:
    """Marks the end of a queue."""


@dataclass(eq=False)
class _Line(Generic[Item]):
    """A short queue between two threads, that can be given up."""

    depth: int
    queue: Queue[Item | _End] = field(init=False)
    given_up: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.queue = Queue(self.depth)

    def put(self, item: Item | _End) -> bool:
        """Hand an item on; returns False where nobody will take it."""
        while not self.given_up.is_set():
            try:
                self.queue.put(item, timeout=_PATIENCE_S)
            except Full:
                continue
            return True
        return False

    def items(self) -> Iterator[Item]:
        """Everything that is handed on, until the end or until it is given up."""
        while not self.given_up.is_set():
            try:
                item = self.queue.get(timeout=_PATIENCE_S)
            except Empty:
                continue
            if isinstance(item, _End):
                return
            yield item


@contextmanager
def read_ahead(items: Iterable[Item], *, depth: int = 1) -> Iterator[Iterator[Item]]:
    """Run an iterable in a thread of its own, a few items ahead of who uses it.

    Args:
        items: Run in the thread, item by item; what it raises is raised where the items are used.
        depth: How many finished items may wait.

    Yields:
        The items, in order.
    """
    line: _Line[Item] = _Line(depth)

    def run() -> None:
        try:
            for item in items:
                if not line.put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            line.error = error
        line.put(_End())

    def used() -> Iterator[Item]:
        yield from line.items()
        if line.error is not None:
            raise line.error

    thread = threading.Thread(target=run, name="read ahead", daemon=True)
    thread.start()
    try:
        yield used()
    finally:
        line.given_up.set()
        thread.join()


@contextmanager
def write_behind(
    write: Callable[[Item], None], *, depth: int = 1
) -> Iterator[Callable[[Item], None]]:
    """Do something with items in a thread of its own, a few items behind who makes them.

    The block ends when everything is written. If it ends with an error, what waits is dropped.

    Args:
        write: Called in the thread, one item after the other; what it raises is raised where the
            next item is handed over, or at the end of the block.
        depth: How many items may wait.

    Yields:
        A function that hands an item over.
    """
    line: _Line[Item] = _Line(depth)

    def run() -> None:
        try:
            for item in line.items():
                write(item)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are made
            line.error = error
            line.given_up.set()

    def hand_over(item: Item) -> None:
        if not line.put(item) and line.error is not None:
            raise line.error

    thread = threading.Thread(target=run, name="write behind", daemon=True)
    thread.start()
    try:
        yield hand_over
        line.put(_End())
        while thread.is_alive():
            thread.join(_PATIENCE_S)  # in short turns, so that Ctrl-C is heard
    finally:
        line.given_up.set()
        thread.join()
    if line.error is not None:
        raise line.error


def in_lanes(
    work: Callable[[Item], Result], items: Iterable[Item], *, lanes: int
) -> Iterator[tuple[Item, Result]]:
    """Do something with items, several at a time.

    Args:
        work: Called in threads of its own where there are several lanes; otherwise in the thread
            of the caller. What it raises is raised where the result is used.
        items: Asked for in the thread of the caller, no more of them ahead than there are lanes.
        lanes: How many items are worked on at a time.

    Yields:
        The items with their results, in order.
    """
    if lanes == 1:
        for item in items:
            yield item, work(item)
        return
    begun: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
        try:
            for item in items:
                begun.append((item, pool.submit(work, item)))
                if len(begun) >= lanes:
                    first, result = begun.popleft()
                    yield first, result.result()
            while begun:
                first, result = begun.popleft()
                yield first, result.result()
        finally:
            for _, result in begun:
                result.cancel()
