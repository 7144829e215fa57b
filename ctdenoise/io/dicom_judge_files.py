"""The files that a judge looks at: facts of each, and the last few headers.

A header takes a hundred times what must be known of it for the whole series, so only the headers of
the files that were looked at last are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.io.dicom_file import DamagedFileError
from ctdenoise.io.dicom_judge_view import Slice, View, text_value

KEPT_HEADERS = 96
"""Headers that are kept: those of a small series are read once."""

_SAME_PLACE_MM = 0.01

Place = tuple[Path, int]
"""File and zero-based frame of a slice."""


class Files:
    """Headers of files, read when they are wanted."""

    def __init__(self) -> None:
        self.view = lru_cache(KEPT_HEADERS)(View)
        """The header of a file. Raises DamagedFileError or OSError."""

    def slice(self, place: Place) -> Slice:
        """A slice of a file.

        Args:
            place: Its file and frame.

        Raises:
            DamagedFileError, OSError: If the file cannot be read.
        """
        return Slice(self.view(place[0]), place[1])


@dataclass(slots=True)
class SourceFiles:
    """The slices of a source, and how to find one.

    Args:
        files: Their headers.
        places: File and frame of each slice.
        by_name: Which slice has a SOPInstanceUID and frame.
        positions_mm: ImagePositionPatient of each, LPS; not a number where it is missing.
        uneven: Keywords whose values are not the same in all of them, of those asked for.
        series_instance_uid: Of the first.
    """

    files: Files
    places: list[Place] = field(default_factory=list)
    by_name: dict[tuple[str, int], int] = field(default_factory=dict)
    positions_mm: DoubleArray = field(default_factory=lambda: np.empty((0, 3)))
    uneven: set[str] = field(default_factory=set)
    series_instance_uid: str | None = None

    @classmethod
    def of(
        cls, places: Iterable[Place], files: Files, one_for_all: Sequence[str] = ()
    ) -> SourceFiles:
        """Look at every file of a source.

        Args:
            places: File and frame of each slice; files that cannot be read are left out.
            files: Headers.
            one_for_all: Keywords that should have one value.
        """
        found, positions = cls(files), []
        first: dict[str, bytes] = {}
        for path, frame in places:
            try:
                view = files.view(path)
            except (DamagedFileError, OSError):
                continue
            values = raw_values(view, one_for_all)
            if not found.places:
                first, found.series_instance_uid = values, view.text("SeriesInstanceUID")
            found.uneven.update(keyword for keyword in values if values[keyword] != first[keyword])
            found.by_name[view.sop_instance_uid, frame] = len(found.places)
            found.places.append((path, frame))
            position = Slice(view, frame).position_mm
            positions.append(position if len(position) == 3 else (np.nan,) * 3)
        found.positions_mm = np.array(positions, dtype=float).reshape(-1, 3)
        return found

    def __len__(self) -> int:
        return len(self.places)

    def slice(self, index: int) -> Slice:
        """One of the slices.

        Args:
            index: Its place among them.

        Raises:
            DamagedFileError, OSError: If its file cannot be read any more.
        """
        return self.files.slice(self.places[index])

    def any(self) -> View | None:
        """The first file; None where there is none."""
        return self.files.view(self.places[0][0]) if self.places else None

    def named_by(self, derived: Slice) -> int | None:
        """Which slice a derived slice says it was made from; None where it names none of these."""
        for item in derived.source_images:
            uid = text_value(item, "ReferencedSOPInstanceUID")
            frame = text_value(item, "ReferencedFrameNumber").split("\\")[0]
            number = int(frame) - 1 if frame.isdigit() else 0
            if (uid, number) in self.by_name:
                return self.by_name[uid, number]
        return None

    def at(self, derived: Slice) -> list[int]:
        """Which slices lie where a derived slice lies."""
        if len(derived.position_mm) != 3 or not len(self.positions_mm):
            return []
        away = np.abs(self.positions_mm - np.array(derived.position_mm)).max(axis=1)
        return [int(index) for index in np.flatnonzero(away <= _SAME_PLACE_MM)]

    def found(self, derived: Slice) -> Found:
        """Which slice a derived slice was made from."""
        named, places = self.named_by(derived), self.at(derived)
        return Found(named, named if named in places else next(iter(places), None))

    def along(self, paths: Sequence[Path]) -> list[Path]:
        """Derived files in the order of the slices that they were made from, then the others."""

        def place(path: Path) -> int:
            try:
                first = next(iter(self.files.view(path).slices()), None)
                index = None if first is None else self.found(first).index
            except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
                index = None
            return len(self.places) if index is None else index

        return sorted(paths, key=place)


@dataclass(frozen=True, slots=True)
class Found:
    """What a derived slice was made from, by its own words and by where it lies.

    Args:
        named: The slice that it names; None where it names none of the source.
        placed: The slice that lies where it lies; the named one, if several do.
    """

    named: int | None
    placed: int | None

    @property
    def index(self) -> int | None:
        """The slice that it is compared with."""
        return self.named if self.placed is None else self.placed


def readable(paths: Iterable[Path], files: Files) -> Iterator[tuple[Path, View | None]]:
    """Files with their headers; None for one that cannot be read.

    Args:
        paths: The files.
        files: Headers.
    """
    for path in paths:
        try:
            yield path, files.view(path)
        except (DamagedFileError, OSError):
            yield path, None


def raw_values(view: View, names: Iterable[str]) -> dict[str, bytes]:
    """Bytes of some attributes; empty where they are missing.

    Args:
        view: A file.
        names: Keywords.
    """
    return {keyword: view.raw(keyword) or b"" for keyword in names}
