"""One instance while it arrives: written to a hidden file, bounded, and whole or gone."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctdenoise.errors import InputError
from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.pacs.instance_head import InstanceUids, file_head, uids_at, uids_in

HEAD_BYTES = 1 << 16
"""So much of an arriving data set is looked at without reading the file again."""

Reason = Literal["full", "limit", "too-large", "mismatch", "not-dicom", "disk", "changing"]
"""Why something is not kept: no disk space, as much as there may be, one instance too large, not
the instance that its sender says, no data set that can be parsed, an error of the disk, a file that
is still being written."""


class NotKeptError(InputError):
    """An instance was not kept; nothing of it is left.

    Args:
        reason: Which kind of thing it is; see `Reason`.
        what: The same for people; names no patient.
    """

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(f"{what}.")
        self.reason: Reason = reason


class StudyFullError(NotKeptError):
    """A study has more instances than the inbox takes of one; there may be room for others."""

    def __init__(self) -> None:
        super().__init__("limit", "the study has more instances than it may have")


@dataclass(frozen=True, slots=True)
class Arrived:
    """An instance that arrived whole.

    Args:
        path: The hidden file that holds it.
        uids: What it says it is.
        sender: AE title of its sender.
        size: Bytes of its data set.
        sha256: Of its data set.
    """

    path: Path
    uids: InstanceUids
    sender: str
    size: int
    sha256: str


@contextmanager
def as_not_kept() -> Iterator[None]:
    """Errors of the disk, and of parsing, as what they mean to a sender."""
    try:
        yield
    except DamagedFileError as error:
        raise NotKeptError("not-dicom", str(error)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotKeptError("full", "the disk of the inbox is full") from error
        words = error.strerror or type(error).__name__
        raise NotKeptError("disk", f"a file cannot be read or written ({words})") from error


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.

    Args:
        folder: An existing folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class IncomingFile:
    """A hidden file that an arriving data set is written to; gone unless it was given a place.

    Args:
        folder: Where it lies; on the file system of its later place.
        uids: SOP Class and SOP Instance UID that its sender tells.
        transfer_syntax: UID of its encoding.
        sender: AE title of its sender.
        most_bytes: Largest data set that is taken.
    """

    def __init__(
        self,
        folder: Path,
        *,
        uids: tuple[str, str],
        transfer_syntax: str,
        sender: str,
        most_bytes: int,
    ) -> None:
        self._path = folder / f"{uuid.uuid4().hex}.part"
        self._uids = uids
        self._syntax = transfer_syntax
        self._sender = sender
        self._most = most_bytes
        self._digest = hashlib.sha256()
        self._size = 0
        self._head = bytearray()
        meta = file_head(uids=uids, transfer_syntax=transfer_syntax, sender=sender)
        self._start = len(meta)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(self._path, flags, 0o600)
        try:
            _write(self._descriptor, meta)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the file, unless it was given a place."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._path.unlink(missing_ok=True)

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next piece.

        Args:
            piece: Some bytes.

        Raises:
            NotKeptError: If the disk is full, or the instance is too large.
        """
        if self._size + len(piece) > self._most:
            raise NotKeptError("too-large", "the instance is larger than any may be")
        with as_not_kept():
            _write(self._descriptor, piece)
        self._digest.update(piece)
        self._size += len(piece)
        if len(self._head) < HEAD_BYTES:
            self._head += piece[: HEAD_BYTES - len(self._head)]

    def finish(self, *, durable: bool) -> Arrived:
        """Close the file; what arrived is on the disk, under its hidden name.

        Args:
            durable: Whether to wait until the disk has it.

        Raises:
            NotKeptError: If it is not what its sender says.
        """
        with as_not_kept():
            uids = self._found()
            if durable:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if (uids.sop_class_uid, uids.sop_instance_uid) != self._uids:
            raise NotKeptError("mismatch", "the data set is of another instance than was told")
        return Arrived(self._path, uids, self._sender, self._size, self._digest.hexdigest())

    def _found(self) -> InstanceUids:
        head = bytes(self._head)
        found = uids_in(head, self._syntax, is_whole=self._size == len(head))
        if found is not None:
            return found
        with open(self._descriptor, "rb", closefd=False) as file:
            return uids_at(file, self._start, self._syntax)


def _write(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
