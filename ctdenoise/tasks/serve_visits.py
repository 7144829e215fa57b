"""The audit trail of the ways in: who sent something, who was turned away, what was given up."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import OutputError
from ctdenoise.jobs.audit import Entry, Event
from ctdenoise.pacs.acceptance import Refused
from ctdenoise.pacs.visits import Visit
from ctdenoise.tasks.serve_shared import Shared

_log = logging.getLogger(__name__)

_EVERY_S = 60.0
"""Those who are turned away are recorded together, so that nobody can fill the disk with them."""

_PENDING_MOST = 1000
"""Records that may wait for a disk that is full; beyond that nobody is let in unrecorded."""

_STUDIES_MOST = 100
_ADDRESSES_MOST = 50


class Visits:
    """Records who was there.

    Args:
        shared: What the parts of the server share; the server stops if the trail cannot be written
            for so long that very many records wait.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._denied = Counter[str]()
        self._recorded = -_EVERY_S
        self._pending: list[Entry] = []

    def visited(self, visit: Visit) -> None:
        """Record an association in which somebody sent something.

        Args:
            visit: Whose.
        """
        self._record(
            "association",
            who=f"{visit.sender}@{visit.address}",
            instances=visit.instances,
            refused=visit.refused,
            studies=sorted(visit.studies)[:_STUDIES_MOST],
        )

    def turned_away(self, address: str, why: Refused) -> None:
        """Count somebody who was not let in; recorded at once, but not more than once a minute.

        Args:
            address: Where the connection came from.
            why: What was wrong.
        """
        with self._lock:
            one = f"{address}: {why}"
            is_known = one in self._denied or len(self._denied) < _ADDRESSES_MOST
            self._denied[one if is_known else f"others: {why}"] += 1
            if time.monotonic() - self._recorded < _EVERY_S:
                return
            self._recorded = time.monotonic()
        self.close()

    def gave_up(self, entrance: str, study: str, why: str) -> None:
        """Record a study that could not be taken in any try.

        Args:
            entrance: What it was to come in by.
            study: What the archive calls it; recorded as a keyed digest.
            why: The last reason, without patient data.
        """
        self._record("dead-letter", entrance=entrance, archive_study_uid=study, reason=why)

    def close(self) -> None:
        """Record those who were turned away and are not recorded yet."""
        with self._lock:
            denied, self._denied = self._denied, Counter()
        if denied:
            self._record("denied", connections=dict(denied))

    def _record(self, event: Event, **facts: JsonValue) -> None:
        with self._lock:
            self._pending.append(Entry(event, facts))
            try:
                self._shared.audit.record_all(self._pending)
            except OutputError as error:
                _log.error("%s", error.what)
                if len(self._pending) > _PENDING_MOST:
                    self._shared.alarm.stop(error)
            else:
                self._pending = []
