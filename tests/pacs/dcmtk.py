"""The programs of dcmtk, and not those of the same name that come with pynetdicom."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest


@cache
def found(name: str) -> str | None:
    """Path of a program of dcmtk; None if it is not installed."""
    for folder in os.get_exec_path():
        path = shutil.which(name, path=folder)
        if path is None:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if "$dcmtk:" in said.stdout:
            return path
    return None


def program(name: str) -> str:
    """Path of a program of dcmtk; the test is skipped without it."""
    path = found(name)
    if path is None:
        pytest.skip(f"{name} of dcmtk is not installed (Debian package dcmtk)")
    return path
