"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """Undo what a shell does to jobs in the background, which ignore Ctrl-C; some tests send it.

    Processes that the tests start hear it then as well.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ctdata() -> Path:
    """The folder of real CT; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CTDENOISE_TESTDATA", ROOT.parent / "shared" / "ctdata"))
    if not (folder / "series").is_dir():
        pytest.skip(f"real CT data not found at {folder} (set CTDENOISE_TESTDATA)")
    return folder


@pytest.fixture(scope="session")
def dicom_validators() -> tuple[str, str]:
    """Paths of dciodvfy and dcentvfy; the test is skipped where they are not installed."""
    programs = (shutil.which("dciodvfy"), shutil.which("dcentvfy"))
    if programs[0] is None or programs[1] is None:
        pytest.skip("dciodvfy and dcentvfy are not installed (Debian package dicom3tools)")
    return (programs[0], programs[1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
