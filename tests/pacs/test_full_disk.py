"""A full disk: senders are told, and keep what they have; it goes on when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.pacs.destination import destination
from tests.pacs.fault_bench import Serving, serving
from tests.pacs.recording import Behaviour
from tests.pacs.senders import by_pynetdicom, send_until_accepted
from tests.pacs.service_process import wait_until
from tests.pacs.service_settings import service_settings

DISK_MB = 24
OUT_OF_RESOURCES = 0xA700


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory, disk) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("service")
    with destination(folder / "destination") as place:
        settings = service_settings(place, quiet_s=3.0, inbox={"free_mb": 1})
        with serving(folder, settings, place, state=disk / "state") as running:
            yield running


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left on the disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    try:
        yield
    finally:
        ballast.unlink()


def well(bench: Serving, *, twice: int = 0) -> None:
    """Nothing was lost, nothing is there twice or half, and the server never ended."""
    found = bench.judged()
    assert found.problems == ()
    assert found.twice <= twice
    assert bench.running.starts == 1
    assert "Traceback" not in said(bench)
    wait_until(bench.running.is_ready, what="the server is ready again")


def test_a_sender_is_told_that_the_disk_is_full_and_succeeds_later(bench, disk):
    study = bench.made("full while receiving")
    first, *others = study.paths
    assert [item.status for item in by_pynetdicom([first], bench.running.port)] == [0]
    with full(disk):
        told = by_pynetdicom(others, bench.running.port)
    assert {item.status for item in told} == {OUT_OF_RESOURCES}
    assert send_until_accepted(study, lambda: bench.running.port) == 1
    bench.accepted.append(study)
    bench.until(study, "done")
    well(bench)


def test_work_for_which_the_disk_had_no_room_is_done_later(bench, disk):
    study = bench.sent("full while processing")
    with full(disk):
        wait_until(lambda: "full" in said(bench), what="the server says that the disk is full")
    bench.until(study, "done")
    well(bench)


def test_a_ledger_that_cannot_be_written_for_a_while_is_written_later(bench, disk):
    bench.place.behave(Behaviour(delay_s=0.3))
    before = len(bench.place.deliveries())
    study = bench.sent("full while sending", slices=16)
    wait_until(lambda: len(bench.place.deliveries()) > before + 3, what="some of it is sent")
    with full(disk):
        wait_until(lambda: "full" in said(bench), what="the server says that the disk is full")
    bench.place.behave(Behaviour())
    bench.until(study, "done")
    well(bench, twice=2)  # what could not be noted at once


@pytest.fixture(autouse=True)
def _quiet_before(bench: Serving) -> None:
    bench.seen = len(bench.running.log.read_text(errors="replace"))


def said(bench: Serving) -> str:
    """What the server said since the test began."""
    return bench.running.log.read_text(errors="replace")[bench.seen :]
