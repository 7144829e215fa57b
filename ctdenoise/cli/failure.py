"""How a run of the command line ends: every outcome has one message and one exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from ctdenoise.core.quiet import quiet_process
from ctdenoise.errors import CTDenoiseError

if TYPE_CHECKING:
    from cyclopts import App

STOPPED = 130
"""Exit code of a run that was stopped by Ctrl-C or SIGTERM."""

UNEXPECTED = 1
USAGE = 2

DEBUG_VARIABLE = "CTDENOISE_DEBUG"
"""Set to 1, unexpected errors show where they came from."""


def guarded(app: App, tokens: Sequence[str]) -> int:
    """Run a command; returns the exit code instead of raising.

    Args:
        app: The command line.
        tokens: Its arguments.
    """
    signal.signal(signal.SIGTERM, _as_keyboard_interrupt)
    try:
        with quiet_process():
            result = app(tokens, exit_on_error=False, result_action="return_value")
    except KeyboardInterrupt:
        _say("Stopped. Nothing half-written was left behind.")
        return STOPPED
    except SystemExit as stop:  # cyclopts ends --help and --version this way
        return stop.code if isinstance(stop.code, int) else 0
    except CTDenoiseError as error:
        _say_error(error)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`| head`): no reason to complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last door: nothing may end in a traceback
        return _unexpected(error)
    return result if isinstance(result, int) else 0


def _unexpected(error: Exception) -> int:
    if type(error).__module__.startswith("cyclopts"):  # it has printed its own message
        return USAGE
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(error)
        return UNEXPECTED
    frame = traceback.extract_tb(error.__traceback__)[-1]
    _say(
        f"Unexpected error: {type(error).__name__} in {os.path.basename(frame.filename)}, "  # noqa: PTH119 - no import for one name
        f"line {frame.lineno}. This is a fault of ctdenoise, not of your data.\n"
        f"Run again with {DEBUG_VARIABLE}=1 to see it whole, and report it without patient data.",
    )
    return UNEXPECTED


def _say_error(error: CTDenoiseError) -> None:
    lines = [f"Error: {error.what if error.where is None else f'{error.where}: {error.what}'}"]
    if error.fix:
        lines.append(f"  {error.fix}")
    _say("\n".join(lines))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _as_keyboard_interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
