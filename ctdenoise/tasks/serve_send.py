"""Sends results to their destinations, each instance until it is confirmed and then never again."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ctdenoise.config.peers import Peer, RetrySettings
from ctdenoise.errors import CTDenoiseError, InputError, PeerRefused
from ctdenoise.jobs.facts import DestinationFacts
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.performing import failure_of, one_line
from ctdenoise.pacs.retry import BackOff
from ctdenoise.pacs.sender import Sent, send
from ctdenoise.tasks.serve_delivery import (
    DELIVERIES,
    Delivery,
    Parcel,
    deliveries_of,
    parcels_of,
    told,
)
from ctdenoise.tasks.serve_dispatch import reasons
from ctdenoise.tasks.serve_outcomes import outcomes_of
from ctdenoise.tasks.serve_shared import KIND, Shared

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
_JOBS_AT_A_TIME = 16
"""Jobs that are handed to the destinations at a time."""

_ONCE = RetrySettings(tries=1)
"""Within one attempt nothing is tried again: the job is, later, and others come first."""


class StoppingError(Exception):
    """The server stops: what is confirmed is confirmed, the rest is for the next server."""


@dataclass(slots=True)
class _Destination:
    """A peer, what waits to be sent to it, and what is known of it."""

    name: str
    peer: Peer
    waiting: queue.SimpleQueue[tuple[Job, tuple[Parcel, ...]] | None] = field(
        default_factory=queue.SimpleQueue
    )
    failures: int = 0
    rests_until: float = 0.0
    last_success: float | None = None
    last_failure: float | None = None
    last_reason: str = ""

    @property
    def rest_s(self) -> float:
        """Seconds until it is tried again; 0 for at once."""
        return max(0.0, self.rests_until - time.monotonic())


@dataclass(slots=True)
class _Sending:
    """A job that is with its destinations."""

    job: Job
    open: set[str]
    deliveries: dict[str, Delivery]


class Sender:
    """Takes jobs whose result is on disk and brings them to their destinations.

    Each destination has a thread of its own, so that one that is down does not hold up another.

    Args:
        shared: What the parts of the server share.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        peers = shared.settings.peers.items()
        self._destinations = {name: _Destination(name, peer) for name, peer in peers}
        self._sending: dict[str, _Sending] = {}
        self._ended: queue.SimpleQueue[tuple[str, str, Delivery]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> int:
        """How many jobs are being sent."""
        return len(self._sending)

    def facts(self) -> tuple[DestinationFacts, ...]:
        """What is known of each destination."""
        return tuple(
            DestinationFacts(
                one.name, one.peer.kind, one.last_success, one.last_failure, one.last_reason
            )
            for one in self._destinations.values()
        )

    def start(self) -> None:
        """Start the threads of the destinations."""
        for destination in self._destinations.values():
            work = _Work(self._shared, destination, self._ended)
            name = f"send to {destination.name}"
            self._threads.append(self._shared.alarm.thread(name, work.run))

    def run(self) -> None:
        """Send until the server stops."""
        self._shared.again_and_again(self.step, idle_s=_LOOK_S)

    def close(self, until: float) -> None:
        """End the threads, after the instance that each is sending.

        Args:
            until: Moment of the monotonic clock at which nothing is waited for any more.
        """
        for destination in self._destinations.values():
            destination.waiting.put(None)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def step(self) -> bool:
        """Hand on what can be sent and settle what was; whether anything is under way."""
        for sending in [one for one in self._sending.values() if not one.open]:
            self._settle(sending)  # it could not be written down before
        while len(self._sending) < _JOBS_AT_A_TIME:
            job = self._shared.ledger.claim(KIND, state="made")
            if job is None:
                break
            self._begin(job)
        if self._sending:
            try:
                self._collect(*self._ended.get(timeout=_LOOK_S))
            except queue.Empty:
                return True
        return bool(self._sending)

    def _begin(self, job: Job) -> None:
        deliveries = deliveries_of(job)
        sending = _Sending(job, set(), deliveries)
        self._sending[job.id] = sending
        try:
            wanted = parcels_of(job, self._shared.folder.results)
        except InputError as error:
            lost = Delivery(reason=one_line(error.what), is_final=True, is_lost=True)
            sending.deliveries["results"] = lost
            wanted = {}
        for name, parcels in wanted.items():
            delivery = deliveries.setdefault(name, Delivery())
            if delivery.is_final:
                continue
            destination = self._destinations.get(name)
            if destination is None:
                gone = "it is no longer among the peers of the settings"
                deliveries[name] = replace(delivery, reason=gone, is_final=True)
            else:
                sending.open.add(name)
                destination.waiting.put((job, parcels))
        if not sending.open:
            self._settle(sending)

    def _collect(self, job_id: str, name: str, now: Delivery) -> None:
        sending = self._sending[job_id]
        before = 0 if now.is_further else sending.deliveries[name].tries
        tries = before + now.tries
        most = self._shared.settings.send_again.tries
        sending.deliveries[name] = replace(
            now, tries=tries, is_final=now.is_final or (not now.is_done and tries >= most)
        )
        sending.open.discard(name)
        if not sending.open:
            self._settle(sending)

    def _settle(self, sending: _Sending) -> None:
        job, shared = sending.job, self._shared
        result = {
            **job.result,
            DELIVERIES: {name: one.as_json() for name, one in sending.deliveries.items()},
        }
        waiting = {n: d for n, d in sending.deliveries.items() if not (d.is_done or d.is_final)}
        if waiting:
            reason = told(waiting)
            wait_s = min(self._wait_s(name, one) for name, one in waiting.items())
            moment = time.time() + wait_s
            shared.ledger.move(
                job.id, "made", expected="sending", reason=reason, result=result, not_before=moment
            )
            _log.warning("job %s: sent later: %s", job.id, reason)
        else:
            self._end(job, result, {n: d for n, d in sending.deliveries.items() if d.is_final})
        del self._sending[job.id]

    def _wait_s(self, name: str, delivery: Delivery) -> float:
        own = BackOff(self._shared.settings.send_again).seconds(max(1, delivery.tries))
        return max(self._destinations[name].rest_s, own if delivery.tries else 0.0)

    def _end(self, job: Job, result: Mapping[str, Any], given_up: Mapping[str, Delivery]) -> None:
        shared = self._shared
        failed = [one for one in outcomes_of(job.result) if one.status == "failed"]
        if not given_up and not failed:
            shared.ledger.move(job.id, "done", expected="sending", result=result)
            shared.metrics.ended("done")
            _log.info("job %s: done", job.id)
            return
        why = "; ".join(text for text in (told(given_up), reasons(failed)) if text)
        shared.audit.record("dead-letter", job=job.id, reason=why)
        # An empty result leads a job back to the work on it when a person wants it again.
        is_lost = any(one.is_lost for one in given_up.values())
        kept = result if given_up and not is_lost else {}
        shared.ledger.move(job.id, "dead-letter", expected="sending", reason=why, result=kept)
        shared.metrics.ended("dead-letter")
        _log.warning("job %s: dead-letter: %s", job.id, why)


class _Work:
    """What the thread of one destination does."""

    def __init__(
        self,
        shared: Shared,
        destination: _Destination,
        ended: queue.SimpleQueue[tuple[str, str, Delivery]],
    ) -> None:
        self._shared = shared
        self._destination = destination
        self._ended = ended

    def run(self) -> None:
        """Send what comes, until None comes."""
        destination = self._destination
        while (item := destination.waiting.get()) is not None:
            job, parcels = item
            try:
                delivery = self._delivered(job, parcels)
            except StoppingError:
                return
            except CTDenoiseError as error:  # what it did could not be written down
                delivery = self._rest(one_line(error.what))
            except Exception as error:  # noqa: BLE001 - one job must not stop all others
                delivery = self._noted(Delivery(1, failure_of(error).words))
            self._ended.put((job.id, destination.name, delivery))

    def _delivered(self, job: Job, parcels: Sequence[Parcel]) -> Delivery:
        """One attempt to send what the destination has not confirmed yet."""
        destination, shared = self._destination, self._shared
        if shared.alarm.is_stopping:
            raise StoppingError
        uids = [parcel.sop_instance_uid for parcel in parcels]
        there = shared.ledger.delivered(destination.name, uids)
        wanted = [parcel for parcel in parcels if parcel.sop_instance_uid not in there]
        if not wanted:
            return Delivery(is_done=True)
        if destination.rest_s:
            return Delivery(reason=destination.last_reason)
        changed = sum(not parcel.is_as_written for parcel in wanted)
        if changed:
            lost = self._gave_up(f"{changed} files of the result are not as they were written")
            return replace(lost, is_lost=True)
        return self._attempted(job, wanted)

    def _attempted(self, job: Job, wanted: Sequence[Parcel]) -> Delivery:
        destination, shared = self._destination, self._shared
        confirmed: list[str] = []
        try:
            self._send(wanted, confirmed)
        except (PeerRefused, InputError) as error:
            shared.metrics.send_failed(destination.name, "final")
            return self._gave_up(one_line(error.what))
        except CTDenoiseError as error:
            return replace(self._rest(one_line(error.what)), is_further=bool(confirmed))
        finally:
            if confirmed:
                shared.audit.record(
                    "sent",
                    job=job.id,
                    destination=destination.name,
                    instances=len(confirmed),
                    sop_instance_uids=confirmed,
                )
        return Delivery(is_done=True)

    def _send(self, wanted: Sequence[Parcel], confirmed: list[str]) -> None:
        destination, shared = self._destination, self._shared

        def note(sent: Sent) -> None:
            shared.ledger.remember_delivered(destination.name, [sent.sop_instance_uid])
            confirmed.append(sent.sop_instance_uid)
            shared.metrics.sent(destination.name)
            destination.failures = 0
            destination.last_success = time.time()
            if shared.alarm.is_stopping:
                raise StoppingError

        send([one.path for one in wanted], destination.peer, retry=_ONCE, on_sent=note)

    def _rest(self, reason: str) -> Delivery:
        """An attempt that failed for now: the destination is left alone for a while."""
        destination, settings = self._destination, self._shared.settings.send_again
        destination.failures += 1
        destination.rests_until = time.monotonic() + BackOff(settings).seconds(destination.failures)
        self._shared.metrics.send_failed(destination.name, "transient")
        return self._noted(Delivery(1, reason))

    def _gave_up(self, reason: str) -> Delivery:
        return self._noted(Delivery(1, reason, is_final=True))

    def _noted(self, delivery: Delivery) -> Delivery:
        self._destination.last_failure = time.time()
        self._destination.last_reason = delivery.reason
        _log.warning("%s: %s", self._destination.name, delivery.reason)
        return delivery
