"""The state folder of the server: one server at a time, and no half-made work."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.errors import UsageError
from ctdenoise.jobs.private_folder import private_folder, private_process

LOCK_FILE = "lock"
"""What a server holds while it runs."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Where things lie in the state folder.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def inbox(self) -> Path:
        """What arrived."""
        return self.path / "inbox"

    @property
    def work(self) -> Path:
        """What is being worked on; worth nothing after a crash."""
        return self.path / "work"

    @property
    def results(self) -> Path:
        """What was made, a folder for each job."""
        return self.path / "results"

    @property
    def thumbnails(self) -> Path:
        """Pictures for the status page, a folder for each job."""
        return self.path / "thumbnails"

    def free_bytes(self) -> int:
        """Free space of the disk."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


@contextmanager
def own_folder(path: Path) -> Iterator[StateFolder]:
    """The state folder, made if there is none, and nobody else's until the block ends.

    All that this process and its workers write meanwhile can be read by their user only.

    Args:
        path: The folder.

    Raises:
        UsageError: If another server has it, or others may look into it.
        OutputError: If it cannot be made.
    """
    folder = StateFolder(private_folder(path))
    descriptor = os.open(folder.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:  # the lock ends with the descriptor, as it does when the process is killed
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "another server is using this state folder.",
                where=path,
                fix="Stop it first, or give this one a folder of its own with --state.",
            ) from error
        for place in (folder.work, folder.results, folder.thumbnails):
            place.mkdir(mode=0o700, exist_ok=True)
        with private_process(folder.work / "temporary"):
            yield folder
    finally:
        os.close(descriptor)


def remove_half_made(folder: StateFolder) -> int:
    """Remove what a server that was killed left behind; returns how many things.

    Args:
        folder: Held by this server, which has not begun to work.
    """
    left = list(folder.work.iterdir())
    for job in folder.results.iterdir():
        left += [path for path in job.iterdir() if path.name.startswith(".")]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder.work / "temporary").mkdir(mode=0o700)
    return len(left)
