"""Sending and getting a series: ours, dcmtk and dicomweb-client with the same peers, in one run.

    python -m tests.perf.bench_pacs [SLICES] [REPEATS]

It needs root, Orthanc and dcmtk. Everything runs in a network of its own, on loopback. Ours and
dicomweb-client are timed from within this process, dcmtk as processes, which start in milliseconds.
The peers forget everything before each run. Printed are the best and the median of the clock's
seconds, the instances a second of the best, and the memory of `ctdenoise pacs send` by slices.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from ctdenoise.config.load import checked
from ctdenoise.config.peer_address import peer_of_address
from ctdenoise.config.peers import DimsePeer
from ctdenoise.core.volume import CTVolume
from ctdenoise.pacs.matches import Wanted
from ctdenoise.pacs.retrieving import retrieve
from ctdenoise.pacs.sender import send
from tests.dicom.builders import ct_series, marked_volume, series_files, uid
from tests.pacs.listening import dcmtk
from tests.pacs.orthanc import Orthanc, run_beside_orthanc

STORESCP = 11113
SENDER = """
import sys
from ctdenoise.cli.app import app
from ctdenoise.cli.failure import guarded
code = guarded(app, sys.argv[1:])
held = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(held.split()[1], file=sys.stderr)
sys.exit(code)
"""
STUDY = Wanted(study_instance_uid=uid("study"))


def grainy_series(folder: Path, slices: int) -> list[Path]:
    """A series of 512 x 512 pixels with white noise, 0.5 MB a slice."""
    small = marked_volume(slices=slices, size=(8, 8))
    hu = np.random.default_rng(1).normal(0, 50, (slices, 512, 512)).round().astype(np.float32)
    geometry = marked_volume(slices=slices, size=(512, 512), seed=1).geometry
    return series_files(folder, ct_series(CTVolume(hu, geometry, small.acquisition)))


def forget(orthanc: Orthanc) -> None:
    """Delete everything that an archive has."""
    for patient in orthanc.json("/patients"):
        request = urllib.request.Request(  # noqa: S310
            f"{orthanc.url}/patients/{patient}", method="DELETE"
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310


def timed(
    title: str, count: int, repeats: int, work: Callable[[], object], before: Callable[[], object]
) -> None:
    """Run something several times and print how long it took."""
    seconds = []
    for _ in range(repeats):
        before()
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    best, median = min(seconds), statistics.median(seconds)
    print(f"{title:<46}{best:8.2f}{median:8.2f}{count / best:8.0f}", flush=True)


def program(*arguments: object) -> None:
    """Run a program of dcmtk."""
    name, *rest = map(str, arguments)
    done = subprocess.run([dcmtk(name), *rest], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-500:]}")


def sending(orthanc: Orthanc, files: list[Path], scratch: Path, repeats: int) -> None:
    """The part of the table about sending."""
    count, sink = len(files), scratch / "sink"
    names = [str(path) for path in files]
    storescp = {"host": "127.0.0.1", "port": STORESCP, "ae_title": "ANY"}
    archive = {"host": "127.0.0.1", "port": 4242, "ae_title": "ARCHIVE"}

    def emptied() -> None:
        shutil.rmtree(sink, ignore_errors=True)
        sink.mkdir()

    emptied()
    server = subprocess.Popen(
        [dcmtk("storescp"), "-pdu", "131072", "--fork", "--bit-preserving", "-od", sink,
         str(STORESCP)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(1)
        for title, target, clean in (
            ("storescp", storescp, emptied),
            ("Orthanc", archive, lambda: forget(orthanc)),
        ):
            port = target["port"]
            for associations in (1, 4):
                peer = checked(DimsePeer, {**target, "associations": associations})
                label = f"ctdenoise -> {title}" + (", 4 associations" if associations > 1 else "")
                timed(label, count, repeats, lambda peer=peer: send(files, peer), clean)
            for name in ("dcmsend", "storescu"):
                options = ["--no-halt"] if name == "dcmsend" else []
                line = (name, *options, "-aec", target["ae_title"], "127.0.0.1", port, *names)
                timed(f"{name} -> {title}", count, repeats, lambda a=line: program(*a), clean)
    finally:
        server.terminate()
        server.wait(30)
    web = peer_of_address(orthanc.web)
    clean = lambda: forget(orthanc)  # noqa: E731
    timed("ctdenoise -> Orthanc, STOW-RS", count, repeats, lambda: send(files, web), clean)
    timed(
        "dicomweb-client -> Orthanc, STOW-RS", count, repeats, lambda: stow(orthanc, files), clean
    )


def stow(orthanc: Orthanc, files: list[Path]) -> None:
    """What dicomweb-client does, in batches of 50 as ours."""
    client = DICOMwebClient(orthanc.web)
    for start in range(0, len(files), 50):
        client.store_instances([dcmread(path) for path in files[start : start + 50]])


def getting(orthanc: Orthanc, files: list[Path], scratch: Path, repeats: int) -> None:
    """The part of the table about getting; the archive holds the series."""
    count, out = len(files), scratch / "out"
    series = uid("series", "1")

    def emptied() -> None:
        shutil.rmtree(out, ignore_errors=True)

    def made() -> None:
        emptied()
        out.mkdir()

    def by_client() -> None:
        client = DICOMwebClient(orthanc.web)
        for number, dataset in enumerate(client.iter_series(uid("study"), series)):
            dataset.save_as(out / f"{number}.dcm")

    for title, address in (("C-GET", orthanc.dimse), ("WADO-RS", orthanc.web)):
        peer = peer_of_address(address)
        timed(
            f"ctdenoise, {title}", count, repeats, lambda p=peer: retrieve(p, STUDY, out), emptied
        )
    line = ("getscu", "-S", "-k", "0008,0052=STUDY", "-k", f"StudyInstanceUID={uid('study')}",
            "-aec", "ARCHIVE", "-od", out, "127.0.0.1", 4242)  # fmt: skip
    timed("getscu, C-GET", count, repeats, lambda: program(*line), made)
    timed("dicomweb-client, WADO-RS", count, repeats, by_client, made)


def memory_mb(files: list[Path], folder: Path, to: str) -> float:
    """Peak memory of `ctdenoise pacs send` of some files, in a process of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in files:
        (folder / path.name).symlink_to(path)
    command = [sys.executable, "-c", SENDER, "pacs", "send", str(folder), "--to", to]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) / 1024


