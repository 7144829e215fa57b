"""A server, a destination and the studies that go from one to the other, for tests of faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ctdenoise.errors import CTDenoiseError
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import State
from ctdenoise.pacs.inbox import study_key
from tests.pacs.destination import Destination
from tests.pacs.oracle import Arrived, examine_destination, examine_files, examine_inbox
from tests.pacs.oracle_ledger import examine_ledger
from tests.pacs.senders import by_dcmtk
from tests.pacs.sent_studies import Fate, SentStudy, make_study
from tests.pacs.service_process import Service, end, wait_until


class Serving:
    """A server that gets studies and sends results to a destination.

    Args:
        folder: A folder for everything.
        running: The server.
        place: Where results go.
    """

    def __init__(self, folder: Path, running: Service, place: Destination) -> None:
        self.folder, self.running, self.place = folder, running, place
        self.accepted: list[SentStudy] = []

    def made(
        self, name: str, *, fates: Sequence[Fate] = ("wanted", "unwanted"), slices: int = 8
    ) -> SentStudy:
        """A study that is not sent yet."""
        return make_study(self.folder / "sent", name, fates=fates, slices=slices)

    def send(self, study: SentStudy) -> None:
        """Send a study over one association; all of it must be accepted."""
        done = by_dcmtk("dcmsend", study.paths, self.running.port)
        assert done.returncode == 0, f"{done.stderr}\n{self.running.said()}"
        self.accepted.append(study)

    def sent(self, name: str, **more: Any) -> SentStudy:
        """A study that was made, sent and accepted."""
        study = self.made(name, **more)
        self.send(study)
        return study

    def jobs(self, study: SentStudy) -> list[Job]:
        """The jobs of a study, oldest first, as another process reads them."""
        state = self.running.state
        with suppress(CTDenoiseError), closing(Ledger.open(state, read_only=True)) as ledger:
            return [job for job in ledger.jobs() if job.study == study_key(study.uid)]
        return []

    def until(self, study: SentStudy, *states: State, timeout_s: float = 120.0) -> Job:
        """Wait until the newest job of a study is in one of these states.

        Raises:
            AssertionError: If it does not get there; says what the server printed.
        """
        try:
            wait_until(
                lambda: self._newest(study) in states, what=" or ".join(states), timeout_s=timeout_s
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.jobs(study)}\n{self.running.said()}") from None
        return self.jobs(study)[-1]

    def _newest(self, study: SentStudy) -> str:
        found = self.jobs(study)
        return found[-1].state if found else "receiving"

    def judged(self) -> Arrived:
        """What the destination has of all studies so far, every one of which must have ended."""
        account = examine_ledger(self.running.state, self.accepted)
        by_state: dict[str, list[SentStudy]] = {"done": [], "refused": [], "dead-letter": []}
        for study in self.accepted:
            by_state.get(account.states.get(study.name, ""), []).append(study)
        arrived = examine_destination(
            self.place.kept(),
            self.place.deliveries(),
            processed=by_state["done"],
            refused=by_state["refused"],
            given_up=by_state["dead-letter"],
        )
        problems = [*account.problems, *arrived.problems, *examine_files(self.running.state)]
        problems += examine_inbox(self.running.state / "inbox", self.accepted)
        return Arrived(tuple(problems), arrived.instances, arrived.twice)


@contextmanager
def serving(
    folder: Path, settings: Mapping[str, Any], place: Destination, **more: Any
) -> Iterator[Serving]:
    """A server that is ready, and killed at the end."""
    running = Service(folder / "service", settings, **more)
    try:
        running.start()
        yield Serving(folder, running, place)
    finally:
        end(running)
