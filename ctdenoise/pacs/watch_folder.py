"""A folder into which others put studies: what lies still there is taken into the inbox.

It belongs to somebody else. Names in it are never built upon, symbolic links are not followed, and
every file is opened and removed by the descriptor of the folder in which it was found.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from ctdenoise.config.receiver import WatchFolderSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.pacs.inbox import Inbox, Kept, NotKeptError

__all__ = ["Looked", "Memory", "WatchFolder"]

_log = logging.getLogger(__name__)

REJECTED = "rejected"
"""Folder in the watched one for files that can never be taken, each with its reason beside it."""

_FILES_MOST = 200_000
_EMPTY_LOOKS = 100  # before an empty folder is removed: somebody may be about to fill it
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
_PASSING = frozenset(("full", "limit", "disk", "changing"))
_ARCHIVES = (b"PK\3\4", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")


class Memory(Protocol):
    """What is remembered over restarts; the ledger is one."""

    def note(self, key: str, value: JsonValue) -> None:
        """Remember something under a key; None forgets it."""

    def noted(self, key: str) -> JsonValue:
        """What was remembered; None if nothing was."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look found.

    Args:
        taken: Files that are in the inbox now.
        rejected: Files that can never be taken.
        waiting: Files that are not still yet, or for which there is no room.
    """

    taken: int = 0
    rejected: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Signature:
    """What changes when a file does."""

    size: int
    modified: int
    number: int

    def __str__(self) -> str:
        return f"{self.size}:{self.modified}:{self.number}"


@dataclass(slots=True)
class _Look:
    """A look that is under way."""

    files: int = 0
    taken: int = 0
    rejected: int = 0
    seen: dict[str, _Signature] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, by the descriptor of its folder."""

    folder: int
    name: str
    relative: str
    signature: _Signature


