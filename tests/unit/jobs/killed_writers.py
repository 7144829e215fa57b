"""Processes that write into a ledger and are killed: a program that judges what they leave.

    python -m tests.unit.jobs.killed_writers FOLDER KILLS SEED

A child says what it is about to do and what it has done; it is killed at a random moment. Then the
ledger must hold everything that was done, and at most the one thing more that was under way.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import MOVES, RETRIES

STEPS = {"ready": "running", "running": "made", "made": "sending", "sending": "done"}
LONGEST_LIFE_S = 0.12
"""Opening takes a part of it, so that some are killed while they open."""


def write(folder: Path, pipe: int, number: int) -> None:
    """Work on jobs until the end comes; never returns well."""
    with Ledger.open(folder) as ledger:
        ledger.interrupted()
        count = 0
        while True:
            count += 1
            work_on_a_job(ledger, pipe, f"{number}-{count}")
            if count % 3 == 0:
                ledger.backup()


def work_on_a_job(ledger: Ledger, pipe: int, name: str) -> None:
    """One job from its start to its end, each step told before and after."""
    uid = f"1.2.{name}"
    say(pipe, "will", name, "ready")
    ledger.add(Job(id=name, kind="serve", study="5" * 16, payload={"files": [name] * 100}))
    say(pipe, "did", name, "ready")
    ledger.remember_instances(name, {uid: "0" * 64})
    state = "ready"
    while state in STEPS:
        state = STEPS[state]
        say(pipe, "will", name, state)
        ledger.move(name, state, reason=f"for {name}")
        say(pipe, "did", name, state)
    ledger.remember_delivered("archive", [uid])
    say(pipe, "did", name, "delivered")


def say(pipe: int, *words: str) -> None:
    os.write(pipe, (" ".join(words) + "\n").encode())


def killed_after(folder: Path, number: int, life_s: float) -> list[list[str]]:
    """Start a writer, kill it after a while, and give the lines it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(folder, writing, number)
        finally:
            os._exit(1)
    os.close(writing)
    said = b""
    end = time.monotonic() + life_s
    while (rest := end - time.monotonic()) > 0 and select.select([reading], [], [], rest)[0]:
        said += os.read(reading, 1 << 16)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the writer failed by itself"
    while more := os.read(reading, 1 << 16):
        said += more
    os.close(reading)
    return [line.split() for line in said.decode().splitlines()]


def judge(folder: Path, said: list[list[str]]) -> None:
    """Compare what the ledger holds with what was said."""
    did: dict[str, str] = {}
    delivered = set()
    for word, name, state in said:
        if word == "did" and state == "delivered":
            delivered.add(f"1.2.{name}")
        elif word == "did":
            did[name] = state
    under_way = said[-1][1:] if said and said[-1][0] == "will" else None
    with Ledger.open(folder) as ledger:
        assert ledger.restored == "", ledger.restored
        for name, state in did.items():
            found = ledger.job(name).state
            assert found == state or [name, found] == under_way, (name, found, state)
            assert ledger.job(name).payload == {"files": [name] * 100}
        assert ledger.delivered("archive", delivered) == delivered
        for job in ledger.jobs():
            states = [(move.before, move.after) for move in ledger.history(job.id)]
            assert states[0][0] is None, job
            assert states[-1][1] == job.state, job
            for (_, after), (before, following) in pairwise(states):
                back = {"running": "ready", "sending": "made"}.get(before)
                allowed = MOVES[before] | RETRIES.get(before, frozenset()) | {back}
                assert after == before, job
                assert following in allowed, job


def main(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    acknowledged = moments = 0
    for number in range(kills):
        said = killed_after(folder, number, rng.uniform(0.002, LONGEST_LIFE_S))
        if not (folder / "ledger.sqlite").exists():
            assert said == []
            continue
        judge(folder, said)
        moments += bool(said) and said[-1][0] == "will"
        acknowledged += sum(words[0] == "did" for words in said)
    print(
        f"{kills} kills, {moments} of them in the middle of a change, {acknowledged} changes kept"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
