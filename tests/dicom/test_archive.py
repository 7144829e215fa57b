"""A real archive stores what we write, once, and gives it back as it was."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.archive import archived, command, missing
from tests.dicom.deriving import DENOISE, SIMULATE

WITHOUT = missing()

pytestmark = pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT or "there is an archive")

SERIES = ["siemens_chest", "ge_abdomen", "philips_chest"]


@pytest.mark.ctdata
def test_an_archive_returns_source_and_results_unchanged_and_counts_nothing_twice(
    ctdata: Path, tmp_path: Path
) -> None:
    sent, written = tmp_path / "sent", []
    for name in SERIES:
        part = read_volume(ctdata / "series" / name).select(slice(5, 9))
        assert part.source is not None
        for instance in part.source.instances:
            copy = sent / name / "source" / instance.path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(instance.path.read_bytes())
        for step in (DENOISE, SIMULATE):
            hu = part.hu + np.float32(7)
            written += write_series(part.with_hu(hu, step), sent / name / step.name)
    report = archived(sent, tmp_path / "returned")
    assert (report["sent"], report["again"]) == (0, 0)
    for when in ("first", "second"):
        assert report[when]["CountInstances"] == 3 * len(SERIES) * 4
        assert report[when]["CountSeries"] == 3 * len(SERIES)
        assert report[when]["CountStudies"] == report[when]["CountPatients"] == len(SERIES)
    for series in report["series"]:
        assert series["instances"] == series["metadata"] == series["retrieved"] == 4
    for path in written:
        ours = pydicom.dcmread(path)
        assert pydicom.dcmread(tmp_path / "returned" / f"{ours.SOPInstanceUID}.dcm") == ours


def _commands(of: Path) -> list[str]:
    """Command lines of running processes that name a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
        except OSError:  # it ended meanwhile
            continue
        if str(of).encode() in words:
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def _listening() -> set[int]:
    """Ports on which something listens outside of the archive's network."""
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in (Path("/proc/self/net") / name).read_text().splitlines()[1:]
    ]
    return {int(words[1].rpartition(":")[2], 16) for words in lines if words[3] == "0A"}


def _wait_until(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_archive_listens_to_nobody_else_and_leaves_no_process_when_it_is_cut_off(
    tmp_path: Path,
) -> None:
    before = _listening()
    scratch = tmp_path / "scratch"
    for folder in (scratch, tmp_path / "sent"):
        folder.mkdir()
    with subprocess.Popen(
        command(tmp_path / "sent", tmp_path / "returned", scratch),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    ) as shut_in:
        _wait_until(lambda: any(line.startswith("Orthanc") for line in _commands(scratch)))
        assert not {4242, 8042} & (_listening() - before)
        shut_in.kill()
    _wait_until(lambda: not _commands(scratch))
