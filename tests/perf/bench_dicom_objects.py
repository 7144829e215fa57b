"""Time and memory of a Segmentation and a Parametric Map over many slices, ours and highdicom's.

    python -m tests.perf.bench_dicom_objects [--slices 300] [--size 512]

Each is made in a process of its own, whose peak above what it had before is told. "highdicom alone"
is its constructor and `save_as` over headers that are read already.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import Step
from ctdenoise.core.scan import with_steps
from ctdenoise.io.dicom_objects import parametric_map_bytes, segmentation_bytes
from ctdenoise.io.read import open_series
from ctdenoise.io.study import find_series
from tests.dicom.builders import ct_series, marked_volume, series_files

KINDS = ("segmentation", "segmentation, highdicom alone", "parametric map")
ROUNDS = 3


def labels(shape: tuple[int, int, int]) -> np.ndarray:
    """Two discs through all slices."""
    found = np.zeros(shape, np.uint8)
    y, x = np.mgrid[: shape[1], : shape[2]] / shape[1]
    found[:, (y - 0.4) ** 2 + (x - 0.4) ** 2 < 0.025] = 1
    found[:, (y - 0.7) ** 2 + (x - 0.7) ** 2 < 0.014] = 2
    return found


def work(kind: str, study: Path, out: Path) -> Callable[[], None]:
    """What is timed; everything it needs is made before."""
    (found,) = find_series(study)
    scan = with_steps(open_series(found), Step("label"))
    settings = DicomSettings()
    if kind == "parametric map":
        stored = np.random.default_rng(0).integers(0, 600, scan.shape).astype(np.uint16)

        def make_map() -> None:
            data = parametric_map_bytes(
                scan, stored, explanation="x", label="x", series_number=1, settings=settings
            )
            out.write_bytes(data)

        return make_map
    found_labels = labels(scan.shape)
    if kind == "segmentation":
        names = ("background", "liver", "kidney")

        def make_labels() -> None:
            data = segmentation_bytes(
                scan, found_labels, names, segments={}, series_number=1, settings=settings
            )
            out.write_bytes(data)

        return make_labels
    return _highdicom(study, found_labels, out)


def _highdicom(study: Path, found: np.ndarray, out: Path) -> Callable[[], None]:
    import highdicom
    from pydicom.sr.codedict import codes

    images = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(study.iterdir())]
    described = [
        highdicom.seg.SegmentDescription(
            number,
            f"segment {number}",
            codes.SCT.AnatomicalStructure,
            codes.SCT.Liver,
            highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in (1, 2)
    ]
    for image in images:
        image.AccessionNumber = image.get("AccessionNumber", "")

    def make() -> None:
        highdicom.seg.Segmentation(
            images, found, highdicom.seg.SegmentationTypeValues.BINARY, described,
            highdicom.UID(), 1, highdicom.UID(), 1, "m", "m", "1", "1",
        ).save_as(out)  # fmt: skip

    return make


def peak_mb(*, forget: bool = False) -> float:
    """Largest memory of this process since it was last forgotten, MB (Linux)."""
    if forget:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(found) * 1.024 / 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--child", nargs=2)
    asked = parser.parse_args()
    if asked.child:
        kind, study = asked.child
        out = Path(study).parent / "object.dcm"
        make = work(kind, Path(study), out)
        before, times = peak_mb(forget=True), []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            make()
            times.append(time.perf_counter() - started)
        size = out.stat().st_size / 1e6
        more = peak_mb() - before
        print(f"{kind:30} {min(times):5.2f} s  {more:5.0f} MB above before  {size:6.1f} MB")
        return
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        series_files(
            study, ct_series(marked_volume(slices=asked.slices, size=(asked.size, asked.size)))
        )
        for kind in KINDS:
            command = [sys.executable, "-m", "tests.perf.bench_dicom_objects"]
            subprocess.run([*command, "--child", kind, str(study)], check=True)


if __name__ == "__main__":
    main()
