"""How many processors this process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctdenoise.core import processors
from ctdenoise.core.processors import usable_processors


@pytest.fixture
def machine(monkeypatch):
    """A machine with eight processors, some of which this process is bound to, and files."""

    def make(bound, files):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(bound)))
        monkeypatch.setattr(processors, "_text", lambda path: files.get(str(Path(path)), ""))
        return usable_processors()

    return make


def test_a_process_without_limits_has_those_it_is_bound_to(machine):
    assert machine(3, {}) == 3


def test_a_quota_of_the_group_or_of_one_above_it_counts(machine):
    files = {"/proc/self/cgroup": "0::/pod/me\n", "/sys/fs/cgroup/pod/me/cpu.max": "max 100000\n"}
    assert machine(8, files) == 8
    assert machine(8, {**files, "/sys/fs/cgroup/pod/cpu.max": "150000 100000\n"}) == 2


def test_a_quota_of_the_first_version_counts(machine):
    group = "/sys/fs/cgroup/cpu/me"
    files = {
        "/proc/self/cgroup": "4:memory:/me\n3:cpu,cpuacct:/me\n",
        f"{group}/cpu.cfs_quota_us": "300000\n",
        f"{group}/cpu.cfs_period_us": "100000\n",
    }
    assert machine(8, files) == 3
    assert machine(8, {**files, f"{group}/cpu.cfs_quota_us": "-1\n"}) == 8


def test_there_is_always_one(machine):
    files = {"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "1000 100000\n"}
    assert machine(1, files) == 1
