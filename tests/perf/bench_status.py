"""How long the status page, the metrics and the readiness of a service take with a large ledger.

    python -m tests.perf.bench_status --jobs 1000000

The ledger is that of `bench_ledger`, with the last jobs as they come from a CT: 300 files each, and
the outcome of three series. Each page is asked for over HTTP, again and again: the first answer
reads templates and counts every job; later ones count anew when the counts are no longer fresh.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ctdenoise.config.http import HttpSettings
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import State
from tests.perf.bench_ledger import fill
from tests.status_service import PATHS, Service, made_series, served

PAGES = ("/", "/?state=done", "/?state=refused", "/metrics", "/ready", "/health")
LAST: Sequence[State] = ("done", "refused", "dead-letter", "ready")


def add_as_from_ct(service: Service, each: int, files: int) -> str:
    """Jobs with a payload and a result of a real size.

    Returns:
        The id of one of them.
    """
    names = [f"{number:032x}.dcm" for number in range(files)]
    result = {"series": [made_series(number) for number in (1, 2, 3)]}
    id_ = ""
    for state in LAST:
        for number in range(each):
            id_ = f"{state}-{number:030d}"
            payload = {"folder": "inbox/" + id_, "files": names}
            service.ledger.add(Job(id_, "serve", id_, payload))
            for step in PATHS[state]:
                service.ledger.move(id_, step, result=result)
    return id_


def seconds_of(port: int, path: str, repeats: int) -> list[float]:
    """Times of the answers, from connecting to the last byte."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        times.append(time.perf_counter() - start)
        if answer.status != 200:
            raise SystemExit(f"{path} was answered with {answer.status}")
    return times


def main(words: Sequence[str] | None = None) -> None:
    """Print the times of every page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=300, help="files of each of the last jobs")
    parser.add_argument("--last", type=int, default=50, help="jobs of a real size in each state")
    parser.add_argument("--repeats", type=int, default=200)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
        fill(ledger, given.jobs, waiting=0, instances=0)
        service = Service(Path(folder), ledger)
        job = add_as_from_ct(service, given.last, given.files)
        print(f"{given.jobs:,} jobs; milliseconds")
        print(f"{'page':28}{'first':>10}{'median':>10}{'slowest':>10}")
        with served(service, HttpSettings(port=0)) as endpoint:
            for path in (*PAGES, f"/jobs/{job}"):
                times = [1000 * one for one in seconds_of(endpoint.port, path, given.repeats)]
                figures = (times[0], statistics.median(times[1:]), max(times[1:]))
                print(f"{path[:26]:28}" + "".join(f"{figure:10.1f}" for figure in figures))


if __name__ == "__main__":
    main()
