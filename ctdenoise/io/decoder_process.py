"""Compressed frames decoded in processes of their own, so that hostile bytes cannot end a run.

The decoders are C, C++ and Rust. What makes one crash, spin or fill the memory ends a process that
did nothing else, and the frame is refused in words. The processes are started when the first frame
comes, as programs of their own (no fork of threads, no second run of somebody's main module), and
stay for the next series. They end when this process closes their pipes, or ends in any way.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ctdenoise.core.arrays import StoredArray
from ctdenoise.core.workers import is_worker
from ctdenoise.errors import CTDenoiseError
from ctdenoise.io.decoder_protocol import (
    ANSWER,
    DECODED,
    KINDS,
    NO_DECODER,
    NO_MEMORY,
    READY,
    REQUEST,
)
from ctdenoise.io.dicom_codestream import EncodedFrame
from ctdenoise.io.dicom_file import DamagedFileError

SECONDS_MOST = 60
"""For one frame; the slowest of 4096 x 4096 pixels takes two on one core."""

_SECOND_AFTER = 12
"""Frames that one process decodes before a second one is worth its start."""

_QUEUE_MOST = 4

_ENDED_ITSELF = 1
"""Exit code of a process whose time for a frame was over."""

if sys.platform == "win32":
    _OWN_GROUP: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    _OWN_GROUP: dict[str, Any] = {"process_group": 0}  # Ctrl-C in a terminal reaches us alone

_PROGRAM = """
import sys
sys.path[:] = {path!r}
from ctdenoise.io.dicom_decoding import serve
serve({seconds})
"""


class DecoderProcess:
    """A process that decodes one frame at a time.

    Raises:
        CTDenoiseError: If it cannot be started.
    """

    def __init__(self) -> None:
        if getattr(sys, "frozen", False):  # the executable is no interpreter
            raise _cannot_start()
        path = [entry or str(Path.cwd()) for entry in sys.path]
        program = _PROGRAM.format(path=path, seconds=SECONDS_MOST)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own program
                [sys.executable, "-I", "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # decoders write there whatever they like
                bufsize=0,
                **_OWN_GROUP,
            )
        except OSError as error:
            raise _cannot_start() from error
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._is_ready = False
        self._expected: EncodedFrame | None = None
        self._frames = 0

    def send(self, frame: EncodedFrame) -> None:
        """Give it a frame to decode, when it has none."""
        description = asdict(frame)
        data = description.pop("data")
        text = json.dumps(description).encode()
        self._expected = frame
        with suppress(BrokenPipeError):  # it died; receiving says so
            self._write(REQUEST.pack(len(text), len(data)) + text)
            self._write(data)

    def receive(self) -> StoredArray | DamagedFileError:
        """Its pixels, or why there are none; afterwards `is_alive` says whether to go on with it.

        What an earlier frame left behind (a leak, a death in between) must not refuse this one: a
        frame that fails in a process that is not new is tried again in one that is.

        Raises:
            CTDenoiseError: If the process never started, or has no decoder.
        """
        frame, self._expected = cast("EncodedFrame", self._expected), None
        outcome = self._outcome(frame)
        self._frames += 1
        if isinstance(outcome, DamagedFileError):
            self.close()
            if self._frames > 1:
                again = DecoderProcess()
                again.send(frame)
                outcome = again.receive()
                again.close()
        return outcome

    def _outcome(self, frame: EncodedFrame) -> StoredArray | DamagedFileError:
        """What it answers about a frame."""
        try:
            if not self._is_ready:
                self._become_ready()
            status, kind, rows, columns = ANSWER.unpack(self._read(ANSWER.size))
            if status == NO_DECODER:
                raise CTDenoiseError(
                    "no decoder for a compressed transfer syntax is installed.",
                    fix="Install ctdenoise again with its requirements.",
                )
            if status == NO_MEMORY:
                return DamagedFileError("its compressed pixels need more memory than any CT image")
            if status != DECODED:
                return DamagedFileError("its compressed pixels cannot be decoded")
            if (rows, columns) != (frame.rows, frame.columns):
                return DamagedFileError(
                    "its decoded picture is of another size than its header says"
                )
            array: StoredArray = np.empty((rows, columns), KINDS[kind])
            self._read_into(array.data.cast("B"))
        except EOFError:
            return DamagedFileError(self._how_it_ended())
        return array

    @property
    def is_alive(self) -> bool:
        """Whether it can take another frame."""
        return self._process.returncode is None and self._process.poll() is None

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()

    def forget(self) -> None:
        """Let go of it without ending it: it belongs to the process that this one is a copy of."""
        self._process.returncode = 0
        self._requests.close()
        self._answers.close()

    def _become_ready(self) -> None:
        try:
            status = ANSWER.unpack(self._read(ANSWER.size))[0]
        except EOFError as error:
            self.close()
            raise _cannot_start() from error
        self._is_ready = status == READY

    def _how_it_ended(self) -> str:
        """Why there was no answer."""
        code = self._process.wait()
        if code in (_ENDED_ITSELF, -getattr(signal, "SIGXCPU", 0)):
            return f"its compressed pixels were not decoded within {SECONDS_MOST} seconds"
        return "its compressed pixels made the decoder crash"

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._requests.write(view) :]

    def _read(self, size: int) -> bytes:
        data = bytearray(size)
        self._read_into(memoryview(data))
        return bytes(data)

    def _read_into(self, view: memoryview) -> None:
        answers = cast("io.RawIOBase", self._answers)
        while view:
            count = answers.readinto(view)
            if not count:
                raise EOFError
            view = view[count:]


def _cannot_start() -> CTDenoiseError:
    return CTDenoiseError(
        "the process that decodes compressed pixels cannot be started.",
        fix="Check that this Python may start programs and has memory left.",
    )


@dataclass(slots=True)
class _Processes:
    """Processes that wait for the next series."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    idle: list[DecoderProcess] = field(default_factory=list)

    def take(self) -> DecoderProcess:
        with self.lock:
            while self.idle:
                process = self.idle.pop()
                if process.is_alive:
                    return process
                process.close()
        return DecoderProcess()

    def give_back(self, process: DecoderProcess) -> None:
        with self.lock:
            if process.is_alive and len(self.idle) < _most_processes():
                self.idle.append(process)
                return
        process.close()

    def close(self) -> None:
        with self.lock:
            while self.idle:
                self.idle.pop().close()

    def forget(self) -> None:
        """In a copy that `fork` made: the processes answer to the original."""
        self.lock = threading.Lock()
        while self.idle:
            self.idle.pop().forget()


