"""Which studies are complete: nothing more came for a while, or everything is here that should be.

A study that is complete is handed on as a round: all its files, once. What comes later makes a
further round with all files. Rounds are written down in the study's folder before they are handed
on, so that none is lost or doubled by a crash.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ctdenoise.config.receiver import CompletenessSettings
from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.pacs.inbox import Inbox, Kept, study_key
from ctdenoise.pacs.instance_head import meta_of, part10_start, uids_at
from ctdenoise.pacs.rounds import Offered, Rounds, Why

__all__ = ["Arrivals", "Expected", "Round", "Waiting", "Why"]

_log = logging.getLogger(__name__)

Expected = Callable[[str, frozenset[str]], int | None]
"""Given a StudyInstanceUID and its senders: how many instances it has; None if nobody knows."""

_LONGEST_LOOK_S = 3600.0

ROUNDS_MOST = 16
"""Studies that are handed on at a time: nothing can arrive while their files are opened."""


@dataclass(frozen=True, slots=True)
class Round:
    """A study that is complete, as far as one can know.

    Args:
        id: What tells this round from all others, of all studies.
        study: Key of the study.
        study_instance_uid: The study; empty if none of its files can be read any more.
        senders: AE titles that its files came from.
        files: All its files, old and new.
        conflicts: Files that came under a SOPInstanceUID that another had.
        why: What made it complete.
    """

    id: str
    study: str
    study_instance_uid: str
    senders: frozenset[str]
    files: tuple[Path, ...]
    conflicts: tuple[Path, ...]
    why: Why


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that is not complete yet.

    Args:
        study: Its key.
        instances: How many are here.
        quiet_s: Seconds since the last of them.
        waiting_s: Seconds since the first that was not handed on.
        expected: How many it should have; None if nobody knows.
    """

    study: str
    instances: int
    quiet_s: float
    waiting_s: float
    expected: int | None


@dataclass(slots=True)
class _Study:
    """A study of which something may be here that was not handed on."""

    uid: str
    first: float
    last: float
    instances: int
    senders: set[str] = field(default_factory=set)
    is_stable: bool = False
    is_offered: bool = False
    expected: int | None = None
    asked: float | None = None


