"""Time and memory of `ctdenoise evaluate` on a long study.

Run it as ``python -m tests.perf.study_evaluate`` (``--slices 60`` for a short one). It writes a
reference and two tests of 512 x 512 pixels as NIfTI of 16 bits, has the command line compare them
with and without the page, and prints the time, the time of the processors and the most memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

SIZE = 512
NAMES = {"full": 10, "low": 25, "denoised": 12}
"""Noise of each image, HU."""
WAYS = {"page": [], "numbers": ["--set", "page=null"]}


def write_study(folder: Path, slices: int) -> None:
    """A torso-like ellipse with lungs, and three realisations of noise of 10, 25 and 12 HU."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    clean = np.where(np.hypot(y, x / 1.4) < 160, 40.0, -1000.0)
    for side in (-90, 90):
        clean[np.hypot(y, (x - side) / 0.8) < 60] = -850
    grain = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), 1.0, mode="wrap")
    grain /= grain.std()
    for name, sigma in NAMES.items():
        stored = np.empty((SIZE, SIZE, slices), dtype=np.int16)
        for index in range(slices):
            shift = rng.integers(0, SIZE, 2)
            noise = sigma * np.roll(grain, shift, axis=(0, 1))
            stored[..., index] = np.rint(clean + noise).T
        image = nib.Nifti1Image(stored, np.diag([0.7, 0.7, 1.0, 1.0]))
        nib.save(image, folder / f"{name}.nii")


def measured(words: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of the processors, and most memory (MiB) of the command line."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "ctdenoise", *words], stdout=subprocess.PIPE)
    process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"ctdenoise ended with {status}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Print one line for each way to evaluate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--write", type=Path, help="only write the study into this folder")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    told = parser.parse_args()
    if told.write is not None:
        write_study(told.write, told.slices)
        return
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: what is started from a large process seems to be as large.
        again = [sys.executable, "-m", "tests.perf.study_evaluate", "--slices", str(told.slices)]
        subprocess.run([*again, "--write", folder], check=True)
        paths = [Path(folder) / f"{name}.nii" for name in NAMES]
        for title in told.ways:
            out = Path(folder) / title
            words = [str(word) for word in ("evaluate", *paths, "--out", out, *WAYS[title])]
            seconds, busy, memory = measured(words)
            print(f"{title}: {seconds:.1f} s, processors {busy:.1f} s, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