_processes = _Processes()


@atexit.register
def end_processes() -> None:
    """End the processes that wait for the next series; the next one starts its own."""
    _processes.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_processes.forget)


def _most_processes() -> int:
    """Two where there are two processors and no other process of ours shares them."""
    return 1 if is_worker() else min(2, os.cpu_count() or 1)


def decoded(
    items: Iterable[StoredArray | EncodedFrame | DamagedFileError],
) -> Iterator[StoredArray | DamagedFileError]:
    """Frames decoded, in order; what needs no decoding goes through as it is.

    A few frames are asked for ahead of the one that is given.

    Args:
        items: Compressed frames, and arrays or refusals that take their place in the order.

    Raises:
        CTDenoiseError: If no decoder process can be started, or there is no decoder.
    """
    line = _Line()
    try:
        for item in items:
            if isinstance(item, EncodedFrame):
                yield from line.put_frame(item)
            else:
                line.waiting.append(item)
            yield from line.ready()
        yield from line.rest()
    finally:
        line.close()


class _Line:
    """Outcomes in order, some of them still with a process."""

    def __init__(self) -> None:
        self.waiting: deque[DecoderProcess | StoredArray | DamagedFileError] = deque()
        self._free: list[DecoderProcess] = []
        self._count = self._done = 0

    def put_frame(self, frame: EncodedFrame) -> list[StoredArray | DamagedFileError]:
        """Give a frame to a process; returns what had to be taken out of the line for it."""
        taken = []
        most = _most_processes() if self._done >= _SECOND_AFTER else 1
        while not self._free and self._count >= most:
            taken.append(self._first())
        if not self._free:
            self._free.append(_processes.take())
            self._count += 1
        process = self._free.pop()
        self.waiting.append(process)
        process.send(frame)
        return taken

    def ready(self) -> Iterator[StoredArray | DamagedFileError]:
        """Outcomes at the front that are there, and those for which the line grew too long."""
        while self.waiting and (
            not isinstance(self.waiting[0], DecoderProcess) or len(self.waiting) > _QUEUE_MOST
        ):
            yield self._first()

    def rest(self) -> Iterator[StoredArray | DamagedFileError]:
        """Everything that is left."""
        while self.waiting:
            yield self._first()

    def close(self) -> None:
        """Give processes back; one that has not answered is ended."""
        for item in self.waiting:
            if isinstance(item, DecoderProcess):
                item.close()
        for process in self._free:
            _processes.give_back(process)

    def _first(self) -> StoredArray | DamagedFileError:
        first = self.waiting[0]
        if not isinstance(first, DecoderProcess):
            self.waiting.popleft()
            return first
        outcome = first.receive()
        self.waiting.popleft()
        self._done += 1
        if first.is_alive:
            self._free.append(first)
        else:
            first.close()
            self._count -= 1
        return outcome
