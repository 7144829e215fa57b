"""Available memory is the least that anything says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctdenoise.core import memory
from ctdenoise.errors import StudyError


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the system says instead, by path."""
    said: dict[str, str] = {"/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n"}
    monkeypatch.setattr(memory, "_text", lambda path: said.get(str(path), ""))
    return said


def test_without_limits_it_is_what_the_machine_has_left(files: dict[str, str]) -> None:
    assert memory.available_bytes() == 8000 * 1024


def test_a_control_group_of_version_2_and_those_above_it_count(files: dict[str, str]) -> None:
    files["/proc/self/cgroup"] = "0::/pod/me\n"
    group = "/sys/fs/cgroup/pod"
    files[f"{group}/me/memory.max"], files[f"{group}/me/memory.current"] = "max\n", "5\n"
    files[f"{group}/memory.max"], files[f"{group}/memory.current"] = "5000\n", "4000\n"
    files[f"{group}/memory.stat"] = "anon 3000\ninactive_file 700\n"
    assert memory.available_bytes() == 5000 - 4000 + 700


def test_a_control_group_of_version_1_counts(files: dict[str, str]) -> None:
    files["/proc/self/cgroup"] = "5:cpu:/me\n4:memory:/me\n"
    group = "/sys/fs/cgroup/memory/me"
    files[f"{group}/memory.limit_in_bytes"] = "6000\n"
    files[f"{group}/memory.usage_in_bytes"] = "5500\n"
    assert memory.available_bytes() == 500


def test_the_root_of_a_container_counts(files: dict[str, str]) -> None:
    files["/proc/self/cgroup"] = "0::/\n"
    files["/sys/fs/cgroup/memory.max"] = "900\n"
    files["/sys/fs/cgroup/memory.current"] = "1000\n"
    assert memory.available_bytes() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of Linux")
def test_a_limit_of_the_address_space_counts() -> None:
    program = (
        "import resource; from ctdenoise.core.memory import available_bytes\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); print(available_bytes())"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert 0 < int(done.stdout) < 1 << 30


def test_what_does_not_fit_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 2_000_000_000)
    memory.require_memory(2_000_000_000, where="study", kind=StudyError)
    with pytest.raises(StudyError, match=r"2\.5 GB of memory are needed at once, and 2\.0 GB"):
        memory.require_memory(2_500_000_000, where="study", kind=StudyError)


def test_where_nothing_is_known_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    memory.require_memory(1 << 60, where="study", kind=StudyError)
