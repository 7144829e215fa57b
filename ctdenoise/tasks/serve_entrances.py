"""The ways by which studies come into the server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self, get_args

from ctdenoise.config.receiver import OrthancSettings
from ctdenoise.jobs.facts import EntranceFacts, ReceptionFacts
from ctdenoise.jobs.performing import failure_of
from ctdenoise.pacs.acceptance import Refused
from ctdenoise.pacs.arrivals import Arrivals
from ctdenoise.pacs.inbox import Inbox, Kept
from ctdenoise.pacs.incoming import Reason
from ctdenoise.pacs.orthanc import OrthancPoller
from ctdenoise.pacs.receiver import Receiver
from ctdenoise.pacs.watch_folder import WatchFolder
from ctdenoise.tasks.serve_shared import Shared
from ctdenoise.tasks.serve_visits import Visits

_log = logging.getLogger(__name__)


class Poller:
    """A way in that has to look now and then, in a thread of its own.

    Args:
        name: What to call it.
        look: Looks once; raises what keeps it from looking.
        every_s: How often.
        shared: What the parts of the server share.
        problem: What is wrong in words although it can look; empty if nothing is.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], object],
        *,
        every_s: float,
        shared: Shared,
        problem: Callable[[], str] = str,
    ) -> None:
        self._name = name
        self._look = look
        self._every_s = every_s
        self._alarm = shared.alarm
        self._problem = ""
        self._lasting_problem = problem

    @property
    def facts(self) -> EntranceFacts:
        """How it is."""
        problem = self._problem or self._lasting_problem()
        return EntranceFacts(self._name, not self._problem, problem=problem)

    def run(self) -> None:
        """Look until the server stops."""
        while not self._alarm.is_stopping:
            self.look()
            self._alarm.wait_for_stop(self._every_s)

    def look(self) -> None:
        """Look once; a problem is told once, and looked for again the next time."""
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - what lies there must not end the server
            problem = failure_of(error).words
            if problem != self._problem:
                _log.warning("%s: %s", self._name, problem)
            self._problem = problem
        else:
            self._problem = ""

    def look_twice(self) -> None:
        """Look, and once more after the usual time: files must not have changed in between."""
        self.look()
        self._alarm.wait_for_stop(self._every_s)
        self.look()


class Entrances:
    """All ways in; open while the block runs.

    Args:
        shared: What the parts of the server share.
        inbox: Where everything is kept.
        arrivals: Told of everything.
        listen: Whether to receive over the network.
    """

    def __init__(
        self, shared: Shared, inbox: Inbox, arrivals: Arrivals, *, listen: bool = True
    ) -> None:
        self._shared = shared
        self._arrivals = arrivals
        self._receiver: Receiver | None = None
        self._visits = Visits(shared)
        self._opened = ExitStack()
        self._threads: list[threading.Thread] = []
        settings = shared.settings
        if settings.receiver is not None and listen:
            self._receiver = Receiver(
                inbox, settings.receiver, on_kept=self._kept, watcher=self._visits
            )
        self.pollers = [
            Poller(
                f"watch folder {one.sender}",
                WatchFolder(one, inbox, on_kept=self._kept, memory=shared.ledger).look,
                every_s=one.poll_s,
                shared=shared,
            )
            for one in settings.folders
        ]
        self.pollers += [self._archive(one, inbox) for one in settings.orthanc]

    @property
    def port(self) -> int | None:
        """Where DICOM is received; None if it is not."""
        return None if self._receiver is None else self._receiver.port

    def facts(self) -> tuple[EntranceFacts, ...]:
        """How every way in is."""
        found = [one.facts for one in self.pollers]
        receiver, settings = self._receiver, self._shared.settings.receiver
        if receiver is not None and settings is not None:
            name = f"DICOM receiver {settings.ae_title} on port {receiver.port}"
            connections = receiver.statistics.connections
            listens = receiver.is_listening
            problem = "" if listens else "Nothing listens any more."
            found.insert(0, EntranceFacts(name, listens, connections, problem))
        return tuple(found)

    def reception(self) -> ReceptionFacts | None:
        """What senders were refused, what never happened included; None where nothing listens."""
        if self._receiver is None:
            return None
        counted = self._receiver.statistics
        return ReceptionFacts(
            {why: counted.refused.get(why, 0) for why in get_args(Reason)},
            {why: counted.refused_associations.get(why, 0) for why in get_args(Refused)},
            counted.conflicts,
        )

    def __enter__(self) -> Self:
        if self._receiver is not None:
            self._opened.enter_context(self._receiver)
        return self

    def start_polling(self) -> None:
        """Let every poller look in a thread of its own."""
        for poller in self.pollers:
            self._threads.append(self._shared.alarm.thread(poller.facts.name, poller.run))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()
        self._visits.close()
        for thread in self._threads:
            thread.join(self._shared.settings.stop_s)

    def _archive(self, settings: OrthancSettings, inbox: Inbox) -> Poller:
        name = f"archive {settings.sender}"
        archive = OrthancPoller(
            settings,
            inbox,
            on_kept=self._kept,
            on_stable=self._arrivals.stable,
            memory=self._shared.ledger,
            on_given_up=partial(self._visits.gave_up, name),
        )
        return Poller(
            name,
            archive.look,
            every_s=settings.poll_s,
            shared=self._shared,
            problem=lambda: archive.problem,
        )

    def _kept(self, kept: Kept) -> None:
        self._shared.metrics.received(kept.sender, size_bytes=kept.size)
        self._arrivals.arrived(kept)
