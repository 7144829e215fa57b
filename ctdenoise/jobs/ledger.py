"""The ledger: which jobs there are and how far each is, on the disk at every moment.

One SQLite file in the folder of a server or a batch. A move is on the disk when the call returns,
and is there whole or not at all, whatever kills the process. Any number of threads may use one
`Ledger`; other processes may read it, and lead jobs on, at the same time. A process that was forked
must not use, or end by closing, the `Ledger` of its parent.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import LedgerError, OutputError
from ctdenoise.jobs import ledger_copies, ledger_moves, ledger_opening, ledger_reading
from ctdenoise.jobs import ledger_remembered as remembered
from ctdenoise.jobs.job import Job, Move
from ctdenoise.jobs.ledger_moves import Waiting
from ctdenoise.jobs.ledger_sqlite import (
    LEDGER_FILE,
    checkpoint,
    connected,
    is_full,
    told_in_words,
    transaction,
)
from ctdenoise.jobs.states import State

_CHANGES_BETWEEN_CHECKPOINTS: Final = 2000
"""After so many changed rows, what was committed is taken over from the -wal file."""


class Ledger:
    """Jobs and how far they are; see `open`.

    Attributes:
        restored: What was done about damage when it was opened, in a sentence; empty if there was
            none. What happened since the copy then has to be found again elsewhere.
    """

    def __init__(
        self,
        folder: Path,
        reading: sqlite3.Connection,
        writing: sqlite3.Connection | None,
        *,
        restored: str = "",
    ) -> None:
        self.restored: Final = restored
        self._folder = folder
        self._path = folder / LEDGER_FILE
        self._reading = reading
        self._writing = writing
        self._read_lock = threading.Lock()
        self._write_lock = threading.RLock()
        self._unchecked = 0
        self._clock: Callable[[], float] = time.time

    @classmethod
    def open(
        cls, folder: Path, *, create: bool = True, read_only: bool = False, restore: bool = True
    ) -> Ledger:
        """The ledger of a folder.

        Opened to be restored, the whole file is checked. If it is damaged, its last good copy takes
        its place, the damaged one is kept below `damaged/`, and `restored` says so.

        Args:
            folder: The state folder of a server or the output folder of a batch.
            create: Whether to make the folder and the ledger where there is none.
            read_only: Whether nothing is to be changed; nothing is made or restored then.
            restore: Whether it may be checked and replaced by its copy. Only for those who have
                the folder for themselves.

        Raises:
            LedgerError: If there is none, or it is damaged and has no good copy, belongs to another
                program or another version.
            OutputError: If it cannot be written.
        """
        path = folder / LEDGER_FILE
        said = ""
        with told_in_words(path), ExitStack() as opened:
            if read_only:
                ledger_opening.require_readable(folder)
            else:
                if create:
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                said = ledger_opening.prepare(folder, create=create, restore=restore)
            reading = opened.enter_context(closing(connected(path, read_only=read_only)))
            ledger_opening.require_version(reading, path, exactly=True)
            if read_only:
                opened.pop_all()
                return cls(folder, reading, None)
            writing = opened.enter_context(closing(connected(path)))
            if not (folder / ledger_opening.IN_USE_FILE).exists():
                (folder / ledger_opening.IN_USE_FILE).touch(mode=0o600)
            opened.pop_all()
        return cls(folder, reading, writing, restored=said)

    def add(self, job: Job) -> bool:
        """Add a job that is not known yet.

        Args:
            job: Its state is "receiving" or "ready". Its time of creation is now unless it has one.

        Returns:
            Whether it was added; False where its id is known, and nothing changes.

        Raises:
            IllegalMove: If it starts in another state.
        """
        with self._changing() as database:
            return ledger_moves.add(database, job, now=self._clock())

    def move(
        self,
        id: str,  # noqa: A002 - the word for it
        to: State,
        *,
        expected: State | None = None,
        reason: str = "",
        result: Mapping[str, JsonValue] | None = None,
        not_before: float | None = None,
    ) -> Job:
        """Lead a job on by one state.

        It begins a try when it comes to "running" or "sending"; coming to "made", it has tried
        nothing yet of what follows.

        Args:
            id: Of the job.
            to: Where to.
            expected: Where it must be now.
            reason: Why; empty where that is plain.
            result: What came out, in place of what there was.
            not_before: Seconds since 1970 before which it is not begun again. If the clock is set
                back, the job waits no longer than it was told to.

        Returns:
            The job as it is now.

        Raises:
            IllegalMove: If it is somewhere else, or the move is not in the table.
            LedgerError: If there is no such job.
        """
        change = ledger_moves.Change(to, reason, result, not_before)
        with self._changing() as database:
            return ledger_moves.move(database, id, change, expected=expected, now=self._clock())

    def retry(self, id: str, *, reason: str = "asked for") -> Job:  # noqa: A002 - the word for it
        """Lead a job that has ended back, because a person wants it.

        A job that was given up while its result was to be sent is sent again; every other is done
        from the start. It has all its tries again.

        Args:
            id: Of the job.
            reason: For its history.

        Raises:
            IllegalMove: If it has not ended.
            LedgerError: If there is no such job.
        """
        with self._changing() as database:
            return ledger_moves.retry(database, id, reason=reason, now=self._clock())

    def claim(self, kind: str | None = None, *, state: Waiting = "ready") -> Job | None:
        """Take on the oldest job that waits and whose time has come; nobody else gets it.

        Args:
            kind: What is done in it; None for any.
            state: "ready" for one that is to be run, "made" for one that is to be sent.

        Returns:
            The job, "running" or "sending" now; None where there is none.
        """
        with self._reading_alone() as database:
            if not ledger_moves.may_be_due(database, now=self._clock()):
                return None
        with self._changing() as database:
            return ledger_moves.claim(database, kind, state, now=self._clock())

    def next_due_s(self) -> float | None:
        """Seconds until the next job that waits can be begun; 0 for at once, None for none."""
        with self._reading_alone() as database:
            return ledger_moves.next_due_s(database, now=self._clock())

    def interrupted(self) -> tuple[Job, ...]:
        """Lead back what somebody had begun who is no more: to be called when nothing is under way.

        Returns:
            The jobs as they are now, "ready" or "made"; the try that was cut short counts.
        """
        with self._changing() as database:
            return ledger_moves.interrupted(database, now=self._clock())

    def job(self, id: str) -> Job:  # noqa: A002 - the word for it
        """The job of an id.

        Raises:
            LedgerError: If there is none.
        """
        with self._reading_alone() as database:
            return ledger_reading.job(database, id)

    def knows(self, id: str) -> bool:  # noqa: A002 - the word for it
        """Whether there is a job of an id."""
        with self._reading_alone() as database:
            return ledger_reading.found(database, id) is not None

    def ids_from(self, beginning: str, *, most: int = 10) -> tuple[str, ...]:
        """The ids that begin like this, at most so many of them."""
        with self._reading_alone() as database:
            return ledger_reading.ids_from(database, beginning, most=most)

    def jobs(
        self,
        states: Collection[State] = (),
        kind: str | None = None,
        *,
        study: str | None = None,
        newest_first: bool = True,
        limit: int | None = None,
    ) -> tuple[Job, ...]:
        """Jobs in the order in which they were added.

        Args:
            states: Only in these states; all if empty.
            kind: Only of this kind.
            study: Only of this study.
            newest_first: Whether the last that was added comes first.
            limit: How many at most.
        """
        with self._reading_alone() as database:
            return ledger_reading.jobs(
                database, (states, kind, study), newest_first=newest_first, limit=limit
            )

    def every_job(self) -> Iterator[Job]:
        """All jobs in the order in which they were added; only some are held at a time."""
        return ledger_reading.every_job(self._reading_alone)

    def counts(self) -> Mapping[State, int]:
        """How many jobs are in each state, states without any included."""
        with self._reading_alone() as database:
            return ledger_reading.counts(database)

    def history(self, id: str) -> tuple[Move, ...]:  # noqa: A002 - the word for it
        """Every move of a job, oldest first.

        Raises:
            LedgerError: If there is no such job.
        """
        with self._reading_alone() as database:
            return ledger_reading.history(database, id)

    def remember_delivered(self, destination: str, sop_instance_uids: Collection[str]) -> None:
        """Note that a destination confirmed these instances, so that they are not sent twice."""
        with self._changing() as database:
            remembered.add_delivered(database, destination, sop_instance_uids, now=self._clock())

    def delivered(self, destination: str, uids: Collection[str]) -> frozenset[str]:
        """Which of these instances a destination has confirmed."""
        with self._reading_alone() as database:
            return remembered.delivered(database, destination, uids)

    def remember_instances(self, job_id: str, instances: Mapping[str, str]) -> None:
        """Note what a job is about. An instance belongs to the job that named it last.

        Args:
            job_id: The job.
            instances: SHA-256 of the file, 64 hexadecimal digits, by SOP Instance UID.

        Raises:
            LedgerError: If there is no such job.
        """
        with self._changing() as database:
            remembered.add_instances(database, job_id, instances)

    def known_instances(self, uids: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """Job and SHA-256 of those instances among these that a job was about."""
        with self._reading_alone() as database:
            return remembered.known_instances(database, uids)

    def note(self, key: str, value: JsonValue) -> None:
        """Keep a small fact, in place of what stood there; None forgets it."""
        with self._changing() as database:
            remembered.note(database, key, value)

    def noted(self, key: str) -> JsonValue:
        """What was noted under a key; None if nothing was."""
        with self._reading_alone() as database:
            return remembered.noted(database, key)

    def forget(
        self, older_than_s: float, *, states: Collection[State] = ("done", "refused")
    ) -> int:
        """Forget jobs that ended long ago, with their history and their instances.

        What was confirmed by destinations is forgotten as well when it is as old, unless a job
        that has not ended may still need it. Where most of a large ledger is free then, its room is
        given back.

        Args:
            older_than_s: Seconds since their last move.
            states: Which of the ended jobs; those that were given up stay unless asked for.

        Returns:
            How many jobs.

        Raises:
            IllegalMove: If one of the states is not an end.
        """
        count = remembered.forget(self._changing, states, before=self._clock() - older_than_s)
        with self._reading_alone() as database:
            is_mostly_free = remembered.is_mostly_free(database)
        if is_mostly_free:
            with suppress(OutputError):  # it needs room; without it the room is used again later
                self.vacuum()
        return count

    def vacuum(self) -> None:
        """Give the room of what was forgotten back to the disk; takes as much again meanwhile."""
        with self._write_lock, told_in_words(self._path):
            self._writer().execute("VACUUM")
            self._take_over()

    def backup(self) -> Path:
        """Copy the ledger into `backup/`, where older ones move up; returns the copy."""
        with told_in_words(self._path):
            return ledger_copies.make_copy(self._folder)

    def close(self) -> None:
        """Close the files; may be called twice."""
        with self._write_lock, self._read_lock:
            self._reading.close()
            if self._writing is not None:
                self._writing.close()
                # SQLite removes the -wal file with the last user that closes.
                if not self._path.with_name(self._path.name + "-wal").exists():
                    (self._folder / ledger_opening.IN_USE_FILE).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _writer(self) -> sqlite3.Connection:
        if self._writing is None:
            raise LedgerError("the ledger was opened for reading only.", where=self._path)
        return self._writing

    def together(self) -> AbstractContextManager[object]:
        """Put all changes of this thread on the disk together, or none; none is read before."""
        return self._changing()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock, told_in_words(self._path):
            database = self._writer()
            if database.in_transaction:  # of `together`
                yield database
                return
            before = database.total_changes
            try:
                with transaction(database):
                    yield database
            except sqlite3.OperationalError as error:
                if is_full(error):  # the room of the -wal file can then be used again
                    self._unchecked = _CHANGES_BETWEEN_CHECKPOINTS
                raise
            finally:
                self._unchecked += database.total_changes - before
                if self._unchecked >= _CHANGES_BETWEEN_CHECKPOINTS:
                    with suppress(sqlite3.OperationalError):  # no change depends on it
                        self._take_over()

    def _take_over(self) -> None:
        with self._read_lock:
            checkpoint(self._writer(), self._reading)
        self._unchecked = 0

    @contextmanager
    def _reading_alone(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, told_in_words(self._path):
            yield self._reading
