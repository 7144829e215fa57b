"""Outputs appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ctdenoise.errors import OutputError, OutputExistsError

PARTIAL_MARK = ".ctdenoise-partial-"
"""Beginning of the names of outputs that are not whole yet."""


def require_free_folder(out: Path) -> None:
    """Refuse an output folder that holds something or cannot be made, before any work is done.

    Args:
        out: The folder to be made; absent or empty is fine.

    Raises:
        OutputExistsError: If it exists and is not an empty folder.
        OutputError: If it cannot be made where it is to lie.
    """
    with _as_output_error(out, _NO_PLACE):
        if out.is_dir():
            taken = any(entry for entry in out.iterdir())
        else:
            taken = out.exists() or out.is_symlink()
    if taken:
        raise OutputExistsError(
            "the output folder exists already.",
            where=out,
            fix="Give another --out, or remove this folder first; nothing is ever overwritten.",
        )
    with _as_output_error(out, _NO_PLACE):
        _require_writable(out.absolute().parent)


def _require_writable(folder: Path) -> None:
    """Raise what making something in a folder, existing or not, would raise sooner or later."""
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(nearest, os.W_OK | os.X_OK):
        read_only = os.statvfs(nearest).f_flag & os.ST_RDONLY
        number = errno.EROFS if read_only else errno.EACCES
        raise OSError(number, os.strerror(number))


def stage_of_killed_run(out: Path) -> Path | None:
    """The staged folder that a killed run left for this output; the newest of several.

    Args:
        out: The folder that the run was to make.
    """
    left = _leftovers(out.absolute())
    return max(left, key=lambda path: path.stat().st_mtime) if left else None


@contextmanager
def staged_folder(out: Path, *, adopted: Path | None = None) -> Iterator[Path]:
    """A folder to write into that becomes `out` when the block ends well, and vanishes otherwise.

    It lies beside `out`, so that the last step is one rename. Leftovers of runs that were killed
    are removed.

    Args:
        out: The folder to be made; its parents are made too.
        adopted: What a killed run left, to go on with; see `stage_of_killed_run`.

    Yields:
        The folder to write into.

    Raises:
        OutputExistsError: If `out` is taken.
        OutputError: If the disk is full or the place cannot be written.
    """
    require_free_folder(out)
    out = out.absolute()
    with _as_output_error(out, _NO_PLACE):
        made = _make_parents(out.parent)
    with _as_output_error(out):
        stage = out.parent / f"{PARTIAL_MARK}{_owner()}-{uuid.uuid4().hex[:8]}-{out.name}"
        if adopted is not None:
            adopted.rename(stage)
        for leftover in _leftovers(out):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            with _as_output_error(out, _NO_PLACE):
                stage.mkdir(exist_ok=adopted is not None)
            yield stage
            _sync(stage)
            _put_in_place(stage, out)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            _remove_empty(made)
            raise


def _put_in_place(stage: Path, out: Path) -> None:
    try:
        with suppress(FileNotFoundError):
            out.rmdir()
        stage.rename(out)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise OutputExistsError(
            "the output folder was made by something else while this run was working; what this "
            "run made was thrown away.",
            where=out,
            fix="Look at what is there; if it is not what you want, run again with another --out.",
        ) from error


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """A file to write that replaces `path` in one step when the block ends well.

    Args:
        path: The file to be made or replaced; its folder is made, too, if there is none.

    Yields:
        The path to write to; it has the same suffix.

    Raises:
        OutputError: If the disk is full or the place cannot be written.
    """
    stage = path.with_name(f"{PARTIAL_MARK}{_owner()}-{uuid.uuid4().hex[:8]}-{path.name}")
    with _as_output_error(path, _NO_PLACE):
        made = _make_parents(path.parent)
    with _as_output_error(path):
        try:
            yield stage
            with stage.open("rb+") as file:
                os.fsync(file.fileno())
            stage.replace(path)
        except BaseException:
            stage.unlink(missing_ok=True)
            _remove_empty(made)
            raise


@contextmanager
def _as_output_error(where: Path, reasons: Mapping[int, str] | None = None) -> Iterator[None]:
    reasons = _REASONS if reasons is None else reasons
    try:
        yield
    except OSError as error:
        reason = reasons.get(error.errno or 0)
        if isinstance(error, OutputError | OutputExistsError) or reason is None:
            raise
        raise OutputError(
            f"{reason}; nothing was left half-written.",
            where=_outermost(where),
            fix=_FIXES.get(error.errno or 0, "Choose another --out, then run the command again."),
        ) from error


def _outermost(where: Path) -> Path:
    """The output that a path inside a staged folder belongs to."""
    for parent in reversed((where, *where.parents)):
        if parent.name.startswith(PARTIAL_MARK):
            return parent.with_name(parent.name.removeprefix(PARTIAL_MARK).split("-", 2)[2])
    return where


_FIXES = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT),
    "Free some space or choose another --out, then run the command again.",
)

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "there is no permission to write here",
    errno.EPERM: "there is no permission to write here",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "a file grew larger than the file system allows",
    errno.EIO: "the disk reported an error",
}

_NO_PLACE = {
    **_REASONS,
    errno.ENOENT: "no folder can be made here",
    errno.ENOTDIR: "a file lies where a folder is to be made",
    errno.EEXIST: "a file lies where a folder is to be made",
    errno.ENAMETOOLONG: "the name is too long",
}
"""What may go wrong besides while the place of an output is made."""


def _make_parents(folder: Path) -> list[Path]:
    """Make a folder and its parents; returns those that were new, innermost first."""
    new = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return new


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, that hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _leftovers(out: Path) -> list[Path]:
    """Staged folders of this output whose run is no more."""
    if not out.parent.is_dir():
        return []
    found = []
    for entry in out.parent.iterdir():
        owner, _, rest = entry.name.removeprefix(PARTIAL_MARK).partition("-")
        ours = entry.name.startswith(PARTIAL_MARK) and rest.partition("-")[2] == out.name
        process, _, machine = owner.partition(".")
        is_here = machine == _machine() and process.isdigit()
        if ours and is_here and not _is_running(int(process)):
            found.append(entry)
    return found


def _owner() -> str:
    """This process, as it stands in the name of what it has not finished."""
    return f"{os.getpid()}.{_machine()}"


def _machine() -> str:
    """What tells this machine from others that share the folder.

    Only here can it be seen whether one of its processes is still running.
    """
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(folder: Path) -> None:
    """Ask for everything below a folder to reach the disk, so that a full one is noticed now."""
    for parent, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(Path(parent) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
