"""An Orthanc archive whose studies are fetched once it calls them stable.

Orthanc numbers whatever changes. We remember the last number that we dealt with, what it was, and
when. Numbers that go down, or a number that has become something else, mean that its database is
another one, or that what changed last was removed: then its history is read again from the day that
we remember. A study that cannot be taken while the archive itself answers does not hold up the
others: it is put off (`pacs.postponed`), and what is put off is remembered in one note with the
last number.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, BinaryIO, cast

from ctdenoise.config.receiver import OrthancSettings
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.errors import PeerError, PeerRefused
from ctdenoise.io.dicom_derivation import PRODUCT
from ctdenoise.io.dicom_uids import is_uid
from ctdenoise.pacs.inbox import Inbox, Kept, NotKeptError
from ctdenoise.pacs.incoming import StudyFullError, as_not_kept
from ctdenoise.pacs.multipart import Parts, boundary_of
from ctdenoise.pacs.postponed import Postponed
from ctdenoise.pacs.watch_folder import Memory
from ctdenoise.pacs.web import WebConnection

__all__ = ["Fetched", "OrthancPoller"]

_log = logging.getLogger(__name__)

_STABLE = "StableStudy"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}")
_DAY = 8
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PASSING = frozenset(("full", "limit", "disk"))
_IN_MEMORY_BYTES = 16 * 2**20
_PIECE_HEAD_BYTES = 4096
_MORE_PARTS = 1000
_KNOWN_MOST = 20_000  # studies of which is remembered what was taken: those of some days


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one look brought.

    Args:
        studies: Studies that became stable and had something new.
        instances: Instances of them that are in the inbox now.
        refused: Instances that can never be kept.
    """

    studies: int = 0
    instances: int = 0
    refused: int = 0

    def __add__(self, other: Fetched) -> Fetched:
        return Fetched(
            self.studies + other.studies,
            self.instances + other.instances,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """One line of the archive's history."""

    number: int
    kind: str
    id: str
    date: str


@dataclass(frozen=True, slots=True)
class _Cursor:
    """How far the history was read.

    Args:
        number, id, date: Of the last change that was dealt with.
        floor: Day before which nothing is looked at, while the history is read again.
    """

    number: int = 0
    id: str = ""
    date: str = ""
    floor: str = ""

    def behind(self, change: _Change) -> _Cursor:
        """The cursor once a change was dealt with."""
        return replace(self, number=change.number, id=change.id, date=max(self.date, change.date))

    def as_json(self) -> dict[str, JsonValue]:
        """As it is remembered."""
        return {"number": self.number, "id": self.id, "date": self.date, "floor": self.floor}


class OrthancPoller:
    """Fetches what became stable; the caller looks every now and then, from one thread.

    Args:
        settings: Which archive.
        inbox: Where instances are kept.
        on_kept: Called for each instance that was kept.
        on_stable: Called with the StudyInstanceUID once a whole study is in the inbox.
        memory: Remembers how far the history was read.
        on_given_up: Called with the archive's name of a study, which is made from the patient's,
            and why, before it is never tried again.
    """

    def __init__(
        self,
        settings: OrthancSettings,
        inbox: Inbox,
        *,
        on_kept: Callable[[Kept], None],
        on_stable: Callable[[str], None],
        memory: Memory,
        on_given_up: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._on_kept = on_kept
        self._on_stable = on_stable
        self._memory = memory
        self._on_given_up = on_given_up
        self._key = f"orthanc/{digest(settings.archive.url)}"
        self._postponed = Postponed(settings.again)
        self._postponed.restore(self._noted().get("later"))
        self._taken = int(cast("int", self._noted().get("taken", 0)))

    @property
    def problem(self) -> str:
        """What could not be taken although the archive answers; empty if all could."""
        return self._postponed.problem

    def look(self) -> Fetched:
        """Fetch every study that became stable since the last look, or is to be tried again.

        What was fetched is remembered study by study: a failure in the midst loses nothing.

        Raises:
            PeerUnavailable: If the archive cannot be reached or is busy.
            PeerRefused: If it does not let us in, or is no Orthanc.
            NotKeptError: If there is no room for more.
        """
        with WebConnection(self._settings.archive) as connection:
            cursor = self._start(connection)
            fetched = Fetched()
            for study in self._postponed.due():
                fetched += self._take(connection, study)
                self._remember(cursor)
            while True:
                cursor, changes, is_done = self._next(connection, cursor)
                for change in changes:
                    if change.kind == _STABLE and change.date[:_DAY] >= cursor.floor:
                        fetched += self._take(connection, change.id)
                        self._remember(cursor := cursor.behind(change))
                    cursor = cursor.behind(change)
                if is_done:
                    self._remember(replace(cursor, floor=""))
                    return fetched

    def _start(self, connection: WebConnection) -> _Cursor:
        noted = self._noted()
        if noted:
            return _Cursor(
                int(cast("int", noted["number"])),
                str(noted["id"]),
                str(noted["date"]),
                str(noted["floor"]),
            )
        if self._settings.start == "beginning":
            return _Cursor()
        changes, _, _ = _changes(_json(connection, "/changes", {"last": ""}), connection.name)
        cursor = _Cursor().behind(changes[-1]) if changes else _Cursor()
        self._remember(cursor)
        return cursor

    def _next(
        self, connection: WebConnection, cursor: _Cursor
    ) -> tuple[_Cursor, Sequence[_Change], bool]:
        """The next changes; from the beginning if the history is not the one that we know."""
        since = max(0, cursor.number - 1)  # with the last one that we know
        query = {"since": str(since), "limit": str(self._settings.changes_per_request)}
        answer = _json(connection, "/changes", query)
        changes, last, is_done = _changes(answer, connection.name)
        known = changes[0] if changes and changes[0].number == cursor.number else None
        is_other = known is not None and known.id != cursor.id
        if cursor.number and (is_other or (not changes and last < cursor.number)):
            _log.warning("%s has another history than it had; it is read again", connection.name)
            fresh = _Cursor(date=cursor.date, floor=cursor.date[:_DAY])
            return self._next(connection, fresh)
        new = [one for one in changes if one.number > cursor.number]
        return cursor, new, is_done or not new

    def _noted(self) -> Mapping[str, JsonValue]:
        noted = self._memory.noted(self._key)
        return noted if isinstance(noted, Mapping) else {}

    def _remember(self, cursor: _Cursor) -> None:
        """In one note, so that no study behind the cursor is forgotten while it is put off."""
        own: dict[str, JsonValue] = {"later": self._postponed.as_json(), "taken": self._taken}
        now: dict[str, JsonValue] = {**cursor.as_json(), **own}
        if self._noted() != now:
            self._memory.note(self._key, now)

    def _take(self, connection: WebConnection, study: str) -> Fetched:
        """Fetch a study, or put it off if that is no fault of the archive as a whole."""
        try:
            fetched = self._fetch(connection, study)
        except (PeerError, StudyFullError) as error:
            if not self._postponed.has_room(study):
                raise
            _json(connection, "/changes", {"last": ""})  # raises where nothing is answered
            own_fault = isinstance(error, StudyFullError)
            tries = self._postponed.failed(study, error.what, own_fault=own_fault)
            if tries:
                _log.error("a study is given up after %d tries: %s", tries, error.what)
                self._on_given_up(study, error.what)
            return Fetched()
        self._postponed.settled(study, came=fetched.instances > 0)
        return fetched

    def _know(self, study: str, contents: str) -> None:
        """Remember what was taken of a study, in the place of the study taken longest ago."""
        key = f"{self._key}/{study}"
        is_known = self._memory.noted(key) is not None
        self._memory.note(key, contents)
        if is_known:
            return
        place = f"{self._key}/known/{self._taken % _KNOWN_MOST}"
        before = self._memory.noted(place)
        self._memory.note(place, study)
        self._taken += 1
        if before not in (None, study):
            self._memory.note(f"{self._key}/{before}", None)

    def _fetch(self, connection: WebConnection, study: str) -> Fetched:
        """All of a study that is not ours and was not fetched before."""
        described = _json(connection, f"/studies/{study}", missing=True)
        found = _json(connection, f"/studies/{study}/series", missing=True)
        if not isinstance(described, dict) or not isinstance(found, list):
            _log.info("a study is not there any more")
            return Fetched()
        uid = _tag(described, "StudyInstanceUID")
        series = [_series(one) for one in found if _tag(one, "Manufacturer") != PRODUCT]
        instances = sorted(one for _, ids in series for one in ids)
        contents = digest(instances)
        if not instances or self._memory.noted(f"{self._key}/{study}") == contents:
            return Fetched()
        if len(instances) > self._inbox.most_instances:
            raise StudyFullError
        fetched = Fetched(studies=1)
        for series_uid, ids in series:
            fetched += self._fetch_series(connection, uid, series_uid, ids)
        self._on_stable(uid)
        self._know(study, contents)
        return fetched

    def _fetch_series(
        self, connection: WebConnection, study: str, series: str, ids: Sequence[str]
    ) -> Fetched:
        if self._settings.instances == "dicomweb" and is_uid(study) and is_uid(series):
            fetched, parts = self._by_dicomweb(connection, study, series, len(ids))
            if parts >= len(ids):
                return fetched
            _log.warning("%s gave a part of a series; it is asked one by one", connection.name)
        fetched = Fetched()
        for one in ids:
            with connection.get(f"/instances/{one}/file", accept="application/dicom") as answer:
                if answer.status == 404:
                    continue
                answer.require_success()
                fetched += self._keep(answer.pieces(most_bytes=2 * self._inbox.most_bytes))
        return fetched

    def _by_dicomweb(
        self, connection: WebConnection, study: str, series: str, count: int
    ) -> tuple[Fetched, int]:
        path = f"{self._settings.web_root}/studies/{study}/series/{series}"
        fetched, parts, most = Fetched(), 0, count + _MORE_PARTS
        with connection.get(path, accept=_ACCEPT) as answer:
            if answer.status == 404:
                return fetched, 0
            answer.require_success()
            boundary = boundary_of(answer.content_type, connection.name)
            most_bytes = most * (self._inbox.most_bytes + _PIECE_HEAD_BYTES)
            pieces = answer.pieces(most_bytes=most_bytes)
            for part in Parts(pieces, boundary, name=connection.name, most=most):
                fetched += self._keep(part)
                parts += 1
            for _ in pieces:  # what follows the last part
                pass
        return fetched, parts

    def _keep(self, pieces: Iterator[bytes]) -> Fetched:
        """One instance, which can be of any size, into the inbox."""
        scratch = str(self._inbox.scratch)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=scratch) as spooled:
            file = cast("BinaryIO", spooled)
            try:
                self._spool(pieces, file)
                kept = self._inbox.keep_file(file, sender=self._settings.sender)
            except NotKeptError as error:
                if error.reason in _PASSING:
                    raise
                for _ in pieces:  # what follows may be better
                    pass
                _log.warning("an instance of the archive was refused: %s", error.what)
                return Fetched(refused=1)
        self._on_kept(kept)
        return Fetched(instances=1)

    def _spool(self, pieces: Iterator[bytes], file: BinaryIO) -> None:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > self._inbox.most_bytes:
                raise NotKeptError("too-large", "an instance is larger than any may be")
            with as_not_kept():
                file.write(piece)


def _json(
    connection: WebConnection,
    path: str,
    query: Mapping[str, str] = MappingProxyType({}),
    *,
    missing: bool = False,
) -> Any:
    """Parsed JSON that the archive answers; None where `missing` allows that nothing is there."""
    with connection.get(path, accept="application/json", query=tuple(query.items())) as answer:
        if missing and answer.status == 404:
            return None
        answer.require_success()
        return answer.json()


def _changes(answer: Any, name: str) -> tuple[Sequence[_Change], int, bool]:
    """Changes in ascending order, the number of the last, and whether there are no more."""
    try:
        changes = [
            _Change(int(one["Seq"]), str(one["ChangeType"]), str(one["ID"]), str(one["Date"]))
            for one in answer["Changes"]
        ]
        last, is_done = int(answer["Last"]), bool(answer["Done"])
    except (KeyError, TypeError, ValueError) as error:
        raise _no_orthanc(name) from error
    if not all(_ID.fullmatch(one.id) and _DATE.fullmatch(one.date) for one in changes):
        raise _no_orthanc(name)
    return sorted(changes, key=lambda one: one.number), last, is_done


def _no_orthanc(name: str) -> PeerRefused:
    return PeerRefused(
        "its answer is none of Orthanc.",
        where=name,
        fix="Give the address of Orthanc's REST interface, such as http://127.0.0.1:8042.",
    )


def _tag(described: Any, keyword: str) -> str:
    tags = described.get("MainDicomTags") if isinstance(described, dict) else None
    return str(tags.get(keyword, "")).strip() if isinstance(tags, dict) else ""


def _series(described: Any) -> tuple[str, Sequence[str]]:
    """SeriesInstanceUID, and how the archive calls the instances."""
    found = described.get("Instances") if isinstance(described, dict) else None
    ids = found if isinstance(found, list) else []
    return _tag(described, "SeriesInstanceUID"), [str(one) for one in ids if _is_id(one)]


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
