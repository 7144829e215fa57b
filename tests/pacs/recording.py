"""What a destination of the tests keeps of what it is sent, and how it is told to misbehave.

Every delivery is one line of `deliveries.jsonl`, whether it is accepted or not, so that what comes
twice over the wire is seen. What is accepted lies in `instances/`, as it came the first time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a destination answers. Instances are counted from when it was told so.

    Args:
        reject: Whom it rejects: "" nobody, "calling" and "called" by AE title (final), "busy" all,
            until it is told otherwise (transient).
        statuses: What the instances are answered in turn, by their number from 0; success where
            there is none. HTTP statuses for a DICOMweb destination.
        abort_at: Number of the instance during which it aborts the association.
        die_at: Number of the instance at which its process ends, without a word.
        die_before_keeping: Whether it ends before that instance is kept, or after it.
        stall_at: Number of the instance from which it does not answer, until told otherwise.
        delay_s: How long every answer takes.
    """

    reject: str = ""
    statuses: tuple[tuple[int, int], ...] = ()
    abort_at: int | None = None
    die_at: int | None = None
    die_before_keeping: bool = True
    stall_at: int | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One instance that came over the wire, in full.

    Args:
        uid: SOPInstanceUID.
        sha256: Digest of the data set's bytes.
        status: What it was answered.
        association: Number of the association, or of the request.
        caller: AE title that sent it; empty for DICOMweb.
        pid: Process of the destination.
    """

    uid: str
    sha256: str
    status: int
    association: int
    caller: str
    pid: int


@dataclass
class Recorder:
    """Keeps what comes; several threads may use it.

    Args:
        folder: Where it is kept.
    """

    folder: Path
    behaviour: Behaviour = Behaviour()
    _seen: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _changed: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "instances").mkdir(parents=True, exist_ok=True)
        self._changed = threading.Condition(self._lock)

    def behave(self, behaviour: Behaviour) -> None:
        """Answer otherwise from now on; whoever waits for an answer gets it."""
        with self._changed:
            self.behaviour, self._seen = behaviour, 0
            self._changed.notify_all()

    def receive(
        self,
        uid: str,
        data_set: bytes,
        whole: bytes,
        association: int,
        caller: str,
        abort: Callable[[], None],
    ) -> int:
        """Keep an instance as the behaviour of the moment says; the status to answer.

        Args:
            uid: SOPInstanceUID.
            data_set: The data set's bytes.
            whole: The same as a DICOM file.
            association: Number of the association.
            caller: Who sends.
            abort: Breaks off the association.
        """
        with self._changed:
            number, behaviour = self._seen, self.behaviour
            self._seen += 1
            if behaviour.die_at == number and behaviour.die_before_keeping:
                os._exit(1)
            status = dict(behaviour.statuses).get(number, SUCCESS)
            digest = hashlib.sha256(data_set).hexdigest()
            self._write(Delivery(uid, digest, status, association, caller, os.getpid()), whole)
            if behaviour.die_at == number:
                os._exit(1)
            if behaviour.stall_at is not None and number >= behaviour.stall_at:
                self._changed.wait_for(lambda: self.behaviour is not behaviour)
            elif behaviour.delay_s:
                self._changed.wait_for(lambda: self.behaviour is not behaviour, behaviour.delay_s)
        if behaviour.abort_at == number:
            abort()
        return status

    def _write(self, delivery: Delivery, whole: bytes) -> None:
        if delivery.status in {SUCCESS, 200}:
            place = self.folder / "instances" / f"{delivery.uid}.dcm"
            if not place.exists():
                beside = place.with_suffix(f".{os.getpid()}")
                beside.write_bytes(whole)
                beside.rename(place)
        with (self.folder / "deliveries.jsonl").open("a") as lines:
            lines.write(json.dumps(asdict(delivery)) + "\n")


def deliveries(folder: Path) -> list[Delivery]:
    """What a destination was sent, oldest first; what it accepted has the status 0 or 200."""
    lines = folder / "deliveries.jsonl"
    if not lines.exists():
        return []
    return [Delivery(**json.loads(line)) for line in lines.read_text().splitlines()]


def obey(recorder: Recorder) -> None:
    """Behave as every line on stdin says, and answer each on stdout, until there are no more."""
    for line in sys.stdin:
        behaviour = replace(Behaviour(), **json.loads(line))
        behaviour = replace(
            behaviour, statuses=tuple((int(a), int(b)) for a, b in behaviour.statuses)
        )
        recorder.behave(behaviour)
        print("told", flush=True)
