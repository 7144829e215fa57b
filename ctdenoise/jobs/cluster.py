"""Units of work done by the workers of a Dask scheduler, on this machine or on many."""

from __future__ import annotations

import logging
import queue
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ctdenoise.config.executor import DistributedSettings, ExecutorSettings
from ctdenoise.errors import MissingExtraError, PeerUnavailable, UsageError, listed
from ctdenoise.jobs.parcels import packed
from ctdenoise.jobs.work import Failure, Finished, Prepare, WorkUnit

try:
    import dask
    from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster
    from distributed.security import Security
except ImportError as _error:
    raise MissingExtraError(
        "working on a cluster needs packages that are not installed.",
        fix='Install them with: pip install "ctdenoise[distributed]"',
    ) from _error

from ctdenoise.jobs.remote_work import Refused, Terms, do_unit, end_run, objection, versions

_LOOK_S = 1.0
"""How old the list of workers may be."""

_PROBE = ".ctdenoise-probe-"


class Distributed:
    """Works on as many units at a time as the cluster has threads, or GPUs.

    A unit whose worker is lost is begun again on another one, as often as the scheduler allows
    (`distributed.scheduler.allowed-failures`).

    Args:
        settings: Limits and priority.
        place: Where the scheduler is.
        shared: A folder that all workers must see under the same name.
        prepare: See `Processes`.

    Raises:
        PeerUnavailable: If the scheduler cannot be reached, or has no worker.
        UsageError: If no worker can be used, with the reason of each.
    """

    def __init__(
        self,
        settings: ExecutorSettings,
        place: DistributedSettings,
        *,
        shared: Path,
        prepare: Prepare | None = None,
    ) -> None:
        self._place = place
        self._done: queue.SimpleQueue[Future[Finished | Refused]] = queue.SimpleQueue()
        self._units: dict[str, tuple[bytes, float]] = {}
        self._names: dict[str, str] = {}
        self._futures: dict[str, Future[Finished | Refused]] = {}
        self._refused: dict[str, str] = {}
        self._capacity, self._looked = 0, float("-inf")
        self._submitted = 0
        self._opened = ExitStack()
        with ExitStack() as opened:
            opened.enter_context(_silent_dask())
            probe, token = opened.enter_context(_probe(shared))
            self._client = opened.enter_context(_connected(place))
            version, python = versions()
            self._terms = Terms(
                secrets.token_hex(8),
                version,
                python,
                probe,
                token,
                settings.replaced(place={"name": "in-process"}).model_dump_json(),
                packed(prepare),
            )
            self._require_workers()
            self._opened = opened.pop_all()

    @property
    def capacity(self) -> int:
        """How many units it works on at a time; follows the workers as they come and go."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            self._capacity = sum(
                self._places(worker)
                for address, worker in self._workers().items()
                if address not in self._refused
            )
        return self._capacity

    def submit(self, unit: WorkUnit) -> None:
        """Take a unit on.

        Raises:
            Exception: Whatever pickling it raises.
        """
        self._units[unit.id] = (packed(unit), time.monotonic())
        self._begin(unit.id)

    def finished(self, timeout_s: float) -> tuple[Finished, ...]:
        """Units that came to their end since the last call; waits for one, at most so long.

        Raises:
            PeerUnavailable: If the scheduler was lost.
            UsageError: If no worker is left that can be used.
        """
        found: list[Finished] = []
        end = time.monotonic() + timeout_s
        while not found:
            if self._client.status != "running":
                raise self._lost()
            try:
                future = self._done.get(timeout=max(0.0, min(_LOOK_S, end - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= end:
                    break
                continue
            found += self._outcome(future)
        with suppress(queue.Empty):
            while True:
                found += self._outcome(self._done.get_nowait())
        return tuple(found)

    def close(self) -> None:
        """Stop what is under way, and let go of the cluster."""
        with suppress(Exception):  # what is lost already need not be stopped
            if self._futures and self._client.status == "running":
                self._client.cancel(list(self._futures.values()))
        with suppress(Exception):
            if self._client.status == "running":
                self._client.run(end_run, self._terms.run, on_error="ignore")
        self._futures.clear()
        self._units.clear()
        self._opened.close()

    def _begin(self, name: str) -> None:
        self._submitted += 1
        usable = None
        if self._refused:
            usable = [worker for worker in self._workers() if worker not in self._refused]
            if not usable:
                raise self._no_worker()
        future = self._client.submit(
            do_unit,
            name,
            self._units[name][0],
            self._terms,
            key=f"study-{self._terms.run}-{self._submitted}",
            workers=usable,
            resources={"GPU": 1} if self._place.gpu else None,
            pure=False,
        )
        self._names[future.key], self._futures[name] = name, future
        future.add_done_callback(self._done.put)

    def _outcome(self, future: Future[Finished | Refused]) -> Iterator[Finished]:
        """What became of a unit; nothing where it was begun again."""
        name = self._names.pop(future.key)
        del self._futures[name]
        begun = self._units[name][1]
        try:
            result = future.result()
        except KilledWorker:
            words = "the workers of the cluster that had it were lost, one after the other"
            result = Finished(name, failure=Failure("lost", words))
        except CancelledError as error:  # the scheduler has forgotten it
            raise self._lost() from error
        except Exception as error:  # noqa: BLE001 - one study must not stop the others
            words = f"the cluster could not do it ({type(error).__name__})"
            result = Finished(name, failure=Failure("lost", words))
        if isinstance(result, Refused):
            self._refused[result.worker] = result.why
            self._looked = float("-inf")
            self._begin(name)
            return
        del self._units[name]
        seconds = result.seconds or time.monotonic() - begun
        yield Finished(name, result.result, result.failure, seconds)

    def _lost(self) -> PeerUnavailable:
        return PeerUnavailable(
            "the connection to the scheduler was lost.",
            where=self._place.address,
            fix="Start it and its workers again, then run the same command to go on.",
        )

    def _workers(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1).get("workers", {})
        return found

    def _places(self, worker: Mapping[str, Any]) -> int:
        """How many units a worker takes at a time."""
        if self._place.gpu:
            return int(worker.get("resources", {}).get("GPU", 0))
        return int(worker.get("nthreads", 0))

    def _require_workers(self) -> None:
        """Ask every worker whether it can be used, before any work is done."""
        try:
            self._client.wait_for_workers(1, timeout=self._place.connect_s)
        except TimeoutError as error:
            raise PeerUnavailable(
                f"the scheduler has no worker after {self._place.connect_s:g} s.",
                where=self._place.address,
                fix="Start workers with: dask worker ADDRESS --nthreads 1",
            ) from error
        answers = self._client.run(objection, self._terms, on_error="return")
        for worker, answer in answers.items():
            if isinstance(answer, Exception):
                self._refused[worker] = f"it cannot run ctdenoise ({type(answer).__name__})"
            elif answer is not None:
                self._refused[worker] = answer
        if len(self._refused) == len(answers):
            raise self._no_worker()

    def _no_worker(self) -> UsageError:
        whys = list(self._refused.values())
        counted = [f"{whys.count(why)} of them: {why}" for why in dict.fromkeys(whys)]
        return UsageError(
            f"none of the {len(whys)} workers can be used:\n{listed(counted)}",
            where=self._place.address,
            fix="Install the same ctdenoise everywhere, and give an --out that all machines see.",
        )


@contextmanager
def _connected(place: DistributedSettings) -> Iterator[Client]:
    """A client, and a cluster of our own where that is asked for."""
    kind, _, count = place.address.partition(":")
    with ExitStack() as opened:
        address: Any = place.address
        if kind == "local":
            address = opened.enter_context(_local(int(count), gpu=place.gpu))
        security = None
        if place.tls is not None:
            security = Security(
                tls_ca_file=str(place.tls.ca),
                tls_client_cert=str(place.tls.cert),
                tls_client_key=str(place.tls.key),
                require_encryption=True,
            )
        try:
            client = Client(
                address, timeout=place.connect_s, security=security, set_as_default=False
            )
        except (OSError, TimeoutError) as error:
            raise PeerUnavailable(
                f"there is no scheduler that answers within {place.connect_s:g} s.",
                where=place.address,
                fix="Start one with: dask scheduler",
            ) from error
        opened.enter_context(client)
        yield client


@contextmanager
def _local(workers: int, *, gpu: bool) -> Iterator[LocalCluster]:
    """A cluster of processes on this machine."""
    with (
        tempfile.TemporaryDirectory(prefix="ctdenoise-dask-", ignore_cleanup_errors=True) as place,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL + 1,
            memory_limit=0,  # limits are those of the processes that do the work
            local_directory=place,
            resources={"GPU": 1} if gpu else None,
        ) as cluster,
    ):
        yield cluster


@contextmanager
def _probe(shared: Path) -> Iterator[tuple[Path, str]]:
    """A file that tells a folder from all others, as long as the run lasts."""
    shared.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
    path = shared.resolve() / f"{_PROBE}{token[:8]}"
    path.write_text(token, encoding="ascii")
    try:
        yield path, token
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _silent_dask() -> Iterator[None]:
    """Keep Dask from writing to stderr: what matters to people is told by its exceptions."""
    logger = logging.getLogger("distributed")
    before = (logger.level, logger.propagate)
    levels = {"distributed": "critical", "distributed.nanny": "critical"}
    with dask.config.set({"logging": levels}):
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
        try:
            yield
        finally:
            logger.setLevel(before[0])
            logger.propagate = before[1]
