"""DICOM to NIfTI: ours, dcm2niix and SimpleITK on one series, in one run; and memory by length.

Run it with `python tests/perf/bench_convert.py [SLICES ...]`. Every figure is the best of three
runs, each a process of its own, its start included. Ratios are of processor time, which other work
on the machine disturbs less. dcm2niix is left out where it is not installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAKER = Path(__file__).with_name("series_to_convert.py")
"""Makes the series in a process of its own: what this one held would count as theirs."""

SLICES = 300
LONG = 1000
REPEATS = 3
SITK = """
import sys, SimpleITK as sitk
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1]))
sitk.WriteImage(reader.Execute(), sys.argv[2])
"""


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds of the processor and of the clock, and peak memory in MB, of one process."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed")
    wall_s = time.perf_counter() - started
    return usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024


def commands(study: Path, out: Path, suffix: str) -> dict[str, list[str]]:
    """How each program is called; each writes into `out`, an empty folder."""
    target = out / f"a{suffix}"
    ours = [sys.executable, "-m", "ctdenoise", "convert", str(study), "--out", str(target)]
    found = {"ctdenoise": ours}
    program = shutil.which("dcm2niix")
    if program is not None and suffix.startswith(".nii"):
        packing = "y" if suffix == ".nii.gz" else "n"
        found["dcm2niix"] = [program, "-z", packing, "-b", "n", "-o", str(out), str(study)]
    found["SimpleITK"] = [sys.executable, "-c", SITK, str(study), str(target)]
    return found


def timed(folder: Path, study: Path, suffix: str) -> None:
    """Print a line for each program, with its time as a multiple of ours."""
    best: dict[str, tuple[float, float, float]] = {}
    sizes: dict[str, float] = {}
    for _ in range(REPEATS):
        for name in commands(study, folder, suffix):
            out = Path(tempfile.mkdtemp(dir=folder))
            figures = measured(commands(study, out, suffix)[name])
            sizes[name] = sum(path.stat().st_size for path in out.iterdir()) / 1e6
            best[name] = min(best.get(name, figures), figures)
            shutil.rmtree(out)
    for name, (seconds, wall_s, memory) in best.items():
        ratio = seconds / best["ctdenoise"][0]
        print(
            f"{suffix:8} {name:10} {seconds:6.2f} core-s  x {ratio:4.2f}  {wall_s:6.2f} s"
            f"  {memory:6.0f} MB of memory"
            f"  {sizes[name]:6.1f} MB written"
        )


def main() -> None:
    """Measure and print."""
    slices = [int(word) for word in sys.argv[1:]] or [SLICES, LONG]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for count in slices:
            maker = [sys.executable, str(MAKER), str(folder / str(count)), str(count)]
            subprocess.run(maker, check=True)
            print(f"{count} slices of 512 x 512, load {os.getloadavg()[0]:.1f}")
            suffixes = (".nii", ".nii.gz", ".mha", ".nrrd") if count == slices[0] else (".nii",)
            for suffix in suffixes:
                timed(folder, folder / str(count), suffix)
            shutil.rmtree(folder / str(count))


if __name__ == "__main__":
    main()
