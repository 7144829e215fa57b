"""The audit trail: who did what, when, to which bytes; as lines that can only be added.

`audit.jsonl` in a state folder holds one JSON object a line. Each line holds the SHA-256 of the
line before it, so that a line that was removed or changed shows (`jobs.audit_check`). A line is on
the disk when `record` returns. Studies and instances appear as keyed digests: who has the UID and
the key file of the state folder finds them, nobody else can guess them. Nothing else of a patient
belongs into a fact; see docs/SECURITY.md.
"""

from __future__ import annotations

import getpass
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import OutputError
from ctdenoise.jobs.audit_files import (
    Tail,
    archive_name,
    archived_tail,
    cut_half_line,
    last_line,
    locked,
    sha256_of_line,
    sync_folder,
    write_whole,
)

AUDIT_FILE = "audit.jsonl"
"""Name of the file that lines are added to."""

KEY_FILE = "audit.key"
"""Name of the file with the secret of the keyed digests; also what writers lock."""

ROTATE_BYTES = 64 * 2**20
"""A file that is larger is closed, and a new one goes on with the chain."""

Event = Literal[
    "started",  # a server began to work: version, settings digest
    "stopped",  # it ended, and how
    "rules-changed",  # the rules differ from those it ran with before: both digests
    "received",  # a study is complete and became a job: from whom, how many, their hash
    "conflict",  # an instance arrived again with other bytes and was kept apart
    "association",  # somebody sent something: AE title and address, how many, of which studies
    "denied",  # connections that were turned away: from where, why, how many
    "made",  # a result was made: hashes of input and output, model, settings
    "sent",  # a result was sent: where, how many, their hashes
    "refused",  # a study ended without a result: why
    "dead-letter",  # a study was given up after too many tries: why
    "retried",  # a human asked for a job to be done again
    "deleted",  # files were deleted by the rules of retention: which, how many
    "repaired",  # what a crash had left half-written here was removed
    "rotated",  # a new file begins
]
"""What can be recorded."""

