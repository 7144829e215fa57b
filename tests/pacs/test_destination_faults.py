"""The destination refuses, fails, aborts, stalls, vanishes: every result arrives, and once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.pacs.bad_line import BadLine, Fault, bad_line
from tests.pacs.destination import Destination, destination
from tests.pacs.fault_bench import Serving, serving
from tests.pacs.oracle import repeated
from tests.pacs.recording import Behaviour
from tests.pacs.sent_studies import SentStudy
from tests.pacs.service_process import wait_until
from tests.pacs.service_settings import peer, service_settings

SLICES = 8


@dataclass(frozen=True, slots=True)
class Bench:
    """What the tests of this file share: the server starts once.

    Args:
        serving: The server and the studies.
        line: Between it and its destination.
    """

    serving: Serving
    line: BadLine

    @property
    def place(self) -> Destination:
        """Where results go."""
        return self.serving.place

    def repeats(self) -> int:
        """What came twice over the wire so far."""
        return repeated(self.place.deliveries())


@pytest.fixture(scope="module", params=["dimse", "web"])
def bench(tmp_path_factory, request) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("service")
    with destination(folder / "destination", request.param) as place, bad_line(place.port) as line:
        settings = service_settings(place, peers={"place0": peer(place, port=line.port)})
        with serving(folder, settings, place) as running:
            yield Bench(running, line)


@pytest.fixture(autouse=True)
def _well_again(bench: Bench) -> Iterator[None]:
    yield
    bench.line.break_by(Fault())
    bench.place.behave(Behaviour())


def failed_once(bench: Bench, study: SentStudy) -> None:
    """Wait until sending a study has failed, and is to be tried again."""
    wait_until(
        lambda: any(
            job.state in {"made", "sending"} and job.reason for job in bench.serving.jobs(study)
        ),
        what="sending failed once",
    )


def in_flight(bench: Bench) -> int:
    """What may come twice when an answer is lost: an instance, or a request of several."""
    return 1 if bench.place.kind == "dimse" else SLICES


def arrives_whole(bench: Bench, study: SentStudy, *, twice: int) -> None:
    """A study is done and whole at the destination, with at most so many more repeats."""
    bench.serving.until(study, "done")
    found = bench.serving.judged()
    assert found.problems == ()
    assert found.twice <= twice


OUTAGES = {
    "rejects everybody": Behaviour(reject="busy"),
    "aborts": Behaviour(abort_at=3),
    "stalls": Behaviour(stall_at=2),
    "has no room": Behaviour(statuses=((2, 0xA700),)),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_result_arrives_once_after_an_outage(bench, outage, request):
    twice = bench.repeats()
    bench.place.behave(OUTAGES[outage])
    study = bench.serving.sent(request.node.name, slices=SLICES)
    failed_once(bench, study)
    bench.place.behave(Behaviour())
    arrives_whole(bench, study, twice=twice + in_flight(bench))


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "not kept"])
def test_a_result_arrives_though_the_destination_dies_in_the_middle(bench, keeps, request):
    twice = bench.repeats()
    bench.place.behave(Behaviour(die_at=4, die_before_keeping=not keeps))
    study = bench.serving.sent(request.node.name, slices=SLICES)
    bench.place.gone()
    failed_once(bench, study)
    bench.place.start()
    arrives_whole(bench, study, twice=twice + in_flight(bench))


@pytest.mark.parametrize("kind", ["cut", "freeze"])
def test_a_result_arrives_though_the_line_breaks_in_the_middle(bench, kind, request):
    twice = bench.repeats()
    bench.line.break_by(Fault(kind, after=30_000))
    study = bench.serving.sent(request.node.name, slices=SLICES)
    assert bench.line.happened.acquire(timeout=120)
    failed_once(bench, study)
    arrives_whole(bench, study, twice=twice + in_flight(bench))


def test_a_slow_destination_gets_everything_once(bench, request):
    twice = bench.repeats()
    bench.place.behave(Behaviour(delay_s=0.3))
    study = bench.serving.sent(request.node.name, slices=SLICES)
    arrives_whole(bench, study, twice=twice)


def test_who_is_refused_for_good_gives_up_with_a_reason_until_a_person_retries(bench, request):
    twice = bench.repeats()
    bench.place.behave(Behaviour(reject="calling"))
    study = bench.serving.sent(request.node.name, slices=SLICES)
    job = bench.serving.until(study, "dead-letter")
    assert job.reason
    bench.place.behave(Behaviour())
    retry(bench, job.id)
    arrives_whole(bench, study, twice=twice)


def test_an_instance_that_is_refused_for_good_is_the_only_one_to_be_sent_again(bench, request):
    twice = bench.repeats()
    bench.place.behave(Behaviour(statuses=((2, 0xC000),)))
    study = bench.serving.sent(request.node.name, slices=SLICES)
    job = bench.serving.until(study, "dead-letter")
    assert job.reason
    retry(bench, job.id)
    arrives_whole(bench, study, twice=twice)


def retry(bench: Bench, job: str) -> None:
    """What a person does about a job that was given up."""
    done = subprocess.run(
        [sys.executable, "-m", "ctdenoise", "jobs", "retry", str(bench.serving.running.state), job],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
