"""How many processors this process may use, and whether there may be a GPU."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_processors() -> int:
    """Processors that this process may run on, at least 1.

    The least of those of the machine, those that it is bound to (affinity) and what its control
    groups grant in time (CPU quota of version 1 or 2, as in a container), rounded up.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([bound or 1, *_granted()]))


def may_have_gpu() -> bool:
    """Whether a driver of a GPU is loaded on this machine, so that asking torch is worth its time.

    It says no only where no GPU can be used: on Linux every driver that torch knows has a device.
    """
    if not sys.platform.startswith("linux"):
        return True
    return any(Path("/dev", name).exists() for name in ("nvidiactl", "nvidia0", "kfd", "dxg"))


def _granted() -> list[int]:
    """What each control group above this process grants, in whole processors."""
    granted = []
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            root, is_second = _CGROUPS, True
        elif "cpu" in controllers.split(","):
            root, is_second = _CGROUPS / "cpu", False
        else:
            continue
        folder = root / group.lstrip("/")
        for parent in (folder, *folder.parents):
            quota, period = _quota(parent, is_second=is_second)
            if quota.isdigit() and period.isdigit() and int(period) > 0:
                granted.append(math.ceil(int(quota) / int(period)))
            if parent == root:
                break
    return granted


def _quota(folder: Path, *, is_second: bool) -> tuple[str, str]:
    """Microseconds of processor time in each period, and the period; no digits: no limit."""
    if is_second:
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        return quota, period
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    return _text(folder / names[0]).strip(), _text(folder / names[1]).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
