"""What the ledger costs when it is large: every step, and opening it.

    python -m tests.perf.bench_ledger --jobs 1000000

A ledger is filled with jobs that are done, but for some that wait, and then used. Times are medians
of repeated calls. Filling goes without waiting for the disk; the steps that are timed do wait.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.ledger_sqlite import transaction

FILLING = (
    """
    WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i + 1 < :jobs),
    n AS (SELECT i, printf('%08x%08x', i * 2654435761 % 4294967296, i) AS name FROM c)
    INSERT INTO job (id, kind, study, payload, state, tries, not_before, waits_from,
                               reason, result, created, changed)
    SELECT n.name, 'serve', n.name, json_object('folder', 'inbox/' || n.name, 'files',
           json_array(n.name || '-1.dcm', n.name || '-2.dcm', n.name || '-3.dcm')),
           CASE WHEN i < :done THEN 'done' ELSE 'ready' END, 1, 0, 0, '',
           json_object('series', n.name), 1e9 + i, 1e9 + i
    FROM n
    """,
    """
    INSERT INTO move (job, place, at, before, after, reason)
    SELECT number, column1, created, column2, column3, '' FROM job, (VALUES
        (1, NULL, 'ready'), (2, 'ready', 'running'), (3, 'running', 'made'), (4, 'made', 'sending'),
        (5, 'sending', 'done'))
    WHERE column1 = 1 OR state = 'done' ORDER BY number, column1
    """,
    """
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :jobs)
    INSERT INTO instance (uid_digest, job, sha256)
    SELECT randomblob(16), i / :instances + 1, randomblob(32) FROM n
    """,
)
"""Jobs as a server leaves them: all but the last of them done, each with its history."""


def name_of(number: int) -> str:
    """An id whose first characters are spread, as those of a digest are."""
    return f"{number * 2654435761 % 2**32:08x}{number:08x}"


def fill(ledger: Ledger, jobs: int, *, waiting: int, instances: int) -> None:
    """Write jobs without waiting for the disk."""
    database = ledger._writing
    database.execute("PRAGMA synchronous = OFF")
    with transaction(database):
        database.execute(FILLING[0], {"jobs": jobs, "done": jobs - waiting})
        database.execute(FILLING[1])
        if instances:
            database.execute(FILLING[2], {"jobs": jobs * instances, "instances": instances})
    ledger._take_over()
    database.execute("PRAGMA synchronous = FULL")


def seconds_of(call: Callable[[], object], *, repeats: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(folder: Path, jobs: int, *, instances: int, repeats: int) -> dict[str, float]:
    """Seconds of each step on a ledger of so many jobs."""
    found: dict[str, float] = {}
    waiting = 3 * repeats + 10
    with Ledger.open(folder) as ledger:
        start = time.perf_counter()
        fill(ledger, jobs, waiting=waiting, instances=instances)
        found["fill"] = time.perf_counter() - start
        claimed: list[Job] = []
        numbers = iter(range(jobs, jobs + repeats))

        def add_one() -> None:
            name = name_of(next(numbers))
            ledger.add(Job(id=name, kind="serve", study=name))

        found["add"] = seconds_of(add_one, repeats=repeats)
        found["claim"] = seconds_of(lambda: claimed.append(ledger.claim()), repeats=repeats)
        left = iter(list(claimed))
        found["move"] = seconds_of(lambda: ledger.move(next(left).id, "made"), repeats=repeats)
        known = name_of(jobs // 2)
        found["job"] = seconds_of(lambda: ledger.job(known), repeats=repeats)
        found["list of 50"] = seconds_of(lambda: ledger.jobs(("done",), limit=50), repeats=5)
        found["counts"] = seconds_of(ledger.counts, repeats=5)
        found["backup"] = seconds_of(ledger.backup, repeats=1)
    for name, restore in (("opening with the check", True), ("opening without", False)):
        found[name] = seconds_of(
            lambda r=restore: Ledger.open(folder, restore=r).close(), repeats=1
        )
    found["MB"] = (folder / "ledger.sqlite").stat().st_size / 1e6
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--instances", type=int, default=0, help="instances of each job")
    parser.add_argument("--repeats", type=int, default=50)
    given = parser.parse_args(words)
    for jobs in given.jobs:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), jobs, instances=given.instances, repeats=given.repeats)
        print(f"\n{jobs:,} jobs of {given.instances} instances, {found.pop('MB'):,.1f} MB")
        for step, seconds in found.items():
            print(f"{step:24}{1000 * seconds:12,.2f} ms")


if __name__ == "__main__":
    main()