def measured(orthanc: Orthanc, slices: int, repeats: int, log: Path):
    """Everything, beside an archive."""
    with tempfile.TemporaryDirectory() as name, log.open("w") as file:
        scratch = Path(name)
        sys.stdout = file
        files = grainy_series(scratch / "series", slices)
        print(f"{slices} instances of {files[0].stat().st_size / 1e6:.2f} MB, {repeats} runs\n")
        print(f"{'':<46}{'best s':>8}{'median':>8}{'per s':>8}")
        sending(orthanc, files, scratch, repeats)
        send(files, peer_of_address(orthanc.web))
        getting(orthanc, files, scratch, repeats)
        print("\nmemory of `ctdenoise pacs send`, MB")
        for count in (10, slices // 2, slices):
            dimse = memory_mb(files[:count], scratch / "some", orthanc.dimse)
            web = memory_mb(files[:count], scratch / "some", orthanc.web)
            print(f"{count:>6} slices  C-STORE {dimse:6.0f}  STOW-RS {web:6.0f}")
    return 0


def main(slices: int, repeats: int) -> None:
    """Run it, and print the table."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "table"
        run_beside_orthanc(measured, slices=slices, repeats=repeats, log=log, timeout_s=900)
        print(log.read_text())


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*given, *(300, 3)[len(given) :])
