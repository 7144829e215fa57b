"""DICOMDIR: the list of the files of an exported medium (PS3.3 F, PS3.10 8.6).

What it lists is followed inside its own folder only; an entry that leads out of it, by its words or
by a link, is counted and left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, MutableSequence, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from ctdenoise.io.dicom_file import DamagedFileError, looks_like_dicom, read_header
from ctdenoise.io.dicom_kinds import DICOMDIR
from ctdenoise.io.dicom_values import HeaderValues
from ctdenoise.io.finding import Finding, warning

DIRECTORY_NAME = "DICOMDIR"

_IN_USE = 0xFFFF
"""RecordInUseFlag of a record that counts; 0 marks a deleted one (retired in PS3.3)."""

_FORBIDDEN = frozenset("/\\\0:")
"""No component of a ReferencedFileID holds these; a path that does leads elsewhere."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a DICOMDIR lists.

    Args:
        files: Files that are there, inside its folder, in the order listed.
        absent: How many files of each SeriesInstanceUID are not there; "" where none is named.
        outside: How many entries of each lead out of its folder.
    """

    files: tuple[Path, ...] = ()
    absent: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)

    def findings(self, series: str) -> tuple[Finding, ...]:
        """What one series must say about its entries.

        Args:
            series: SeriesInstanceUID.
        """
        found = []
        absent, outside = (count[series] + count[""] for count in (self.absent, self.outside))
        if absent:
            text = f"{absent} files that the DICOMDIR lists with it are not there"
            found.append(warning("files-missing", text))
        if outside:
            text = f"{outside} entries of the DICOMDIR lead out of its folder; not followed"
            found.append(warning("files-outside", text))
        return tuple(found)


def is_directory_file(path: Path) -> bool:
    """Whether a file is a DICOMDIR, by its name or by what it says. Call in `quiet_pydicom`.

    Args:
        path: Any file.
    """
    if path.name.upper() == DIRECTORY_NAME:
        return True
    try:
        if not looks_like_dicom(path):
            return False
        meta = read_header(path).dataset.file_meta
    except (DamagedFileError, OSError):
        return False
    return HeaderValues(meta, ()).text("MediaStorageSOPClassUID") == DICOMDIR


def read_directory(path: Path) -> Listed:
    """What a DICOMDIR lists. Call within `quiet_pydicom`.

    Args:
        path: The DICOMDIR.

    Raises:
        DamagedFileError: If it cannot be parsed or is no DICOMDIR.
    """
    if not looks_like_dicom(path):
        raise DamagedFileError("it is no DICOM file")
    dataset = read_header(path).dataset
    records = HeaderValues(dataset, ()).items("DirectoryRecordSequence")
    if not records:
        raise DamagedFileError("it lists no files")
    series = _series_of_records(dataset, records)
    root = path.parent.resolve()
    listed = Listed()
    files: dict[Path, None] = {}
    for place, record in enumerate(records):
        parts = _parts(record)
        if not parts:
            continue
        found = _inside(root, parts) if _are_plain(parts) else None
        if found is not None:
            files[path.parent / found] = None
        elif _are_plain(parts) and not _exists_by_name(root, parts):
            listed.absent[series.get(place, "")] += 1
        else:
            listed.outside[series.get(place, "")] += 1
    return Listed(tuple(files), listed.absent, listed.outside)


def _parts(record: Dataset) -> list[str]:
    """Components of the file that a record points to; none if it points to none or is deleted."""
    values = HeaderValues(record, ())
    if values.whole("RecordInUseFlag", _IN_USE) == 0:
        return []
    value = values.raw("ReferencedFileID")
    if isinstance(value, MutableSequence):
        return [str(part) for part in value]
    return [value] if isinstance(value, str) else []


def _are_plain(parts: Sequence[str]) -> bool:
    return all(part not in ("", ".", "..") and not _FORBIDDEN.intersection(part) for part in parts)


def _inside(root: Path, parts: Sequence[str]) -> Path | None:
    """The file below the root, relative to it; None if there is none or a link leads out."""
    place = _by_name(root, parts)
    if place is None or not place.is_file():
        return None
    return place.relative_to(root) if place.resolve().is_relative_to(root) else None


def _exists_by_name(root: Path, parts: Sequence[str]) -> bool:
    place = _by_name(root, parts)
    return place is not None and place.is_file()


def _by_name(root: Path, parts: Sequence[str]) -> Path | None:
    """A file by its components, in whatever case a copy of the medium wrote them."""
    place = root
    for part in parts:
        spelt = (part, part.lower(), part.upper())
        place = next((place / name for name in spelt if (place / name).exists()), place / part)
        if not place.exists():
            return None
    return place


def _series_of_records(dataset: Dataset, records: Sequence[Dataset]) -> dict[int, str]:
    """SeriesInstanceUID above each record that can be reached from the root by its offsets."""
    places = {getattr(record, "seq_item_tell", None): i for i, record in enumerate(records)}
    first = HeaderValues(dataset, ()).whole(
        "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity"
    )
    series: dict[int, str] = {}
    waiting = [(first, "")]
    while waiting:
        offset, above = waiting.pop()
        place = places.get(offset)
        if place is None or place in series:
            continue
        values = HeaderValues(records[place], ())
        own = values.text("SeriesInstanceUID") or above
        series[place] = own
        waiting.append((values.whole("OffsetOfTheNextDirectoryRecord"), above))
        waiting.append((values.whole("OffsetOfReferencedLowerLevelDirectoryEntity"), own))
    return series


def merged(listings: Iterable[Listed]) -> Listed:
    """What several DICOMDIRs list.

    Args:
        listings: One of each.
    """
    files: dict[Path, None] = {}
    absent: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for one in listings:
        files |= dict.fromkeys(one.files)
        absent += one.absent
        outside += one.outside
    return Listed(tuple(files), absent, outside)