_KEY_BYTES = 32
_PSEUDONYM_DIGITS = 32
_TEXT_MOST = 1000
_TAKEN = frozenset(("n", "at", "event", "before"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is to be recorded.

    Args:
        event: What happened.
        facts: Plain JSON. Values under names that end in `_uid` or `_uids` are replaced by keyed
            digests; all else is written as it is, so it may name no patient.
    """

    event: Event
    facts: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = _TAKEN & set(self.facts)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))}: every line has its own")


class Audit:
    """The audit trail of a state folder, open for adding; for several threads and processes.

    Make it with `Audit.open`.
    """

    def __init__(self, folder: Path, key_descriptor: int, key: bytes, rotate_bytes: int) -> None:
        self._folder = folder
        self._key_descriptor = key_descriptor
        self._key = key
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._tail = Tail()

    @classmethod
    def open(cls, folder: Path, *, rotate_bytes: int = ROTATE_BYTES) -> Self:
        """The audit trail of a folder; it is begun where there is none.

        A line that a crash left half-written is removed, and a line says so.

        Args:
            folder: The state folder; it exists.
            rotate_bytes: Size from which a new file is begun.

        Raises:
            OutputError: If the trail cannot be written.
        """
        with _as_output_error(folder):
            descriptor = os.open(folder / KEY_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                key = _settled_key(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        audit = cls(folder, descriptor, key, rotate_bytes)
        try:
            audit.record_all(())
        except BaseException:
            audit.close()
            raise
        return audit

    def close(self) -> None:
        """Let go of the files; nothing can be recorded after."""
        with self._lock, suppress(OSError):
            os.close(self._key_descriptor)
            self._key_descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def pseudonym(self, uid: str) -> str:
        """The keyed digest under which a study or an instance appears.

        Args:
            uid: Its UID.
        """
        return pseudonym(self._key, uid)

    def record(self, event: Event, **facts: JsonValue) -> None:
        """Add one line; it is on the disk when this returns.

        Args:
            event: What happened.
            **facts: Plain JSON about it: `who` (the calling AE title and address, or `local_user()`
                for a command), `study_uid`, hashes, counts, a reason. See `Entry`.

        Raises:
            OutputError: If the disk is full or the trail cannot be written; no half line is left.
        """
        self.record_all((Entry(event, facts),))

    def record_all(self, entries: Sequence[Entry]) -> None:
        """Add several lines in one go: all are on the disk when this returns, or none.

        Args:
            entries: What happened, in order.

        Raises:
            OutputError: As for `record`.
        """
        with self._lock, _as_output_error(self._folder), locked(self._key_descriptor):
            path = self._folder / AUDIT_FILE
            repair = self._settle(path)
            pending = (*repair, *entries)
            if self._tail.size >= self._rotate_bytes:
                self._rotate(path)
                pending = (Entry("rotated"), *pending)
            if pending:
                self._append(path, pending)

    def head(self) -> tuple[int, str]:
        """Number and digest of the last line.

        Noted elsewhere, it proves later that nothing up to it was removed or changed.
        """
        with self._lock:
            return self._tail.number, self._tail.digest

    def _settle(self, path: Path) -> tuple[Entry, ...]:
        """Find the end of the trail if another process wrote, and take a half line away."""
        try:
            status = path.stat()
        except FileNotFoundError:
            self._tail = archived_tail(self._folder)
            return ()
        if (status.st_ino, status.st_size) == (self._tail.inode, self._tail.size):
            return ()
        torn = cut_half_line(path)
        number, last = last_line(path)
        if last is None:
            before = archived_tail(self._folder)
            self._tail = Tail(before.number, before.digest, 0, status.st_ino)
        else:
            size = path.stat().st_size
            self._tail = Tail(number, sha256_of_line(last), size, status.st_ino)
        if not torn:
            return ()
        words = f"a crash left half a line of {torn} bytes at the end, which was removed"
        return (Entry("repaired", {"what": words}),)

    def _rotate(self, path: Path) -> None:
        path.rename(self._folder / archive_name(self._tail.number))
        self._tail = Tail(self._tail.number, self._tail.digest)

    def _append(self, path: Path, entries: Sequence[Entry]) -> None:
        number, digest = self._tail.number, self._tail.digest
        text = b""
        for entry in entries:
            number += 1
            line = self._line(entry, number, digest)
            digest = sha256_of_line(line)
            text += line + b"\n"
        is_new = not path.exists()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            os.fchmod(descriptor, 0o600)
            try:
                write_whole(descriptor, text)
                os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self._folder)
        self._tail = Tail(number, digest, status.st_size, status.st_ino)

    def _line(self, entry: Entry, number: int, before: str) -> bytes:
        facts = {
            _shown_name(name): self._digests(value) if _names_uids(name) else _bounded(value)
            for name, value in entry.facts.items()
        }
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"n": number, "at": at, "event": entry.event, **facts, "before": before}
        return json.dumps(line, allow_nan=False).encode()

    def _digests(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.pseudonym(value)
        if isinstance(value, Mapping):
            return {self.pseudonym(uid): _bounded(fact) for uid, fact in value.items()}
        if isinstance(value, Sequence):
            return [self.pseudonym(str(uid)) for uid in value]
        return None


def pseudonym(key: bytes, uid: str) -> str:
    """HMAC-SHA-256 of a UID, its first 32 hexadecimal digits.

    A plain digest would tell anybody who has a list of UIDs which of them are in the trail.

    Args:
        key: The content of the key file.
        uid: The UID of a study or an instance.
    """
    return hmac.new(key, uid.encode(), "sha256").hexdigest()[:_PSEUDONYM_DIGITS]


def local_user() -> str:
    """Who runs this process, as `who` of an entry: "user NAME"."""
    try:
        return f"user {getpass.getuser()}"
    except (KeyError, OSError):  # a number without a name
        return f"user {os.getuid()}"


def _names_uids(name: str) -> bool:
    return name.endswith(("_uid", "_uids"))


def _shown_name(name: str) -> str:
    """`study_uid` is written as `study`, `instance_uids` as `instances`: they are digests then."""
    return re.sub(r"_uid(s?)$", r"\1", name)


def _bounded(value: JsonValue) -> JsonValue:
    """A fact with overlong texts cut: what a peer calls itself is its own choice."""
    if isinstance(value, str):
        return value if len(value) <= _TEXT_MOST else value[:_TEXT_MOST] + " ..."
    if isinstance(value, Mapping):
        return {key: _bounded(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_bounded(item) for item in value]
    return value


def _settled_key(descriptor: int) -> bytes:
    """The key in a file; drawn and written first where the file is new."""
    with locked(descriptor):
        key = os.pread(descriptor, _KEY_BYTES, 0)
        if len(key) < _KEY_BYTES:
            key = secrets.token_bytes(_KEY_BYTES)
            os.pwrite(descriptor, key, 0)
            os.fsync(descriptor)
        os.fchmod(descriptor, 0o600)
        return key


@contextmanager
def _as_output_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"the audit trail cannot be written ({os.strerror(error.errno or 0)}).",
            where=folder,
            fix="Free space on this disk, or give the folder to the user who runs this command.",
        ) from error
