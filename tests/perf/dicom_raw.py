"""The least that reading a series takes, to measure readers against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.dicom.zoo import Grid
from tests.perf.dicom_peers import Reader, files_below


def raw_pydicom() -> Reader:
    """pydicom in two passes: headers for the order, then each file into one float32 array."""
    from pydicom import dcmread

    def read(folder: Path) -> list[Grid]:
        headers = [(dcmread(path, stop_before_pixels=True), path) for path in files_below(folder)]
        headers.sort(key=lambda one: float(one[0].ImagePositionPatient[2]))
        first = headers[0][0]
        hu = np.empty((len(headers), first.Rows, first.Columns), np.float32)
        for index, (header, path) in enumerate(headers):
            stored = dcmread(path).pixel_array
            np.multiply(stored, np.float32(header.RescaleSlope), out=hu[index], casting="unsafe")
            hu[index] += np.float32(header.RescaleIntercept)
        return [Grid(hu.T, np.eye(4))]

    return read


def whole_volume() -> Reader:
    """ctdenoise reading its one series as a whole."""
    from ctdenoise.io.read import read_volume

    def read(folder: Path) -> list[Grid]:
        volume = read_volume(folder)
        return [Grid(volume.hu.T, np.eye(4))]

    return read


RAW_READERS: dict[str, Callable[[], Reader]] = {
    "raw pydicom loop": raw_pydicom,
    "ctdenoise, one series": whole_volume,
}
"""What is timed beside the readers of the comparison."""
