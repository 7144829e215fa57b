"""Whether a ledger is whole, its histories are allowed, and every study has ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.jobs.job import Job, Move
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import ENDED, MOVES, RETRIES, State
from ctdenoise.pacs.inbox import study_key
from tests.pacs.sent_studies import SentStudy


@dataclass(frozen=True, slots=True)
class Account:
    """What a ledger says.

    Args:
        problems: What is wrong, in words; empty where nothing is.
        states: How each study that was sent ended, by its name; of several jobs, the newest.
        reasons: Why, by its name.
        begun: How often work was begun that had been begun before (running).
        sent_again: How often sending was begun that had been begun before.
    """

    problems: tuple[str, ...]
    states: Mapping[str, State]
    reasons: Mapping[str, str]
    begun: int
    sent_again: int


def examine_ledger(state: Path, sent: Iterable[SentStudy]) -> Account:
    """Read a ledger as another process would.

    Args:
        state: The state folder.
        sent: Studies of which everything was accepted: each must have ended.
    """
    problems = integrity(state / "ledger.sqlite")
    with closing(Ledger.open(state, read_only=True)) as ledger:
        jobs = ledger.jobs()
        histories = {job.id: ledger.history(job.id) for job in jobs}
    for job in jobs:
        problems += against_the_table(job, histories[job.id])
    states, reasons = {}, {}
    for study in sent:
        own = [job for job in jobs if job.study == study_key(study.uid)]
        if not own:
            problems.append(f"{study.name}: no job knows it")
            continue
        newest = max(own, key=lambda job: job.created)
        states[study.name], reasons[study.name] = newest.state, newest.reason
        problems += [
            f"{study.name}: it never ended, but is {job.state} ({job.reason})"
            for job in own
            if job.state not in ENDED
        ]
    return Account(
        tuple(problems),
        states,
        reasons,
        _again(histories.values(), "running"),
        _again(histories.values(), "sending"),
    )


def integrity(path: Path) -> list[str]:
    """What SQLite itself finds wrong with a file."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            said = [row[0] for row in database.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        said = [str(error)]
    return [f"the ledger is damaged: {line}" for line in said if line != "ok"]


def against_the_table(job: Job, history: Sequence[Move]) -> list[str]:
    """Moves of a job that the table of states does not have, and gaps between them."""
    problems, now = [], None
    for move in history:
        if move.before != now:
            problems.append(f"job {job.id}: it was {now}, and left {move.before}")
        if move.before is not None and move.after not in _allowed(move.before):
            problems.append(f"job {job.id}: {move.before} to {move.after} is not allowed")
        now = move.after
    if now != job.state:
        problems.append(f"job {job.id}: it is {job.state}, and its history ends with {now}")
    return problems


def _allowed(before: State) -> frozenset[State]:
    """What may follow a state, by itself or as a person wants it."""
    return MOVES[before] | RETRIES.get(before, frozenset())


def _again(histories: Iterable[Sequence[Move]], state: State) -> int:
    counts = [sum(move.after == state for move in history) for history in histories]
    return sum(max(count - 1, 0) for count in counts)
