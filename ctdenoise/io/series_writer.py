"""A DICOM series that is written block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.pair import Exposure
from ctdenoise.core.provenance import Step
from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_enhanced_checks import is_multi_frame
from ctdenoise.io.dicom_enhanced_writer import EnhancedSeriesWriter
from ctdenoise.io.dicom_identity import SERIES_NUMBER_STEP, free_series_numbers, numbers_from
from ctdenoise.io.dicom_original import NewSeriesWriter
from ctdenoise.io.dicom_writer import DerivedWriter
from ctdenoise.io.growing import Growing, Mark


class SeriesWriter:
    """Writes a series into a folder, slice after slice: 00001.dcm, 00002.dcm, ...

    What was read from DICOM becomes a derived series on the headers of its source, with a file for
    each of its slices or multi-frame objects; anything else a new series.

    Args:
        scan: What was read; its history says what was done since.
        folder: An existing folder; the caller stages it. Files that a killed run left in it are to
            be cut (`Growing.cut_to`) before more is written.
        series_number: Number of the new series; see `series_numbers`. It goes before the settings.
        settings: How to write it; the defaults if None.
        content: See `NewSeriesWriter`.
        has_padding: Whether any slice of a new series has padding.
        posix_s: When the run began, in seconds since 1970; now by default.

    Raises:
        StudyError: If a source file changed or vanished since it was read.
    """

    def __init__(
        self,
        scan: Scan,
        folder: Path,
        *,
        series_number: int | None = None,
        settings: DicomSettings | None = None,
        content: str = "",
        has_padding: bool = False,
        posix_s: int | None = None,
    ) -> None:
        settings = settings or DicomSettings()
        number = series_number or settings.series_number
        self.name = folder.name
        self._folder = folder
        self._checksum = hashlib.sha256()
        self.names: list[str] = []
        self._instances: DerivedWriter | NewSeriesWriter | EnhancedSeriesWriter
        if scan.source is not None and is_multi_frame(scan.source):
            self._instances = EnhancedSeriesWriter(
                scan, folder, series_number=number, settings=settings, posix_s=posix_s
            )
            self.names = self._instances.names
        elif is_from_dicom(scan):
            self._instances = DerivedWriter(
                scan, series_number=number, settings=settings, posix_s=posix_s
            )
        else:
            self._instances = NewSeriesWriter(
                scan,
                series_number=number,
                settings=settings,
                content=content,
                has_padding=has_padding,
                posix_s=posix_s,
            )

    def write(self, block: CTVolume) -> None:
        """Write the next slices.

        Args:
            block: These slices, with what was done to them.
        """
        if isinstance(self._instances, EnhancedSeriesWriter):
            self._instances.write(block)
            return
        for place, hu in enumerate(block.hu):
            padding = None if block.padding is None else block.padding[place]
            data = self._instances.encoded(len(self.names), hu, padding)
            name = _name(len(self.names))
            (self._folder / name).write_bytes(data)
            self._checksum.update(data)
            self.names.append(name)

    def mark(self) -> Mark:
        """See `Growing`; the files reach the disk when the stage ends."""
        if isinstance(self._instances, EnhancedSeriesWriter):
            return self._instances.mark()
        return Mark(len(self.names), self._checksum.hexdigest())

    def whole_marks(self, marks: Sequence[Mark]) -> int:
        """See `Growing`."""
        if isinstance(self._instances, EnhancedSeriesWriter):
            return self._instances.whole_marks(marks)
        checksum, done = hashlib.sha256(), 0
        for number, mark in enumerate(marks):
            for index in range(done, mark.length):
                path = self._folder / _name(index)
                if not path.is_file():
                    return number
                checksum.update(path.read_bytes())
            done = max(done, mark.length)
            if checksum.hexdigest() != mark.sha256:
                return number
        return len(marks)

    def cut_to(self, mark: Mark | None) -> None:
        """See `Growing`."""
        if isinstance(self._instances, EnhancedSeriesWriter):
            self._instances.cut_to(mark)
            return
        length = 0 if mark is None else mark.length
        self.names = [_name(index) for index in range(length)]
        self._checksum = hashlib.sha256()
        for path in sorted(self._folder.iterdir()):
            if path.name in self.names:
                self._checksum.update(path.read_bytes())
            else:
                path.unlink()


class TwinSeriesWriter:
    """Writes several series of one source side by side, block by block.

    Args:
        folders: An existing folder for each series.
        scans: What each will hold: the source, and what was done to it.
        numbers: SeriesNumber of each.
        posix_s: When the run began, in seconds since 1970.
        settings: How to write them; the defaults if None.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        scans: Sequence[Scan],
        numbers: Sequence[int],
        *,
        posix_s: int,
        settings: DicomSettings | None = None,
    ) -> None:
        self._series = [
            SeriesWriter(scan, folder, series_number=number, settings=settings, posix_s=posix_s)
            for folder, scan, number in zip(folders, scans, numbers, strict=True)
        ]

    @property
    def parts(self) -> tuple[Growing, ...]:
        """Every series, for the journal."""
        return tuple(self._series)

    def write(
        self, full: CTVolume, low: Sequence[CTVolume], labels: LabelArray | None = None
    ) -> None:
        """Append a block of slices.

        Args:
            full: The next slices of the source, which lie in files already.
            low: The same slices of each series.
            labels: Not written.
        """
        del full, labels
        for writer, volume in zip(self._series, low, strict=True):
            writer.write(volume)

    def finish(
        self,
        twins: Sequence[tuple[Exposure, tuple[Step, ...]]],
        label_names: Mapping[int, str] | None = None,
    ) -> None:
        """Nothing is left to write: every instance says how it was made."""
        del twins, label_names

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return


def series_numbers(scans: Sequence[Scan], settings: DicomSettings | None = None) -> tuple[int, ...]:
    """A number of its own for each of several new series of one study.

    Args:
        scans: What was read from one source, each with its own history.
        settings: How they are written.
    """
    settings = settings or DicomSettings()
    if is_from_dicom(scans[0]):
        return free_series_numbers(scans, settings)
    return numbers_from(settings.series_number or 1 + SERIES_NUMBER_STEP, len(scans))


def is_from_dicom(scan: Scan) -> bool:
    """Whether a scan was read from DICOM."""
    return scan.source is not None and scan.source.kind == "dicom"


def _name(index: int) -> str:
    return f"{index + 1:05d}.dcm"
