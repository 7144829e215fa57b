"""`ctdenoise simulate` from a DICOM series to paired NIfTI: time, memory and where both go.

Run it with `make bench-simulate` or `python tests/perf/bench_simulate_run.py [SLICES ...]`. Each
size is one run of the command line in a process of its own, after a small one that compiles the
loops. Time must grow with the slices and memory must not.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, TorsoSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.scan import ScanFacts
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.series_writer import SeriesWriter
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.low_dose import simulate_low_dose

SIZES = (10, 100, 300, 1000)
LEVELS = 8
"""Different slices of the phantom; they are used over and over."""

PHOTONS = 2e5
SPACING_MM = 1.0


def make_series(folder: Path, slices: int) -> None:
    """A torso phantom with the noise of a scan as a DICOM series of 512 x 512 pixels, 1 mm apart.

    The noise is that of a body kernel: white noise, which no scanner makes, would be met with twice
    the channels.
    """
    phantom = build_phantom(
        PhantomSettings(phantom=TorsoSettings(), grid=GridSettings(size=512, slices=LEVELS))
    ).volume
    native = SimulateSettings(
        dose=1.0, source_noise="none", photons=PHOTONS, kernel=GaussianKernelSettings()
    )
    scan = simulate_low_dose(phantom, native, np.random.default_rng(0)).low
    thin = replace(phantom.acquisition, slice_thickness_mm=SPACING_MM)
    geometry = Geometry.axial(
        (slices, 512, 512),
        pixel_spacing_mm=phantom.geometry.pixel_spacing_mm,
        slice_spacing_mm=SPACING_MM,
    )
    facts = ScanFacts(geometry, thin, None, phantom.history)
    folder.mkdir()
    writer = SeriesWriter(facts, folder)
    for index in range(slices):
        hu = scan.hu[index % LEVELS]
        writer.write(CTVolume(hu[None], geometry.select([index])))


def measure(study: Path, out: Path) -> dict[str, float]:
    """One run of the command: seconds on the wall and of the cores, and what run.json says."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "ctdenoise", "simulate", study, "--out", out, "--dose", "0.25"],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = json.loads((out / "run.json").read_text())
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**record["timings_s"], "wall": wall, "cores": cores, "peak": record["peak_memory_mb"]}


def main() -> None:
    """Measure and print."""
    sizes = tuple(int(word) for word in sys.argv[1:]) or SIZES
    stages = ("find", "calibrate", "read", "simulate", "write")
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    heads = ("slices", "wall s", "core s", "peak MB", "slices/s", *(f"{s} s" for s in stages))
    print(" ".join(f"{head:>12s}" for head in heads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_series(folder / "first", 10)
        measure(folder / "first", folder / "first-out")
        for slices in sizes:
            study, out = folder / f"study-{slices}", folder / f"out-{slices}"
            make_series(study, slices)
            found = measure(study, out)
            figures = (found["wall"], found["cores"], found["peak"], slices / found["wall"])
            busy = tuple(found[stage] for stage in stages)
            print(" ".join(f"{figure:12.1f}" for figure in (slices, *figures, *busy)), flush=True)


if __name__ == "__main__":
    main()
