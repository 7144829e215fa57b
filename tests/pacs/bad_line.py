"""A line between two peers that breaks where a test wants it: what a network does on a bad day."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

_PIECE = 4096
_RESET = struct.pack("ii", 1, 0)  # close at once and tell the peer by a reset (SO_LINGER)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the bytes that the caller sends.

    Args:
        kind: "none"; "cut": the line breaks; "freeze": nothing comes through any more, the line
            stays open; "change": one byte arrives as another.
        after: How many bytes come through before.
        connections: How many connections, from now on, it happens to.
    """

    kind: Literal["none", "cut", "freeze", "change"] = "none"
    after: int = 0
    connections: int = 1


class BadLine:
    """Listens on a free port of its own and passes bytes on to another.

    Args:
        port: Where the peer that is called listens.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._fault, self._left = Fault(), 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self.happened = threading.Semaphore(0)
        self._begin(self._accept)

    def break_by(self, fault: Fault) -> None:
        """Let a fault happen to the next connections; `happened` counts how often it did."""
        with self._lock:
            self._fault, self._left = fault, fault.connections

    def close(self) -> None:
        """End all connections, and wait for what served them."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            open_now = list(self._open)
        for end in open_now:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)

    def _begin(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            self._begin(self._serve, caller)

    def _serve(self, caller: socket.socket) -> None:
        with self._lock:
            fault = self._fault if self._left > 0 else Fault()
            self._left -= 1
        try:
            called = socket.create_connection(self._target, 30)
        except OSError:
            caller.close()
            return
        called.settimeout(None)
        for end in (caller, called):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {caller, called}
        back = threading.Thread(target=self._pass_on, args=(called, caller, Fault()), daemon=True)
        back.start()
        self._pass_on(caller, called, fault)
        back.join()
        with self._lock:
            self._open -= {caller, called}
        caller.close()
        called.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket, fault: Fault) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                if fault.kind != "none" and passed + len(piece) > fault.after:
                    place = fault.after - passed
                    self.happened.release()
                    if fault.kind == "change":
                        piece = piece[:place] + bytes([piece[place] ^ 0x55]) + piece[place + 1 :]
                        fault = Fault()
                    else:
                        sink.sendall(piece[:place])
                        self._broken(source, sink, fault)
                        return
                sink.sendall(piece)
                passed += len(piece)
        for end in (sink, source):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_WR if end is sink else socket.SHUT_RD)

    def _broken(self, source: socket.socket, sink: socket.socket, fault: Fault) -> None:
        if fault.kind == "freeze":
            self._ended.wait()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def bad_line(port: int) -> Iterator[BadLine]:
    """A line to a port of this machine, closed at the end."""
    line = BadLine(port)
    try:
        yield line
    finally:
        line.close()
