"""Many studies at once: how long until the last result is at its destination."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.pacs import dcmtk
from tests.pacs.destination import Destination
from tests.pacs.oracle import examine_destination
from tests.pacs.oracle_ledger import examine_ledger
from tests.pacs.senders import by_dcmtk, send_at_once
from tests.pacs.sent_studies import SentStudy
from tests.pacs.service_process import Service, end, free_port, wait_until


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load.

    Args:
        problems: What was lost, came twice or is half.
        instances: How many were sent.
        derived: How many results there are.
        sent_s: Time until all were accepted.
        whole_s: Time until the last result was at the destination.
        waits_s: For each study, from the end of its sending until it was whole at the destination.
    """

    problems: tuple[str, ...]
    instances: int
    derived: int
    sent_s: float
    whole_s: float
    waits_s: tuple[float, ...]

    def in_words(self) -> str:
        """The figures in a few lines."""
        return (
            f"received  {self.instances / self.sent_s:7.1f} instances/s ({self.sent_s:.1f} s)\n"
            f"delivered {self.derived / self.whole_s:7.1f} results/s "
            f"({self.whole_s:.1f} s until the last of {self.derived})\n"
            f"a study is whole at the destination {statistics.median(self.waits_s):.1f} s after it "
            f"was sent (median; {min(self.waits_s):.1f} to {max(self.waits_s):.1f} s)"
        )


def through_the_server(
    folder: Path,
    settings: Mapping[str, Any],
    place: Destination,
    studies: Sequence[SentStudy],
    *,
    senders: int,
) -> Load:
    """Send studies to a server that is ready, several at a time, and wait for all results.

    Args:
        folder: A folder for the server.
        settings: Of `serve`.
        place: Where results go.
        studies: What is sent.
        senders: How many are sent at a time.
    """
    running = Service(folder / "service", settings)
    try:
        running.start()
        began = time.monotonic()
        watch = _Watch(place, studies)
        watching = threading.Thread(target=watch.run)
        watching.start()
        sent_at = _send(studies, running.port, senders)
        sent_s = time.monotonic() - began
        watching.join()
        wait_until(lambda: _is_done(running, studies), what="all studies are done")
        account = examine_ledger(running.state, studies)
        running.stop()
    finally:
        end(running)
    arrived = examine_destination(place.kept(), place.deliveries(), processed=studies)
    problems = [*account.problems, *arrived.problems]
    problems += ["something came twice"] * arrived.twice
    waits = [watch.whole_at[study.name] - sent_at[study.name] for study in studies]
    return Load(
        tuple(problems),
        sum(len(study.paths) for study in studies),
        arrived.instances,
        sent_s,
        max(watch.whole_at.values()) - began,
        tuple(waits),
    )


def to_storescp(folder: Path, studies: Sequence[SentStudy], *, senders: int) -> float:
    """Seconds that the same senders take with dcmtk's storescp, which only stores."""
    port = free_port()
    folder.mkdir()
    command = [dcmtk.program("storescp"), "--fork", "--output-directory", str(folder), str(port)]
    without_delay = {**os.environ, "TCP_NODELAY": "1"}  # else every instance waits 40 ms
    with subprocess.Popen(command, env=without_delay, stderr=subprocess.DEVNULL) as receiver:
        try:
            wait_until(lambda: _listens(port), what="storescp listens")
            began = time.monotonic()
            _send(studies, port, senders)
            return time.monotonic() - began
        finally:
            receiver.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def _send(studies: Sequence[SentStudy], port: int, senders: int) -> dict[str, float]:
    """Send studies, several at a time; when each was accepted."""
    sent_at: dict[str, float] = {}

    def send(number: int, study: SentStudy) -> None:
        done = by_dcmtk("dcmsend", study.paths, port, calling=f"SENDER{number % senders}")
        assert done.returncode == 0, done.stderr
        sent_at[study.name] = time.monotonic()

    jobs = [lambda n=n, study=study: send(n, study) for n, study in enumerate(studies)]
    send_at_once(jobs, senders=senders)
    return sent_at


def _is_done(running: Service, studies: Sequence[SentStudy]) -> bool:
    states = examine_ledger(running.state, studies).states
    return all(states.get(study.name) == "done" for study in studies)


class _Watch:
    """Notes when each study is whole at the destination.

    Args:
        place: The destination.
        studies: What is waited for.
    """

    def __init__(self, place: Destination, studies: Sequence[SentStudy]) -> None:
        self._place, self._studies = place, studies
        self.whole_at: dict[str, float] = {}

    def run(self) -> None:
        """Watch until the last one is whole, or it takes a quarter of an hour."""
        until, pause = time.monotonic() + 900, threading.Event()
        counted: dict[str, int] = {}
        source: dict[str, str] = {}
        while len(self.whole_at) < len(self._studies) and time.monotonic() < until:
            self._look(source, counted)
            pause.wait(0.05)

    def _look(self, seen: dict[str, str], counted: dict[str, int]) -> None:
        for uid, path in self._place.kept().items():
            if uid not in seen:
                seen[uid] = _study_of(path)
                counted[seen[uid]] = counted.get(seen[uid], 0) + 1
        for study in self._studies:
            wanted = sum(len(series.instances) for series in study.of("wanted"))
            if study.name not in self.whole_at and counted.get(study.uid, 0) >= wanted:
                self.whole_at[study.name] = time.monotonic()


def _study_of(path: Path) -> str:
    return str(dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