class WatchFolder:
    """A watched folder; the caller looks every now and then, from one thread.

    Args:
        settings: Which folder, and what becomes of its files.
        inbox: Where they are kept.
        on_kept: Called for each file that was kept.
        memory: Remembers files that were taken and left where they are.
    """

    def __init__(
        self,
        settings: WatchFolderSettings,
        inbox: Inbox,
        *,
        on_kept: Callable[[Kept], None],
        memory: Memory,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._on_kept = on_kept
        self._memory = memory
        self._seen: dict[str, _Signature] = {}
        self._done: dict[str, _Signature] = {}
        self._empty: dict[str, int] = {}

    def look(self) -> Looked:
        """Take what has not changed since the last look.

        Raises:
            InputError: If the folder cannot be read, or holds more files than are looked at.
        """
        look = _Look()
        try:
            root = os.open(self._settings.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InputError(
                f"the watched folder cannot be read: {error.strerror}.",
                where=self._settings.path,
                fix="Make it, and let the user that runs this read and change it.",
            ) from error
        try:
            with quiet_pydicom():
                self._look_below(root, look)
        finally:
            os.close(root)
        self._seen, self._empty = look.seen, look.empty
        self._done = {name: known for name, known in self._done.items() if name in look.seen}
        if look.files > _FILES_MOST:
            raise InputError(
                f"there are more than {_FILES_MOST} files; what lies beyond them is not seen.",
                where=self._settings.path,
                fix="Take away what is done, or let it be removed (`sources: remove`).",
            )
        waiting = sum(name not in self._done for name in look.seen)
        return Looked(look.taken, look.rejected, waiting)

    def _look_below(self, root: int, look: _Look) -> None:
        for found in self._files(root, look):
            look.seen[found.relative] = found.signature
            is_still = self._seen.get(found.relative) == found.signature
            if is_still and look.taken < self._settings.files_per_look and not self._is_done(found):
                self._take(found, root, look)

    def _files(self, root: int, look: _Look) -> Iterator[_Found]:
        walk = os.fwalk(".", dir_fd=root, follow_symlinks=False, onerror=_left_out)
        for parent, folders, names, descriptor in walk:
            depth = 0 if parent == "." else parent.count("/")
            if not (folders or names or parent == "."):
                self._clear(root, parent, look)
            if parent == ".":
                folders[:] = [name for name in folders if self._is_open(name, descriptor)]
            folders[:] = [name for name in folders if not name.startswith(".")]
            if depth >= self._settings.depth:
                folders.clear()
            folders.sort()
            for name in sorted(names):
                found = self._file(descriptor, name, f"{parent}/{name}")
                if found is None:
                    continue
                look.files += 1
                if look.files > _FILES_MOST:
                    return
                yield found

    def _is_open(self, name: str, root: int) -> bool:
        """Whether a folder directly below may be looked into."""
        if name == REJECTED:
            return False
        marker = self._settings.marker
        if marker is None:
            return True
        if _signature(f"{name}/{marker}", root) is None:
            return False
        if self._settings.sources == "remove":
            self._end(name, marker, root)
        return True

    def _end(self, name: str, marker: str, root: int) -> None:
        """Remove a folder that was said to be complete, once only its marker is left."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        with suppress(OSError):
            folder = os.open(name, flags, dir_fd=root)
            try:
                if [entry.name for entry in os.scandir(folder)] == [marker]:
                    os.unlink(marker, dir_fd=folder)
                    os.rmdir(name, dir_fd=root)
            finally:
                os.close(folder)

    def _clear(self, root: int, relative: str, look: _Look) -> None:
        """Remove a folder that was empty for long."""
        if self._settings.sources == "keep":
            return
        look.empty[relative] = self._empty.get(relative, 0) + 1
        if look.empty[relative] > _EMPTY_LOOKS:
            with suppress(OSError):
                os.rmdir(relative, dir_fd=root)

    def _file(self, folder: int, name: str, relative: str) -> _Found | None:
        if name.startswith(".") or name.lower().endswith(_UNFINISHED):
            return None
        if name == self._settings.marker:
            return None
        signature = _signature(name, folder)
        return None if signature is None else _Found(folder, name, relative, signature)

    def _is_done(self, found: _Found) -> bool:
        if self._done.get(found.relative) == found.signature:
            return True
        if self._settings.sources == "keep":
            is_done = self._memory.noted(self._note(found)) == str(found.signature)
            if is_done:
                self._done[found.relative] = found.signature
            return is_done
        return False

    def _note(self, found: _Found) -> str:
        name = f"{self._settings.path.absolute()}\x1f{found.relative}"
        return f"watched/{_digest(name)}"

    def _take(self, found: _Found, root: int, look: _Look) -> None:
        try:
            kept = self._kept(found)
        except NotKeptError as error:
            if error.reason not in _PASSING:
                self._reject(found, root, error.what)
                look.rejected += 1
                look.seen.pop(found.relative, None)
            return
        except OSError as error:
            _log.warning("a file of the watched folder cannot be read (%s)", error.strerror)
            return
        self._on_kept(kept)
        look.taken += 1
        if self._settings.sources == "keep":
            self._memory.note(self._note(found), str(found.signature))
            self._done[found.relative] = found.signature
            return
        if not self._removed(found):
            self._done[found.relative] = found.signature
            return
        look.seen.pop(found.relative, None)

    def _kept(self, found: _Found) -> Kept:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(found.name, flags, dir_fd=found.folder)
        with os.fdopen(descriptor, "rb") as file:
            if file.read(6).startswith(_ARCHIVES):
                raise NotKeptError("not-dicom", "archives are not unpacked: put the files here")
            return self._inbox.keep_file(
                file,
                sender=self._settings.sender,
                is_whole=lambda: _signature_of(os.fstat(descriptor)) == found.signature,
            )

    def _removed(self, found: _Found) -> bool:
        if _signature(found.name, found.folder) != found.signature:
            return True  # something else has its name by now, and is found at the next look
        try:
            os.unlink(found.name, dir_fd=found.folder)
        except OSError as error:
            _log.warning("a file that was taken cannot be removed (%s)", error.strerror)
            return False
        return True

    def _reject(self, found: _Found, root: int, why: str) -> None:
        self._done[found.relative] = found.signature
        if self._settings.sources == "keep":
            self._memory.note(self._note(found), str(found.signature))
            _log.warning("a file of the watched folder is left out: %s", why)
            return
        target = f"{_digest(found.relative)[:8]}-{found.name}"[:200]
        try:
            with suppress(FileExistsError):
                os.mkdir(REJECTED, 0o700, dir_fd=root)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            rejected = os.open(REJECTED, flags, dir_fd=root)
            try:
                os.rename(found.name, target, src_dir_fd=found.folder, dst_dir_fd=rejected)
                _write_reason(rejected, f"{target}.txt", why)
            finally:
                os.close(rejected)
        except OSError as error:
            _log.warning("a file cannot be put aside (%s)", error.strerror)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]


def _write_reason(folder: int, name: str, why: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
        file.write(why + "\n")


def _signature(name: str, folder: int) -> _Signature | None:
    """What tells a regular file from what it may become; None if it is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return _signature_of(found) if stat.S_ISREG(found.st_mode) else None


def _signature_of(found: os.stat_result) -> _Signature:
    return _Signature(found.st_size, found.st_mtime_ns, found.st_ino)


def _left_out(error: OSError) -> None:
    _log.warning("a folder cannot be opened and was left out (%s)", error.strerror)
