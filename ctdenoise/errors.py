"""Every error a caller may meet, and the exit code that the command line gives it.

::

    CTDenoiseError                       exit 1
    +-- UsageError        ValueError     2   the command or call asks for something impossible
    |   +-- SettingsError                2   a settings file or --set is wrong
    |   +-- OutputExistsError            2   the output folder is taken
    |   +-- MissingExtraError            2   an optional package is not installed
    +-- InputError        ValueError     3   what was given to read cannot be used
    |   +-- StudyError                   3   a study folder or series
    |   +-- GeometryError                3   grids that do not fit each other
    |   +-- SimulationError              3   values outside what the physics allows
    |   +-- PairsError                   3   a folder of training pairs
    |   +-- CheckpointError              3   a file that is no checkpoint, or one of another kind
    |   +-- LedgerError                  3   the ledger of a batch or a server cannot be used
    |       +-- IllegalMove              3   a job cannot come to that state from its own
    +-- OutputError       OSError        3   the result could not be written (full disk, ...)
    |   +-- UnfitResultError             3   the result was not written since it is not fit for use
    +-- SomeStudiesFailed RuntimeError   4   a batch finished, but not every study did
    +-- LimitsFailed      RuntimeError   6   a denoiser or a phantom fails a limit
    +-- PeerError         ConnectionError 5  a network peer refused or was lost
        +-- PeerUnavailable              5   not now: it may work later
        +-- PeerRefused                  5   not like this: trying again changes nothing

The command line ends with 130 when it was stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike


class CTDenoiseError(Exception):
    """What went wrong, where, and what to do about it.

    Args:
        what: One sentence that says what is wrong.
        where: The file, folder or setting that it is wrong in.
        fix: What the user can do.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | PathLike[str] | None = None, fix: str | None = None
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.fix is not None:
            parts.append(self.fix)
        return "\n".join(parts)


class UsageError(CTDenoiseError, ValueError):
    """The command or call asks for something that cannot be done."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings file or an override is wrong."""


class OutputExistsError(UsageError, FileExistsError):
    """The output folder exists already and holds something."""


class MissingExtraError(UsageError, ImportError):
    """An optional package is needed and not installed."""


class InputError(CTDenoiseError, ValueError):
    """What was given to read cannot be used."""

    exit_code = 3


class StudyError(InputError):
    """A study folder or a series cannot be read right."""


class GeometryError(InputError):
    """Two grids that must be the same are not, or one is impossible."""


class SimulationError(InputError):
    """A value outside what the physics of the simulator allows."""


class PairsError(InputError):
    """A folder of training pairs cannot be used."""


class CheckpointError(InputError):
    """A file is no checkpoint of ours, or a checkpoint of another kind."""


class LedgerError(InputError):
    """The ledger of a batch or a server is damaged, foreign, or of another version."""


class IllegalMove(LedgerError):  # noqa: N818 - reads as the event it is
    """A job is not in the state that it was expected in, or cannot come to another from there."""


class OutputError(CTDenoiseError, OSError):
    """The result could not be written; nothing half-written was left behind."""

    exit_code = 3


class UnfitResultError(OutputError):
    """A result fails a check or is no legal derived series; making it again changes nothing."""


class SomeStudiesFailed(CTDenoiseError, RuntimeError):  # noqa: N818 - reads as the outcome it is
    """A batch ran to its end, but some of its studies failed."""

    exit_code = 4


class LimitsFailed(CTDenoiseError, RuntimeError):  # noqa: N818 - reads as the outcome it is
    """A denoiser or the scan of a phantom was judged, and it fails a limit."""

    exit_code = 6


class PeerError(CTDenoiseError, ConnectionError):
    """A network peer refused, aborted or was lost."""

    exit_code = 5


class PeerUnavailable(PeerError):  # noqa: N818 - reads as the state it is
    """A peer cannot be reached or is busy, or a connection was lost: it may work later."""


class PeerRefused(PeerError):  # noqa: N818 - reads as the answer it is
    """A peer answered that it will not do it: trying again changes nothing."""


def listed(problems: Sequence[str], *, most: int = 12) -> str:
    """Problems as an indented list below a sentence, the long tail counted.

    Args:
        problems: One sentence each.
        most: How many to spell out.
    """
    lines = [f"  - {problem}" for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"  - and {len(problems) - most} more")
    return "\n".join(lines)
