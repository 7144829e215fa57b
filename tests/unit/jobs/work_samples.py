"""Work that units of tests do, as functions of a module: worker processes import them by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.errors import OutputError, StudyError


@dataclass(frozen=True, slots=True)
class Note:
    """A file that tells a test what happened, and how long to go on."""

    path: Path
    seconds: float = 0.0


class PanicException(BaseException):
    """What a Rust extension raises: no Exception."""


def double(number: int) -> int:
    return 2 * number


def process_id(_: object) -> int:
    return os.getpid()


def refuse(_: object) -> None:
    raise StudyError("2 slices are missing:\n  - after the first\n  - after the second")


def no_disk(_: object) -> None:
    raise OutputError("the disk is full")


def fault(_: object) -> None:
    raise ValueError("Doe^John cannot be read")


def panic(_: object) -> None:
    raise PanicException("called `Option::unwrap()` on a `None` value")


def leave(_: object) -> None:
    sys.exit(3)


def end_by(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(300)


def hold(megabytes: int) -> int:
    return int(np.ones(megabytes * 125_000)[-1])


def hold_and_wait(megabytes: int) -> float:
    held = np.ones(megabytes * 125_000)
    time.sleep(300)
    return float(held[0])


def keep(megabytes: int) -> int:
    KEPT.append(np.ones(megabytes * 125_000))
    return os.getpid()


KEPT: list[object] = []


def child_holds_and_waits(megabytes: int) -> None:
    program = f"x = b'1' * {megabytes * 1_000_000}; import time; time.sleep(300)"
    subprocess.run([sys.executable, "-c", program], check=True, process_group=0)


def write_much(note: Note) -> None:
    with note.path.open("wb") as file:
        file.write(bytes(3_000_000))


def lambda_of(_: object) -> object:
    return lambda: None


def wait_with_child(note: Note) -> None:
    """Wait with a child in a process group of its own; tell both ids, and whether it could end."""
    with subprocess.Popen(["sleep", "300"], process_group=0) as child:
        _tell(note.path, f"{os.getpid()} {child.pid}")
        try:
            time.sleep(note.seconds)
        except KeyboardInterrupt:
            _tell(note.path.with_suffix(".stopped"), "")
            child.kill()
            raise


def deaf(note: Note) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_with_child(note)


def _tell(path: Path, text: str) -> None:
    stage = path.with_suffix(".new")
    stage.write_text(text)
    stage.replace(path)


def unlucky_prepare(seat: int) -> None:
    raise StudyError(f"seat {seat} has no model")


def prepare(seat: int) -> None:
    os.environ["CTDENOISE_TEST_SEAT"] = str(seat)


def seat_of(_: object) -> str:
    time.sleep(0.2)
    return os.environ["CTDENOISE_TEST_SEAT"]


def nice_and_core(_: object) -> tuple[int, tuple[int, int]]:
    import resource

    return os.nice(0), resource.getrlimit(resource.RLIMIT_CORE)


def wait_once(note: Note) -> str:
    """Wait the first time; the second time, say so."""
    if note.path.exists():
        return "done the second time"
    _tell(note.path, "begun")
    time.sleep(note.seconds)
    return "done the first time"
