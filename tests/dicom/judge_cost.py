"""Processor time of judging 300 derived slices, beside reading source and derived series once.

python -m tests.dicom.judge_cost
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.io.dicom_judge import Expected, judge_series
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE

SLICES, SIZE, REPEATS = 300, 512, 4


def least_s(work: Callable[[], object]) -> float:
    """Least processor time of several runs, in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = marked_volume(slices=SLICES, size=(SIZE, SIZE))
        series_files(folder / "source", ct_series(drawn, padding_value=63536))
        volume = read_volume(folder / "source")
        assert volume.source is not None
        slices = [(one.path, 0) for one in volume.source.instances]
        changed = volume.with_hu(np.asarray(volume.hu + np.float32(1)), DENOISE)
        paths = write_series(changed, folder / "derived")
        del drawn, volume, changed
        works: dict[str, Callable[[], object]] = {
            "reading both": lambda: [read_volume(folder / n) for n in ("source", "derived")],
            "judging": lambda: judge_series(paths, slices, Expected("ours", DicomSettings())),
            "judging headers": lambda: judge_series(
                paths, slices, Expected("ours", DicomSettings(), pixels=False)
            ),
        }
        for what, work in works.items():
            print(f"{what}: {least_s(work):.2f} s")


if __name__ == "__main__":
    main()
