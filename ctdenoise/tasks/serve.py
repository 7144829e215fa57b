"""`serve`: work on studies as they arrive, each once, until told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctdenoise import __version__
from ctdenoise.config.executor import InProcessSettings
from ctdenoise.config.rules import Rules
from ctdenoise.config.serve import ServeSettings
from ctdenoise.core.processors import may_have_gpu
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.core.quiet import quiet_process
from ctdenoise.errors import CTDenoiseError, UsageError
from ctdenoise.jobs.audit import Audit
from ctdenoise.jobs.executors import build_executor
from ctdenoise.jobs.exposition import ServiceMetrics
from ctdenoise.jobs.facts import ServiceFacts
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import State
from ctdenoise.jobs.work import Executor, Failure, WorkUnit
from ctdenoise.pacs.arrivals import Arrivals
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.pacs.rounds import Rounds
from ctdenoise.tasks.serve_dispatch import Dispatcher
from ctdenoise.tasks.serve_entrances import Entrances
from ctdenoise.tasks.serve_expected import ExpectedCount
from ctdenoise.tasks.serve_folder import StateFolder, own_folder, remove_half_made
from ctdenoise.tasks.serve_intake import Intake
from ctdenoise.tasks.serve_keep import Housekeeping
from ctdenoise.tasks.serve_outcomes import CHECK_MODELS
from ctdenoise.tasks.serve_send import Sender
from ctdenoise.tasks.serve_shared import KIND, Alarm, RulesInForce, Shared
from ctdenoise.tasks.serve_status import status_endpoint

_log = logging.getLogger(__name__)

_RULES_NOTE = "serve.rules"
_CHECK_S = 600.0
"""Longest time for the models to load."""

_IDLE_S = 0.05
"""`--once`: how long is waited between two looks at whether everything has ended."""


@dataclass(frozen=True, slots=True)
class Ready:
    """That the server works now.

    Args:
        dicom_port: Where it receives; None if it does not.
        status_url: Its status page; empty without one.
        recovered: Jobs that were under way when the last server ended.
    """

    dicom_port: int | None
    status_url: str
    recovered: int


@dataclass(frozen=True, slots=True)
class ServeReport:
    """How jobs stand when the server ends.

    Args:
        counts: Jobs in each state.
        waiting: Jobs that have to be tried again.
    """

    counts: Mapping[State, int]
    waiting: int


def run(
    settings: ServeSettings,
    *,
    state: Path,
    once: bool = False,
    alarm: Alarm | None = None,
    on_ready: Callable[[Ready], None] | None = None,
    reload: Callable[[], ServeSettings] | None = None,
) -> ServeReport:
    """Serve until the alarm says stop; or, with `once`, until nothing is left to do now.

    Args:
        settings: Of the server.
        state: Its folder.
        once: Work on what is in the inbox and the watched folders, send it, and end. Nothing is
            received meanwhile, and every study counts as complete.
        alarm: How to tell it to stop, from a signal handler or another thread.
        on_ready: Called when it works.
        reload: Reads the settings again when the alarm is told to; their rules are then in force.

    Raises:
        UsageError: If the settings cannot work, or another server has the folder.
        LedgerError: If the ledger is damaged and cannot be restored.
        OutputError: If the folder cannot be written.
    """
    alarm = alarm or Alarm()
    _require_sense(settings, once=once)
    with own_folder(state) as folder, quiet_process(), ExitStack() as opened:
        shared = _shared(settings, folder, alarm, opened)
        executor = opened.enter_context(_executor(settings, shared.in_force))
        _log.info("starting version %s: loading the models of the rules", __version__)
        _check_models(executor, shared.in_force)
        recovered = _recover(shared)
        inbox = Inbox(folder.inbox, settings.inbox)
        _offer_again_what_is_unknown(shared.ledger, inbox)
        server = _Server(shared, inbox, executor, once=once)
        try:
            if once:
                server.run_once()
            else:
                server.run(recovered, on_ready, reload)
        except BaseException as error:
            alarm.stop(error)
            raise
        if alarm.failure is not None:
            raise alarm.failure
        shared.ledger.backup()
        counts = shared.ledger.counts()
        shared.audit.record("stopped", jobs=dict(counts.items()))
        _log.info("stopped")
        return ServeReport(counts, counts["ready"] + counts["made"])


def _require_sense(settings: ServeSettings, *, once: bool) -> None:
    if not settings.rules:
        raise UsageError(
            "there is no rule, so nothing would ever be done.",
            where="rules",
            fix="See configs/serve/default.yaml for a careful start.",
        )
    ways = (settings.receiver, settings.folders, settings.orthanc)
    if not once and not any(ways):
        raise UsageError(
            "nothing can come in: there is no receiver, no watched folder and no archive to ask.",
            fix="Give one of receiver, folders, orthanc; or use --once.",
        )


def _shared(
    settings: ServeSettings, folder: StateFolder, alarm: Alarm, opened: ExitStack
) -> Shared:
    ledger = opened.enter_context(Ledger.open(folder.path))
    if ledger.restored:
        _log.warning("%s", ledger.restored)
    audit = opened.enter_context(Audit.open(folder.path))
    metrics = ServiceMetrics(__version__, destinations=settings.peers)
    in_force = RulesInForce.of(settings.rules)
    return Shared(settings, folder, ledger, audit, metrics, in_force, alarm)


@contextmanager
def _executor(settings: ServeSettings, in_force: RulesInForce) -> Iterator[Executor]:
    devices = {order.settings.device for order in in_force.orders.values()}
    gpus = max(map(_gpus, devices), default=0)
    if isinstance(settings.executor.place, InProcessSettings):
        gpus = 0
    executor = build_executor(settings.executor, gpus=gpus)
    try:
        yield executor
    finally:
        executor.close()


def _gpus(device: str) -> int:
    """How many GPUs there are to be shared out; torch stays out of this process where none is."""
    if not may_have_gpu():
        return 0
    from ctdenoise.inference.processes import gpus_for

    return len(gpus_for(device))


def _check_models(executor: Executor, in_force: RulesInForce) -> None:
    """Load every model where the work will be done, before anything depends on it.

    A process that is lost meanwhile says nothing about the models: they are loaded in another.
    """
    orders = tuple(in_force.orders.values())
    until = time.monotonic() + _CHECK_S
    for is_last in (False, False, True):
        failure = _failure_of(executor, WorkUnit("models", CHECK_MODELS, orders), until)
        if failure is None:
            return
        if is_last or failure.kind != "lost":
            raise UsageError(
                f"a model of the rules cannot be used: {failure.words.rstrip('.')}.",
                where="rules",
                fix="Put the path of the checkpoint right, or try it with `ctdenoise infer`.",
            )
        _log.warning("loading the models is tried again: %s", failure.words)


def _failure_of(executor: Executor, unit: WorkUnit, until: float) -> Failure | None:
    """Why a unit failed that the executor does alone; None if it did not.

    Raises:
        UsageError: If it has not ended at this moment of the monotonic clock.
    """
    executor.submit(unit)
    while time.monotonic() < until:
        for finished in executor.finished(1.0):
            return finished.failure
    raise UsageError(f"the models of the rules were not loaded within {_CHECK_S:.0f} s.")


def _recover(shared: Shared) -> int:
    """Put right what a server left that did not end by itself; how many jobs were under way."""
    removed = remove_half_made(shared.folder)
    jobs = shared.ledger.interrupted()
    if removed > 1 or jobs:
        shared.audit.record("repaired", removed=removed, jobs=[job.id for job in jobs])
        _log.warning("%d jobs were under way when the last server ended; they go on", len(jobs))
    rules = digest(_as_json(shared.settings.rules))
    before = shared.ledger.noted(_RULES_NOTE)
    if before not in (None, rules):
        shared.audit.record("rules-changed", rules_before=before, rules=rules)
    shared.ledger.note(_RULES_NOTE, rules)
    settings = digest(shared.settings.as_json())
    shared.audit.record("started", version=__version__, settings=settings, rules=rules)
    return len(jobs)


def _as_json(rules: Rules) -> list[JsonValue]:
    return [rule.as_json() for rule in rules]


def _offer_again_what_is_unknown(ledger: Ledger, inbox: Inbox) -> None:
    """Let studies be found again whose job the ledger does not know, as after a restoration."""
    for study in inbox.studies():
        jobs = ledger.jobs(kind=KIND, study=study)
        known = {str(name) for job in jobs for name in _listed(job.payload.get("files"))}
        handed_on = inbox.rounds(study).handed_on
        lost = {path.name for path in inbox.files(study)} & handed_on - known
        if lost:
            _log.warning("study %s: %d files are of no known job; found again", study, len(lost))
            inbox.change_rounds(study, lambda _: Rounds())


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


class _Server:
    """All parts together."""

    def __init__(self, shared: Shared, inbox: Inbox, executor: Executor, *, once: bool) -> None:
        completeness = shared.settings.completeness
        if once:
            completeness = completeness.replaced(quiet_s=0.001, counted_quiet_s=0)
        self._shared = shared
        ask = None if once else shared.settings.ask
        expected = None if ask is None else ExpectedCount(ask, shared.settings.peers[ask])
        self._arrivals = Arrivals(inbox, completeness, expected=expected)
        self._intake = Intake(shared, self._arrivals)
        self._dispatcher = Dispatcher(shared, executor)
        self._sender = Sender(shared)
        self._housekeeping = Housekeeping(shared, inbox)
        self._entrances = Entrances(shared, inbox, self._arrivals, listen=not once)

    def run(
        self,
        recovered: int,
        on_ready: Callable[[Ready], None] | None,
        reload: Callable[[], ServeSettings] | None,
    ) -> None:
        """Work in threads until the alarm says stop."""
        shared, alarm = self._shared, self._shared.alarm
        with ExitStack() as opened:
            opened.enter_context(self._entrances)
            address = ""
            if shared.settings.http.enabled:
                endpoint = status_endpoint(
                    shared.settings.http,
                    shared.ledger,
                    state_folder=shared.folder.path,
                    facts=self._facts,
                    metrics=shared.metrics,
                )
                address = opened.enter_context(endpoint).url
            self._sender.start()
            parts = {
                "intake": self._intake.run,
                "dispatch": self._dispatcher.run,
                "send": self._sender.run,
                "housekeeping": self._housekeeping.run,
            }
            threads = [alarm.thread(name, work) for name, work in parts.items()]
            self._entrances.start_polling()
            if on_ready is not None:
                on_ready(Ready(self._entrances.port, address, recovered))
            while not alarm.is_stopping:
                if alarm.wait_for_order(3600.0) and reload is not None:
                    self._read_rules(reload)
            until = time.monotonic() + shared.settings.stop_s
            _log.info("stopping; studies under way: %d", self._dispatcher.busy)
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            self._dispatcher.drain(until)
            self._sender.close(until)

    def _read_rules(self, reload: Callable[[], ServeSettings]) -> None:
        """Put the rules of the settings file into force, unless something is wrong with them."""
        shared = self._shared
        try:
            rules = reload().rules
            in_force = RulesInForce.of(rules)
            wanted = {name for order in in_force.orders.values() for name in order.send_to}
            new = sorted(wanted - set(shared.settings.peers))
            if new:
                raise UsageError(f"the server has to be started again for {', '.join(new)}.")
            with _executor(shared.settings, in_force) as executor:
                _check_models(executor, in_force)
            before, after = (digest(_as_json(one)) for one in (shared.in_force.rules, rules))
            shared.audit.record("rules-changed", rules_before=before, rules=after)
            shared.ledger.note(_RULES_NOTE, after)
        except CTDenoiseError as error:
            _log.warning("the rules stay as they were: %s", error.what)
            return
        shared.in_force = in_force
        _log.info("%d rules are in force; nothing else was read again", len(rules))

    def run_once(self) -> None:
        """Take what is there, work on it, send it; jobs that have to wait are left for later."""
        shared, alarm = self._shared, self._shared.alarm
        with self._entrances:
            for poller in self._entrances.pollers:
                poller.look_twice()
            while self._arrivals.waiting() and not alarm.is_stopping:
                self._arrivals.wait(1.0)
                self._intake.step()
            self._sender.start()
            sending = alarm.thread("send", self._sender.run)
            while not alarm.is_stopping:
                if not self._dispatcher.step() and self._has_nothing_due():
                    break
                alarm.wait(_IDLE_S)
            failed = alarm.failure
            alarm.stop()
            until = time.monotonic() + shared.settings.stop_s
            sending.join(max(0.0, until - time.monotonic()))
            self._sender.close(until)
            if failed is not None:
                raise failed
            self._housekeeping.step()

    def _has_nothing_due(self) -> bool:
        due_s = self._shared.ledger.next_due_s()
        counts = self._shared.ledger.counts()
        return (due_s is None or due_s > 0) and not counts["running"] and not counts["sending"]

    def _facts(self) -> ServiceFacts:
        shared = self._shared
        arriving = self._arrivals.waiting()
        return ServiceFacts(
            started=shared.started,
            uptime_s=time.monotonic() - shared.started_monotonic,
            is_dispatching=not shared.alarm.is_stopping,
            is_draining=shared.alarm.is_stopping,
            workers=self._dispatcher.capacity,
            busy=self._dispatcher.busy,
            disk_free_bytes=shared.folder.free_bytes(),
            disk_limit_bytes=shared.settings.inbox.free_mb * 2**20,
            arriving=len(arriving),
            arriving_instances=sum(one.instances for one in arriving),
            entrances=self._entrances.facts(),
            destinations=self._sender.facts(),
            reception=self._entrances.reception(),
        )