class Arrivals:
    """Watches an inbox, and tells which of its studies are complete.

    Args:
        inbox: What arrives; what is there already and was not handed on counts as just arrived.
        settings: When a study is complete.
        clock: Seconds that only grow.
        expected: Asks how many instances a study has; may take its time, and must not raise.
    """

    def __init__(
        self,
        inbox: Inbox,
        settings: CompletenessSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        expected: Expected | None = None,
    ) -> None:
        self._inbox = inbox
        self._settings = settings or CompletenessSettings()
        self._clock = clock
        self._ask = expected
        self._changed = threading.Condition()
        self._studies = {}
        for key in inbox.studies():
            rounds = inbox.rounds(key)
            if rounds.offered is not None or _names(inbox, key) - rounds.handed_on:
                self._studies[key] = self._found(key, rounds)

    def _found(self, key: str, rounds: Rounds) -> _Study:
        files = self._inbox.files(key)
        uid, senders = _origin(files[:1])
        now = self._clock()
        is_offered = rounds.offered is not None
        return _Study(uid, now, now, len(files), set(senders), is_offered=is_offered)

    def arrived(self, kept: Kept) -> None:
        """Something is in the inbox; from any thread.

        Args:
            kept: What.
        """
        with self._changed:
            now = self._clock()
            study = self._studies.get(kept.study)
            if study is None and kept.outcome == "again" and self._is_handed_on(kept):
                return
            if study is None:
                count = len(self._inbox.files(kept.study))
                study = _Study(kept.uids.study_instance_uid, now, now, count)
                self._studies[kept.study] = study
                self._changed.notify_all()
            elif kept.outcome == "new":
                study.instances += 1
            study.last = now
            study.senders.add(kept.sender)
            if kept.outcome != "again":
                study.is_stable = False

    def _is_handed_on(self, kept: Kept) -> bool:
        """Whether a job knows of it; not so where something failed just after it was kept."""
        name = str(kept.path.relative_to(self._inbox.folder(kept.study)))
        return name in self._inbox.rounds(kept.study).handed_on

    def stable(self, study_instance_uid: str) -> None:
        """A peer says that nothing more will come of a study, and all of it is in the inbox.

        Args:
            study_instance_uid: The study.
        """
        with self._changed:
            study = self._studies.get(study_key(study_instance_uid))
            if study is not None:
                study.is_stable = True
                self._changed.notify_all()

    def due(self) -> tuple[Round, ...]:
        """The first `ROUNDS_MOST` studies that are complete, as they began to arrive.

        A round is told of again and again until it was handed on. At most one peer is asked how
        many instances a study has, each time.

        Raises:
            OutputError: If a round cannot be written down; then it is not told of.
        """
        self._ask_about_one()
        with self._changed:
            now = self._clock()
            rounds: list[Round] = []
            for key, study in sorted(self._studies.items(), key=lambda item: item[1].first):
                why = self._why(study, now)
                if study.is_offered or why is not None:
                    found = self._offer(key, study, why or "quiet")
                    rounds += [] if found is None else [found]
                if len(rounds) == ROUNDS_MOST:
                    break
            return tuple(rounds)

    def handed_on(self, done: Round) -> None:
        """A round is where it cannot get lost, and need not be told of any more.

        Args:
            done: The round.

        Raises:
            OutputError: If that cannot be written down; then the round is told of again.
        """
        with self._changed:
            folder = self._inbox.folder(done.study)
            # What is gone, and comes again, is new.
            held = [path for path in (*done.files, *done.conflicts) if path.exists()]
            names = {str(path.relative_to(folder)) for path in held}
            self._inbox.change_rounds(done.study, lambda rounds: Rounds(rounds.handed_on | names))
            study = self._studies.get(done.study)
            if study is None:
                return
            study.is_offered = False
            if not _names(self._inbox, done.study) - self._inbox.rounds(done.study).handed_on:
                del self._studies[done.study]
            else:
                study.first = min(study.last, self._clock())

    def wait(self, timeout_s: float) -> None:
        """Wait until a study may be complete, or for so long.

        Args:
            timeout_s: Longest wait.
        """
        with self._changed:
            self._changed.wait(min(timeout_s, self.next_look_s()))

    def waiting(self) -> tuple[Waiting, ...]:
        """Studies that are not complete yet, in the order in which they began to arrive."""
        with self._changed:
            now = self._clock()
            return tuple(
                Waiting(key, one.instances, now - one.last, now - one.first, one.expected)
                for key, one in sorted(self._studies.items(), key=lambda item: item[1].first)
            )

    def _why(self, study: _Study, now: float) -> Why | None:
        settings = self._settings
        quiet, waited = now - study.last, now - study.first
        is_short = study.expected is not None and study.instances < study.expected
        if study.is_stable:
            return "stable"
        if waited >= settings.longest_wait_s:
            return "longest wait"
        if is_short:
            return None
        if study.expected is not None and quiet >= settings.counted_quiet_s:
            return "counted"
        return "quiet" if quiet >= settings.quiet_s else None

    def _offer(self, key: str, study: _Study, why: Why) -> Round | None:
        """The round that is offered, or a new one, written down; None if nothing is new."""
        rounds = self._inbox.rounds(key)
        offered = rounds.offered
        if offered is None:
            names = _names(self._inbox, key)
            if not names - rounds.handed_on:
                del self._studies[key]
                return None
            offered = Offered(f"{key[:12]}-{uuid.uuid4().hex[:12]}", why, tuple(sorted(names)))
            self._inbox.change_rounds(key, lambda known: Rounds(known.handed_on, offered))
        study.is_offered = True
        return self._round(key, offered)

    def _round(self, key: str, offered: Offered) -> Round:
        folder = self._inbox.folder(key)
        paths = [folder / name for name in offered.files]
        files = tuple(path for path in paths if path.parent == folder)
        conflicts = tuple(path for path in paths if path.parent != folder)
        uid, senders = _origin((*files, *conflicts))
        return Round(offered.id, key, uid, senders, files, conflicts, offered.why)

    def _ask_about_one(self) -> None:
        if self._ask is None:
            return
        with self._changed:
            now = self._clock()
            asked = next((one for one in self._studies.values() if self._is_to_ask(one, now)), None)
            if asked is None:
                return
            asked.asked = now
            uid, senders = asked.uid, frozenset(asked.senders)
        count = self._ask(uid, senders)
        with self._changed:
            asked.expected = count

    def _is_to_ask(self, study: _Study, now: float) -> bool:
        settings = self._settings
        is_old = study.asked is None or now - study.asked >= settings.ask_again_s
        return is_old and not study.is_offered and now - study.last >= settings.counted_quiet_s

    def next_look_s(self) -> float:
        """Seconds until a study may be complete, if nothing arrives meanwhile."""
        with self._changed:
            now, settings = self._clock(), self._settings
            moments = [now + _LONGEST_LOOK_S]
            for study in self._studies.values():
                if study.is_offered or self._why(study, now) is not None:
                    return 0.0
                if self._ask is not None and self._is_to_ask(study, now):
                    return 0.0
                moments.append(study.first + settings.longest_wait_s)
                moments.append(study.last + settings.quiet_s)
                moments.append(study.last + settings.counted_quiet_s)
                if study.asked is not None:
                    moments.append(study.asked + settings.ask_again_s)
        return min(moment for moment in moments if moment > now) - now


def _names(inbox: Inbox, key: str) -> frozenset[str]:
    """Files of a study, relative to its folder."""
    folder = inbox.folder(key)
    paths = (*inbox.files(key), *inbox.conflicts(key))
    return frozenset(str(path.relative_to(folder)) for path in paths)


def _origin(files: Iterable[Path]) -> tuple[str, frozenset[str]]:
    """The StudyInstanceUID and the senders of files of one study."""
    uid, senders = "", set[str]()
    for path in files:
        try:
            with path.open("rb") as file:
                senders.add(meta_of(file)[1])
                if not uid:
                    uid = uids_at(file, *part10_start(file)).study_instance_uid
        except (DamagedFileError, OSError) as error:
            _log.warning("a file of the inbox cannot be read (%s)", type(error).__name__)
    return uid, frozenset(senders)
