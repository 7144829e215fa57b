"""Libraries and processes of ours say where something happened, never to whom."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from ctdenoise.core.quiet import TALKATIVE, quiet_libraries
from ctdenoise.core.workers import Service, results_of
from tests.conftest import ROOT

NAME = "Marker^Someone"

_PROGRAM = """
import logging, sys, threading, warnings
from ctdenoise.core.quiet import quiet_process
if "loud" in sys.argv:
    logging.basicConfig(level=logging.DEBUG)
class Broken:
    def __del__(self):
        raise ValueError("Marker^Someone")
def fails():
    raise ValueError("Marker^Someone")
with quiet_process():
    warnings.warn("Marker^Someone")
    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    Broken()
print("done")
"""


@pytest.mark.parametrize("name", [*TALKATIVE, "pynetdicom.events", "urllib3.connectionpool"])
def test_a_library_is_cut_off_and_only_the_place_of_a_warning_is_kept(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(name)
    before = (logger.propagate, list(logger.handlers), logger.level)
    with caplog.at_level(logging.DEBUG):
        with quiet_libraries(), quiet_libraries():
            logger.debug("reading %s", NAME)
            logger.error("cannot read %s", NAME)
        with quiet_libraries():
            pass
    assert NAME not in caplog.text
    (place,) = [one for one in caplog.records if one.name == "ctdenoise.core.quiet"]
    assert "error of " + name in place.getMessage()
    assert (logger.propagate, list(logger.handlers), logger.level) == before


def test_a_library_is_quiet_until_the_last_of_several_threads_is_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_in, may_leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet_libraries():
            is_in.set()
            may_leave.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    assert is_in.wait(30)
    with caplog.at_level(logging.DEBUG):
        with quiet_libraries():
            pass
        logging.getLogger("pynetdicom.dul").info(NAME)
        may_leave.set()
        thread.join()
        assert NAME not in caplog.text
        logging.getLogger("pynetdicom.dul").info("after")
    assert "after" in caplog.text


@pytest.mark.parametrize("loud", [[], ["loud"]], ids=["plain", "debug"])
def test_a_process_of_ours_quotes_no_warning_and_no_error_of_a_thread(loud: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *loud],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "done\n"
    assert NAME not in done.stderr
    assert "a thread ended with ValueError in <string>, line 10" in done.stderr
    assert "an error could not be raised with ValueError" in done.stderr


def test_warnings_that_are_errors_stay_errors() -> None:
    with pytest.raises(UserWarning, match=NAME.replace("^", r"\^")):
        warnings.warn(NAME, stacklevel=1)


def warned(path: str) -> str:
    warnings.warn(NAME, stacklevel=1)
    return path


def nothing(seat: int) -> None:
    del seat


def test_a_worker_quotes_no_warning(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    service = Service(prepare=nothing, work=warned)
    (answer,) = results_of([str(tmp_path)], service, workers=1)
    assert answer == (0, str(tmp_path))
    assert NAME not in "".join(capfd.readouterr())
