"""How much memory this process may still take, and a refusal in words where it is too little."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from ctdenoise.errors import InputError

if sys.platform != "win32":
    import resource

_CGROUPS = Path("/sys/fs/cgroup")
_GB = 1e9


def require_memory(size: int, *, where: str | PathLike[str], kind: type[InputError]) -> None:
    """Refuse before memory is taken what cannot be held.

    Args:
        size: Bytes that are needed.
        where: What they are needed for: a file or folder.
        kind: Which error to raise.

    Raises:
        InputError: Of that kind, if fewer are available; nothing where the system does not say.
    """
    available = available_bytes()
    if available is not None and size > available:
        raise kind(
            f"{size / _GB:.1f} GB of memory are needed at once, and {available / _GB:.1f} GB "
            "are available.",
            where=where,
            fix="Use a machine with more memory, or read some of the slices at a time.",
        )


def available_bytes() -> int | None:
    """Memory that can be taken without swapping or breaking a limit; None if nothing says.

    The least of what the machine has left, what its control groups allow (version 1 or 2, as in a
    container) and the limit of the address space (`ulimit -v`).
    """
    known = [*_of_machine(), *_of_control_groups(), *_of_address_space()]
    return max(0, min(known)) if known else None


def _of_machine() -> Iterator[int]:
    for line in _text(Path("/proc/meminfo")).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            yield int(rest.split()[0]) * 1024
            return
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_control_groups() -> Iterator[int]:
    """What every group above this process has left; pages of files can be given up."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            root, names = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = _CGROUPS / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = root / group.lstrip("/")
        for parent in (folder, *folder.parents):
            most, used = _text(parent / names[0]).strip(), _text(parent / names[1]).strip()
            if most.isdigit() and used.isdigit():
                yield int(most) - int(used) + _entry(parent / "memory.stat", names[2])
            if parent == root:
                break


def _entry(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _of_address_space() -> Iterator[int]:
    if sys.platform == "win32":
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text(Path("/proc/self/statm")).split()[:1]
    if limit != resource.RLIM_INFINITY and pages:
        yield limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
