"""Studies in an hour by one worker and by two, and how fast tiny units are handed out.

    python -m tests.perf.bench_batch --studies 8 --slices 24 --tiny 10000

Studies are phantoms of 512 x 512 pixels, denoised by a classical filter with one thread each, by
processes and by Dask on this machine. The time of a run is taken from the end of its first study to
the end of its last, so that the start of Python and torch, which a long batch pays once, is left
out; with two workers the two that come first are left out.
"""

from __future__ import annotations

import argparse
import csv
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.tasks import batch
from ctdenoise.tasks.batch_dispatch import BatchRequest
from ctdenoise.tasks.batch_infer import infer_request
from ctdenoise.tasks.batch_sources import BatchSources
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.unit.tasks.batch_samples import nothing

Place = Mapping[str, Any]


def make_studies(folder: Path, studies: int, *, slices: int, size: int) -> None:
    """Series that differ in nothing but their identity."""
    for number in range(studies):
        volume = marked_volume(slices=slices, size=(size, size), seed=number)
        series_files(folder / f"{number:03d}", ct_series(volume, series=str(number)))


def settings(place: Place) -> BatchSettings:
    """One thread for each study."""
    return BatchSettings.model_validate({"executor": {"place": place, "threads": 1}})


def studies_an_hour(studies: Path, out: Path, place: Place, *, workers: int, model: str) -> float:
    """How many studies come to their end in an hour, once all workers are at work."""
    request = infer_request(
        BatchSources(below=studies),
        model,
        InferSettings(device="cpu"),
        settings(place),
        out=out,
        kind="same",
    )
    batch.run(request)
    with Ledger.open(out, read_only=True) as ledger:
        ends = sorted(
            move.at
            for job in ledger.every_job()
            for move in ledger.history(job.id)
            if move.after == "done"
        )
    return 3600 * (len(ends) - workers) / (ends[-1] - ends[workers - 1])


def tiny_units(folder: Path, count: int, place: Place) -> tuple[float, float]:
    """Seconds for units that do nothing, and by how many MB this process grew."""
    (folder / "list.txt").write_text("".join(f"/none/{number}\n" for number in range(count)))
    request = BatchRequest(
        "simulate",
        nothing,
        BatchSources(table=folder / "list.txt"),
        folder / "out",
        SimulateSettings(),
        settings(place),
    )
    before = peak_mb()
    begun = time.perf_counter()
    report = batch.run(request)
    seconds = time.perf_counter() - begun
    assert report.made == count
    shutil.rmtree(folder / "out")
    return seconds, peak_mb() - before


def peak_mb() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def places(workers: int) -> dict[str, Place]:
    """Processes and Dask with so many workers."""
    return {
        "processes": {"name": "processes", "workers": workers},
        "dask": {"name": "distributed", "address": f"local:{workers}"},
    }


def main(words: list[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=8)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--model", default="tv")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--tiny", type=int, default=10_000)
    given = parser.parse_args(words)
    table = csv.writer(sys.stdout)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table.writerow(("tiny units", "where", "seconds", "memory grew by, MB"))
        for where, place in (("in-process", {"name": "in-process"}), *places(2).items()):
            count = given.tiny // 20 if where == "dask" else given.tiny
            seconds, grown_mb = tiny_units(folder, count, place)
            table.writerow((count, where, f"{seconds:.1f}", f"{grown_mb:.0f}"))
        studies = folder / "in"
        make_studies(studies, given.studies, slices=given.slices, size=given.size)
        table.writerow(("where", "workers", "studies an hour"))
        for where in places(1):
            pace: dict[int, float] = {}
            for workers in (1, 2):
                found = []
                for repeat in range(given.repeats):
                    out = folder / f"{where}-{workers}-{repeat}"
                    place = places(workers)[where]
                    found.append(
                        studies_an_hour(studies, out, place, workers=workers, model=given.model)
                    )
                pace[workers] = statistics.median(found)
                table.writerow((where, workers, f"{pace[workers]:.0f}"))
            table.writerow((where, "two against one", f"{pace[2] / pace[1]:.2f}"))


if __name__ == "__main__":
    main()
