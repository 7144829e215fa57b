"""Fixtures of the tests that talk to other programs over DICOM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.pacs.orthanc import missing, run_beside_orthanc


@pytest.fixture(scope="session")
def beside_orthanc() -> Callable[..., Any]:
    """Calls a function beside a fresh Orthanc; the test is skipped where there can be none."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    return run_beside_orthanc
