"""What one study takes in the ledger, by what is kept of it.

    python -m tests.perf.study_ledger_size --jobs 200 --slices 300

Jobs are written as a server writes them: a payload with the name of every file, the outcome of a
series, five moves; then the hash of every instance, then what a destination confirmed. The file is
measured after each part. Figures are bytes on the disk, indexes included.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from tests.status_service import PATHS, made_series


def size_of(ledger: Ledger) -> int:
    """Bytes in use in the file."""
    database = ledger._writing
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    free = database.execute("PRAGMA freelist_count").fetchone()[0]
    return (pages - free) * database.execute("PRAGMA page_size").fetchone()[0]


def measure(folder: Path, jobs: int, slices: int) -> dict[str, float]:
    """Bytes for each study of the job itself, its instances, and what was confirmed."""
    with Ledger.open(folder) as ledger:
        ledger._writing.execute("PRAGMA synchronous = OFF")
        sizes = [size_of(ledger)]
        names = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(jobs)]
        for name in names:
            files = [f"{hashlib.md5(f'{name}{n}'.encode()).hexdigest()}.dcm" for n in range(slices)]  # noqa: S324 - a name as long as the inbox gives
            ledger.add(Job(name, "serve", name, {"sender": "CT1", "files": files}))
            for step in PATHS["done"]:
                ledger.move(name, step, result={"series": [made_series()]})
        sizes.append(size_of(ledger))
        for name in names:
            uids = [f"1.2.{int(name, 16) % 10**20}.{number}" for number in range(slices)]
            hashes = {uid: hashlib.sha256(uid.encode()).hexdigest() for uid in uids}
            ledger.remember_instances(name, hashes)
        sizes.append(size_of(ledger))
        for name in names:
            uids = [f"1.3.{int(name, 16) % 10**20}.{number}" for number in range(slices)]
            ledger.remember_delivered("archive", uids)
        sizes.append(size_of(ledger))
    parts = [(after - before) / jobs for before, after in pairwise(sizes)]
    return dict(zip(("job", "instances", "confirmed"), parts, strict=True))


def main(words: Sequence[str] | None = None) -> None:
    """Print the bytes of each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--slices", type=int, default=300)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.jobs, given.slices)
    for part, size in found.items():
        print(f"{part:12}{size:12,.0f} bytes a study")
    print(f"{'all':12}{sum(found.values()):12,.0f} bytes a study")


if __name__ == "__main__":
    main()
