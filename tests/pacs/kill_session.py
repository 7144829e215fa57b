"""Scanners send, and all the while the server or its workers are killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctdenoise.errors import CTDenoiseError
from ctdenoise.jobs.ledger import Ledger
from tests.pacs.destination import Destination
from tests.pacs.oracle import examine_destination, examine_files, examine_inbox
from tests.pacs.oracle_ledger import examine_ledger
from tests.pacs.senders import send_until_accepted
from tests.pacs.sent_studies import SentStudy, make_study
from tests.pacs.service_process import Service, end, is_worker, wait_until

_BACKLOG = 5
_SLICES = 8
_EARLY = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session does.

    Args:
        server_kills: How often the server is killed.
        worker_kills: How often a worker is killed.
        senders: How many scanners send at the same time, until the last kill.
        longest_life_s: A life ends at a random moment within so many seconds of when the server is
            ready; one in five, of its start.
        seed: Of the moments.
        minutes: There are no more kills after so long.
    """

    server_kills: int
    worker_kills: int
    senders: int = 2
    longest_life_s: float = 8.0
    seed: int = 1
    minutes: float = 60.0


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What came of a session.

    Args:
        problems: What was lost, came twice or is half; empty where nothing is.
        studies: How many were sent and accepted in full.
        ended: How many of them ended in which state.
        moments: At how many kills of the server what was under way (several at once, maybe).
        server_kills, worker_kills: How many there were.
        twice: Instances that came over the wire again.
        instances: Derived instances at the destination.
        begun_again, sent_again: How often work, or sending, was begun once more.
        rounds: How often senders had to try.
        seconds: How long it took.
    """

    problems: tuple[str, ...]
    studies: int
    ended: Mapping[str, int]
    moments: Mapping[str, int]
    server_kills: int
    worker_kills: int
    twice: int
    instances: int
    begun_again: int
    sent_again: int
    rounds: int
    seconds: float


@dataclass
class _Scanners:
    """Threads that send one study after the other until they are told to stop."""

    folder: Path
    port: Callable[[], int]
    place: Destination
    sent: list[SentStudy] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    rounds: int = 0
    active: int = 0
    enough: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, number: int) -> None:
        try:
            for count in range(100_000):
                self._make_room()
                if self.enough.is_set():
                    return
                self._send(make_study(self.folder, f"s{number}n{count}", **_mixed(count)))
        except BaseException as failure:  # noqa: BLE001 - told by the thread that waits for it
            self.failures.append(failure)

    def _make_room(self) -> None:
        """Wait while more is under way than the service has to be given."""
        while not self.enough.wait(0.2):
            with self.lock:
                wanted = sum(len(series.instances) for s in self.sent for series in s.of("wanted"))
            if wanted - len(self.place.kept()) < _BACKLOG * _SLICES:
                return

    def _send(self, study: SentStudy) -> None:
        with self.lock:
            self.active += 1
        rounds = send_until_accepted(study, self.port)
        with self.lock:
            self.active -= 1
            self.rounds += rounds
            self.sent.append(study)


def _mixed(count: int) -> dict[str, Any]:
    """Studies of several kinds: most with a series that is not wanted, some that cannot be used."""
    fates = (("wanted", "unwanted"), ("wanted",), ("unfit",), ("unwanted", "wanted", "wanted"))
    return {"fates": fates[count % len(fates)], "slices": _SLICES}


def run_session(
    folder: Path, settings: Mapping[str, Any], place: Destination, plan: Plan
) -> SessionReport:
    """Send, kill and start again, wait for the end, and judge.

    Args:
        folder: A folder for everything.
        settings: Of `serve`.
        place: Where the results go.
        plan: What is done.
    """
    began, chance = time.monotonic(), random.Random(plan.seed)
    running = Service(folder / "service", settings)
    up = threading.Event()

    def port() -> int:
        assert up.wait(600), "the server did not come back"
        return running.port

    scanners = _Scanners(folder / "sent", port, place)
    threads = [
        threading.Thread(target=scanners.run, args=(n,), daemon=True) for n in range(plan.senders)
    ]
    moments: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    try:
        running.start()
        up.set()
        for thread in threads:
            thread.start()
        until = began + 60 * plan.minutes
        while kills["server"] < plan.server_kills and time.monotonic() < until:
            moments.update(_one_life(running, up, scanners, chance, plan))
            kills["server"] += 1
        wait_until(running.is_ready, what="the server is ready")
        up.set()
        while kills["worker"] < plan.worker_kills and time.monotonic() < until:
            kills["worker"] += _kill_a_worker(running, chance)
        scanners.enough.set()
        for thread in threads:
            thread.join(900)
        assert scanners.failures == []
        wait_until(
            lambda: not examine_ledger(running.state, scanners.sent).problems,
            what="every study has ended",
            timeout_s=900,
        )
        running.stop()
    finally:
        scanners.enough.set()
        end(running)
    return _judged(running, scanners, place, (kills, moments), time.monotonic() - began)


def _one_life(
    running: Service, up: threading.Event, scanners: _Scanners, chance: random.Random, plan: Plan
) -> list[str]:
    """Let the server live for a while, kill it, start it again; what it was doing."""
    pause, is_early = threading.Event(), chance.random() < _EARLY
    if is_early:
        pause.wait(chance.random() * plan.longest_life_s)
    else:
        wait_until(running.is_ready, what="the server is ready")
        up.set()
        pause.wait(chance.random() * plan.longest_life_s)
    doing = ["receiving"] * (scanners.active > 0)
    was_up, workers = running.is_ready(), running.workers()
    running.kill()
    up.clear()
    doing = doing + states_under_way(running.state) if was_up else ["starting"]
    wait_until(lambda: not alive(workers), what="the workers of a killed server are gone")
    running.start(ready=False)
    return doing


def alive(pids: Sequence[int]) -> list[int]:
    """Which of some worker processes still run."""
    return [pid for pid in pids if is_worker(pid)]


def states_under_way(state: Path) -> list[str]:
    """What the jobs of a ledger are doing that have not ended; "idle" where there are none."""
    with suppress(CTDenoiseError), closing(Ledger.open(state, read_only=True)) as ledger:
        found = {job.state for job in ledger.jobs(("ready", "running", "made", "sending"))}
        return sorted(found) or ["idle"]
    return ["no ledger"]


def _kill_a_worker(running: Service, chance: random.Random) -> bool:
    """Kill a worker at a random moment; whether there was one."""
    wait_until(lambda: bool(running.workers()), what="there is a worker")
    threading.Event().wait(chance.random())
    pid = chance.choice(running.workers() or [0])
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in running.workers(), what="the worker is gone")
    return pid > 0


def _judged(
    running: Service,
    scanners: _Scanners,
    place: Destination,
    counted: tuple[Counter[str], Counter[str]],
    seconds: float,
) -> SessionReport:
    kills, moments = counted
    account = examine_ledger(running.state, scanners.sent)
    processed = [study for study in scanners.sent if study.of("wanted")]
    others = [study for study in scanners.sent if not study.of("wanted")]
    arrived = examine_destination(
        place.kept(), place.deliveries(), processed=processed, refused=others
    )
    problems = [*account.problems, *arrived.problems, *examine_files(running.state)]
    problems += examine_inbox(running.state / "inbox", scanners.sent)
    for study in processed:
        if account.states.get(study.name) != "done":
            problems.append(f"{study.name} is {account.states.get(study.name)}")
    for study in others:
        if account.states.get(study.name) != "refused":
            problems.append(f"{study.name} is {account.states.get(study.name)}")
    return SessionReport(
        problems=tuple(problems),
        studies=len(scanners.sent),
        ended=dict(Counter(account.states.values())),
        moments=dict(moments),
        server_kills=kills["server"],
        worker_kills=kills["worker"],
        twice=arrived.twice,
        instances=arrived.instances,
        begun_again=account.begun,
        sent_again=account.sent_again,
        rounds=scanners.rounds,
        seconds=seconds,
    )
