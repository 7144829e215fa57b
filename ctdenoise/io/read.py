"""From a series to Hounsfield units, all at once or some slices at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_reader import DicomReader
from ctdenoise.io.image_reader import ImageReader
from ctdenoise.io.study import FoundSeries, choose_series, find_series

_log = logging.getLogger(__name__)


class SeriesReader(Scan, Protocol):
    """A series whose headers were checked, open for reading.

    Slices ascend along the normal. A slice is the same whichever others are read with it. Whether
    the pixels are whole and possible is checked as they are read. One thread may read at a time.
    """

    def read(self, which: slice | Sequence[int]) -> CTVolume:
        """Some of the slices, with everything that belongs to them.

        Args:
            which: A stretch of slices, or their indices in the order wanted.

        Raises:
            StudyError: If they cannot be read right, with every reason.
        """
        ...

    def __enter__(self) -> Self:
        """The reader itself; its files are closed when the block ends."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        ...


def open_series(source: FoundSeries | Path | str, *, series: str | None = None) -> SeriesReader:
    """A CT series, open for reading in blocks of slices.

    Each DICOM slice is `stored * slope + intercept` with its own rescale, computed in float64 and
    kept as float32. Stored values that mean padding are rescaled like the others and marked in
    `padding`. MONOCHROME1 changes how a picture is shown, not its Hounsfield units. What is unusual
    about the series is logged.

    Args:
        source: A found series, or a folder or file to look into.
        series: Which series, where a folder holds several; see `choose_series`.

    Raises:
        UsageError: If there are several readable series and none was chosen.
        StudyError: If it cannot be read right, with every reason.
    """
    if isinstance(source, FoundSeries):
        chosen = choose_series((source,), None, where=source.source.instances[0].path.parent)
    else:
        chosen = choose_series(find_series(source), series, where=source)
    for finding in chosen.notes:
        level = logging.WARNING if finding.severity == "warning" else logging.INFO
        _log.log(level, "series %d: %s", chosen.number, finding)
    if chosen.kind == "dicom":
        return DicomReader(chosen)
    return ImageReader(chosen.source.instances[0].path)


def read_volume(source: FoundSeries | Path | str, *, series: str | None = None) -> CTVolume:
    """A whole CT series as Hounsfield units on its grid; see `open_series`.

    Args:
        source: A found series, or a folder or file to look into.
        series: Which series, where a folder holds several; see `choose_series`.

    Raises:
        UsageError: If there are several readable series and none was chosen.
        StudyError: If it cannot be read right, with every reason.
    """
    with open_series(source, series=series) as reader:
        return reader.read(slice(None))
