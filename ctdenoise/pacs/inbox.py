"""Where everything that arrives is kept: untouched, safe from a crash, and only once.

::

    inbox/<study>/<instance>.dcm                what arrived; names are digests of UIDs
    inbox/<study>/conflicts/<instance>-*.dcm    another instance under a UID that was here already
    inbox/.incoming/                            what is just being written

The folder is the truth about what arrived: a new `Inbox` on it finds everything again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

from ctdenoise.config.receiver import InboxSettings
from ctdenoise.errors import OutputError
from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.io.dicom_uids import is_uid
from ctdenoise.pacs.incoming import (
    Arrived,
    IncomingFile,
    NotKeptError,
    StudyFullError,
    as_not_kept,
    sync_folder,
)
from ctdenoise.pacs.instance_head import meta_of, part10_start, uids_at
from ctdenoise.pacs.kept import Kept, Outcome, instance_key, study_key
from ctdenoise.pacs.rounds import Rounds, read_rounds, remove_unfinished, write_rounds

__all__ = ["Inbox", "InboxUsage", "Kept", "NotKeptError", "instance_key", "study_key"]

CONFLICTS = "conflicts"
_INCOMING = ".incoming"
_SUFFIX = ".dcm"
_PIECE_BYTES = 1 << 20
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class InboxUsage:
    """How full the inbox is.

    Args:
        studies, instances, size: What it holds; the size in bytes, conflicts included.
        free: Bytes left on its disk.
    """

    studies: int
    instances: int
    size: int
    free: int


@dataclass(slots=True)
class _Held:
    """What the inbox holds of one study."""

    instances: int = 0
    size: int = 0


class Inbox:
    """The inbox in a folder; may be used by several threads, and by one process at a time.

    Args:
        folder: Where it is, or is to be.
        settings: How much it takes.

    Attributes:
        path: The folder.
        scratch: A folder in it for what is not complete yet; emptied when it is opened.

    Raises:
        OutputError: If the folder cannot be made or written.
    """

    def __init__(self, folder: Path, settings: InboxSettings | None = None) -> None:
        self.path = folder
        self._settings = settings or InboxSettings()
        self._lock = threading.Lock()
        self.scratch = folder / _INCOMING
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(mode=0o700)
            for key in self._keys():
                remove_unfinished(folder / key)
            self._held = {key: _held(folder / key) for key in self._keys()}
        except OSError as error:
            raise OutputError(
                f"the inbox cannot be used: {error.strerror}.",
                where=folder,
                fix="Its folder must belong to the user that receives, and be writable.",
            ) from error

    @property
    def most_bytes(self) -> int:
        """Largest instance that is taken."""
        return self._settings.instance_mb * 2**20

    @property
    def most_instances(self) -> int:
        """Most instances that are taken of one study."""
        return self._settings.study_instances

    @property
    def is_durable(self) -> bool:
        """Whether files are on the disk when they are said to be kept."""
        return self._settings.durable

    def incoming(self, *, uids: tuple[str, str], syntax: str, sender: str) -> IncomingInstance:
        """A data set that arrives in pieces; gone when closed, unless its `keep` was called.

        Args:
            uids: SOP Class and SOP Instance UID that its sender tells.
            syntax: UID of its transfer syntax.
            sender: AE title of its sender.

        Returns:
            What to write the pieces to, and to close.

        Raises:
            NotKeptError: If there is no room for it, or it cannot be DICOM.
        """
        if not all(is_uid(uid) for uid in uids):
            raise NotKeptError("not-dicom", "its SOP class or SOP instance UID is no UID")
        self._require_room()
        with as_not_kept():
            file = IncomingFile(
                self.scratch,
                uids=uids,
                transfer_syntax=syntax,
                sender=sender,
                most_bytes=self.most_bytes,
            )
        return IncomingInstance(self, file)

    def keep_file(
        self,
        source: Path | BinaryIO,
        *,
        sender: str,
        is_whole: Callable[[], bool] = lambda: True,
    ) -> Kept:
        """Keep the data set of a DICOM file; the file itself is left as it is.

        Args:
            source: The file, or one that is open for reading and can be rewound.
            sender: What stands for its sender.
            is_whole: Asked once everything was read: whether the file did not change meanwhile.

        Raises:
            NotKeptError: If it is no DICOM file, or there is no room for it.
        """
        if isinstance(source, Path):
            with as_not_kept(), source.open("rb") as stream:
                return self.keep_file(stream, sender=sender, is_whole=is_whole)
        with as_not_kept():
            start, syntax = part10_start(source)
            uids = uids_at(source, start, syntax)
            source.seek(start)
        with self._lock:  # before it is written, since there may be very many of them
            self._require_place(study_key(uids.study_instance_uid))
        described = (uids.sop_class_uid, uids.sop_instance_uid)
        with self.incoming(uids=described, syntax=syntax, sender=sender) as instance:
            while piece := source.read(_PIECE_BYTES):
                instance.write(piece)
            if not is_whole():
                raise NotKeptError("changing", "the file changed while it was read")
            return instance.keep()

    def studies(self) -> tuple[str, ...]:
        """Keys of the studies that are here."""
        with self._lock:
            return tuple(self._held)

    def folder(self, study: str) -> Path:
        """The folder of a study, whether it exists or not.

        Args:
            study: Its key.
        """
        if not _KEY.fullmatch(study):
            raise ValueError("this is no key of a study")
        return self.path / study

    def files(self, study: str) -> tuple[Path, ...]:
        """The instances of a study, in the order of their names.

        Args:
            study: Its key.
        """
        return _instances(self.folder(study))

    def conflicts(self, study: str) -> tuple[Path, ...]:
        """Instances of a study that came under a UID that another had before.

        They wait for a person, who removes them or puts one in the place of the other.

        Args:
            study: Its key.
        """
        return _instances(self.folder(study) / CONFLICTS)

    def usage(self) -> InboxUsage:
        """How full the inbox is."""
        with self._lock:
            held = tuple(self._held.values())
            instances, size = sum(one.instances for one in held), sum(one.size for one in held)
        return InboxUsage(len(held), instances, size, _free_bytes(self.path))

    def remove(self, study: str, files: Iterable[Path]) -> None:
        """Remove files of a study that nobody needs any more, and the study with the last of them.

        Args:
            study: Its key.
            files: Which; what came meanwhile stays.
        """
        folder = self.folder(study)
        gone = list(files)
        if any(path.parent not in (folder, folder / CONFLICTS) for path in gone):
            raise ValueError("this is no file of the study")
        names = {str(path.relative_to(folder)) for path in gone}
        # First: what comes again after it was removed is new.
        self.change_rounds(study, lambda known: replace(known, handed_on=known.handed_on - names))
        with self._lock:
            for path in gone:
                path.unlink(missing_ok=True)
            if _instances(folder) or _instances(folder / CONFLICTS):
                self._held[study] = _held(folder)
                return
            shutil.rmtree(folder, ignore_errors=True)
            self._held.pop(study, None)

    def rounds(self, study: str) -> Rounds:
        """What was handed on of a study.

        Args:
            study: Its key.
        """
        return read_rounds(self.folder(study))

    def change_rounds(self, study: str, change: Callable[[Rounds], Rounds]) -> None:
        """Write down what was handed on of a study, or is to be.

        Args:
            study: Its key.
            change: From what is written down to what is to be.

        Raises:
            OutputError: If the disk is full or cannot be written.
        """
        folder = self.folder(study)
        with self._lock:
            if folder.is_dir():
                write_rounds(folder, change(read_rounds(folder)))
                sync_folder(folder)

    def put(self, arrived: Arrived) -> Kept:
        """Give what arrived whole, and is on the disk, its place; see `incoming`."""
        study = study_key(arrived.uids.study_instance_uid)
        folder = self.path / study
        name = instance_key(arrived.uids.sop_instance_uid) + _SUFFIX
        with self._lock, as_not_kept():
            path, outcome = self._placed(arrived, folder / name)
        if self._settings.durable:
            with as_not_kept():
                sync_folder(path.parent)
        uids, sender = arrived.uids, arrived.sender
        return Kept(study, path, outcome, uids, sender, arrived.size, arrived.sha256)

    def _placed(self, arrived: Arrived, path: Path) -> tuple[Path, Outcome]:
        """Rename what arrived to its place, unless the same is there; called with the lock held."""
        outcome: Outcome = "new"
        if path.exists():
            if _data_set_digest(path) == arrived.sha256:
                return path, "again"
            path = path.parent / CONFLICTS / f"{path.stem}-{arrived.sha256[:16]}{_SUFFIX}"
            outcome = "conflict"
            if path.exists():
                return path, outcome
        study = path.relative_to(self.path).parts[0]
        self._require_place(study)
        self._make(path.parent)
        arrived.path.rename(path)
        held = self._held.setdefault(study, _Held())
        held.instances += 1
        held.size += path.stat().st_size
        return path, outcome

    def _make(self, folder: Path) -> None:
        """Make a folder whose name is on the disk before anybody else puts something into it."""
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            if self._settings.durable:
                sync_folder(folder.parent)

    def _require_room(self) -> None:
        free = _free_bytes(self.path)
        if free < self._settings.free_mb * 2**20:
            raise NotKeptError("full", "the disk of the inbox is nearly full")

    def _require_place(self, study: str) -> None:
        held = self._held.get(study)
        if held is None and len(self._held) >= self._settings.studies:
            raise NotKeptError("limit", "there are as many studies here as may be")
        if held is not None and held.instances >= self._settings.study_instances:
            raise StudyFullError

    def _keys(self) -> list[str]:
        return [entry.name for entry in os.scandir(self.path) if _KEY.fullmatch(entry.name)]


class IncomingInstance:
    """An instance that is arriving; made by `Inbox.incoming`."""

    def __init__(self, inbox: Inbox, file: IncomingFile) -> None:
        self._inbox = inbox
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next piece of the encoded data set.

        Args:
            piece: Some bytes; not needed any more when this returns.

        Raises:
            NotKeptError: If there is no more room, or the instance is larger than any may be.
        """
        self._file.write(piece)

    def keep(self) -> Kept:
        """Keep what arrived; it is safe when this returns.

        Raises:
            NotKeptError: If it cannot be kept; nothing of it is left.
        """
        return self._inbox.put(self._file.finish(durable=self._inbox.is_durable))

    def close(self) -> None:
        """Remove what was written, unless it was kept."""
        self._file.close()


def _held(folder: Path) -> _Held:
    files = (*_instances(folder), *_instances(folder / CONFLICTS))
    return _Held(len(files), sum(path.stat().st_size for path in files))


def _instances(folder: Path) -> tuple[Path, ...]:
    with suppress(FileNotFoundError):
        return tuple(sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX))
    return ()


def _data_set_digest(path: Path) -> str:
    """SHA-256 of the data set in a file of the inbox; empty if it is none."""
    with path.open("rb") as file:
        try:
            meta_of(file)
        except DamagedFileError:
            return ""
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
