"""Time and size of a derived series of 300 slices in each transfer syntax.

Prints the table of `docs/validation/dicom_writing.md` as Markdown. Processor seconds are of
one core. The source is a real chest of the test data, repeated to 300 slices.

    python tests/perf/bench_dicom_writing.py [folder with a series]
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

import pydicom

from ctdenoise.config.dicom import DicomSettings, TransferSyntax
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import uid

SLICES = 300
ROUNDS = 2
SOURCE = Path(os.environ.get("CTDENOISE_TESTDATA", "../shared/ctdata")) / "series/siemens_chest"


def repeated(series: Path, folder: Path) -> CTVolume:
    """A series of SLICES slices, made of those of a shorter one again and again."""
    slices = [pydicom.dcmread(path) for path in series.iterdir()]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    for index in range(SLICES):
        one = copy.deepcopy(slices[index % len(slices)])
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = uid("bench", index)
        one.ImagePositionPatient[2] = 3.0 * index
        one.InstanceNumber = index + 1
        one.save_as(folder / f"{index:04d}.dcm")
    return read_volume(folder)


def written(volume: CTVolume, folder: Path, syntax: TransferSyntax) -> tuple[float, float, int]:
    """Seconds of the processor and of the clock, and bytes, of one writing."""
    settings = DicomSettings(transfer_syntax=syntax)
    clock, processor = time.perf_counter(), time.process_time()
    paths = write_series(volume, folder, settings=settings)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    size = sum(path.stat().st_size for path in paths)
    for path in paths:
        path.unlink()
    folder.rmdir()
    return processor, clock, size


def main() -> None:
    """Write it in every syntax, and print what it took."""
    series = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source"
        source.mkdir()
        volume = repeated(series, source).with_step(Step("denoise", {"model": "none"}))
        best: dict[TransferSyntax, tuple[float, float, int]] = {}
        for _ in range(ROUNDS):
            for syntax in get_args(TransferSyntax):
                found = written(volume, Path(place) / "out", syntax)
                best[syntax] = min(found, best.get(syntax, found))
    print("| transfer syntax | processor s | clock s | MB | size |\n|---|---|---|---|---|")
    plain = best["explicit"][2]
    for syntax, (processor, clock, size) in best.items():
        share = f"{size / plain:.2f}"
        print(f"| `{syntax}` | {processor:.1f} | {clock:.1f} | {size / 1e6:.0f} | {share} |")


if __name__ == "__main__":
    main()
