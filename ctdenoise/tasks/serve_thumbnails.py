"""Small pictures of one slice, before and after, for the status page: pixels and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import HuArray
from ctdenoise.io.dicom_reader import DicomReader
from ctdenoise.io.staging import staged_file
from ctdenoise.io.study import FoundSeries, find_series
from ctdenoise.report.pictures import SOFT, in_display, write_picture

SIDE_MOST = 160
"""Pixels of the longer side."""

BEFORE, AFTER = "before", "after"


def write_thumbnails(source: FoundSeries, derived: Path, folder: Path, number: int) -> None:
    """Write the middle slice of a series and of its result as `<number>-before.png`, `-after.png`.

    Args:
        source: What was denoised, of DICOM.
        derived: Folder of the result.
        folder: Where to; made if it does not exist.
        number: What the pair is called.

    Raises:
        StudyError: If one of them cannot be read.
        OutputError: If the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, scan in ((BEFORE, source), (AFTER, find_series(derived)[0])):
        with staged_file(folder / f"{number}-{name}.png") as stage:
            write_picture(stage, _small(_middle(scan)))


def _middle(scan: FoundSeries) -> HuArray:
    with DicomReader(scan) as reader:
        place = reader.shape[0] // 2
        middle: HuArray = reader.read(slice(place, place + 1)).hu[0]
    return middle


def _small(image: HuArray) -> npt.NDArray[np.uint8]:
    """A slice in grey, means of squares of pixels, at most `SIDE_MOST` a side."""
    edge = -(-max(image.shape) // SIDE_MOST)
    rows, columns = (size // edge * edge for size in image.shape)
    squares = image[:rows, :columns].reshape(rows // edge, edge, columns // edge, edge)
    return in_display(squares.mean(axis=(1, 3), dtype=np.float32), SOFT)
