"""The state folder of a server belongs to one user, and nobody else can look into it."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ctdenoise.errors import OutputError, UsageError, listed

if sys.platform != "win32":
    import resource

_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def private_folder(folder: Path) -> Path:
    """A folder that only the user who runs this can enter, made where there is none.

    An empty folder is taken and closed to others. One that holds something stays as it is and is
    refused if others can look into it: what is in it may have been read or put there already.

    Args:
        folder: The state folder; its parents are made, too.

    Returns:
        The folder, with no link in its path.

    Raises:
        UsageError: With everything that is wrong with the folder or with those above it.
        OutputError: If it cannot be made.
    """
    try:
        for parent in reversed([one for one in folder.absolute().parents if not one.exists()]):
            parent.mkdir(mode=0o755)
        folder.mkdir(mode=0o700, exist_ok=True)
        place = folder.resolve(strict=True)
        problems = _problems_of(place)
        if not problems and place.stat().st_mode & _OTHERS:
            place.chmod(0o700)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError("this is no folder.", where=folder) from error
    except OSError as error:
        raise OutputError(
            f"the state folder cannot be made or read ({os.strerror(error.errno or 0)}).",
            where=folder,
            fix="Choose another place, or run as the user whom it belongs to.",
        ) from error
    if problems:
        raise UsageError(
            f"this folder is not safe from others:\n{listed(problems)}",
            where=folder,
            fix=f"Make it the server's own: chown -R USER {folder}; chmod -R go= {folder}",
        )
    return place


def _problems_of(place: Path) -> list[str]:
    status = place.stat()
    problems = []
    if status.st_uid != os.getuid():
        problems.append(f"it belongs to user {status.st_uid}, not to {os.getuid()} who runs this")
    elif status.st_mode & _OTHERS and any(place.iterdir()):
        problems.append(f"others may enter it (mode {stat.S_IMODE(status.st_mode):o})")
    problems += [problem for parent in place.parents for problem in _problems_above(parent)]
    return problems


def _problems_above(parent: Path) -> list[str]:
    """Why somebody else could put another folder in the place of one that lies in this."""
    status = parent.stat()
    if status.st_uid not in (0, os.getuid()):
        return [f"user {status.st_uid}, to whom {parent} belongs, can replace it"]
    if status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX:
        mode = stat.S_IMODE(status.st_mode)
        return [f"everybody who may write to {parent} (mode {mode:o}) can replace it"]
    return []


@contextmanager
def private_process(folder: Path) -> Iterator[None]:
    """What this process and those that it starts write is for its user only.

    Files get mode 0600 and folders 0700 whatever the caller's umask is, a crash leaves no memory
    image, and temporary files lie in the state folder instead of one that is open to all.

    Args:
        folder: Where temporary files go; a folder of the state folder.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as undo:
        undo.callback(os.umask, os.umask(0o077))
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        undo.callback(resource.setrlimit, resource.RLIMIT_CORE, limits)
        resource.setrlimit(resource.RLIMIT_CORE, (0, limits[1]))
        undo.callback(_set_temporary, os.environ.get("TMPDIR"), tempfile.tempdir)
        _set_temporary(str(folder), str(folder))
        yield


def _set_temporary(variable: str | None, ours: str | None) -> None:
    """Where temporary files go: for the processes that this one starts, and for itself."""
    if variable is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = variable
    tempfile.tempdir = ours
