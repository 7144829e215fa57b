"""What tells a derived series from all others: its UID, and a number that no neighbour has."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from pydicom.uid import UID

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import digest
from ctdenoise.core.scan import Scan
from ctdenoise.core.source import SourceSeries
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_derivation import derivation_of
from ctdenoise.io.dicom_derived import number_of
from ctdenoise.io.dicom_file import DamagedFileError, looks_like_dicom, quiet_pydicom, read_header
from ctdenoise.io.dicom_uids import new_uid

SERIES_NUMBER_STEP = 1000
"""A derived series has the number of its source plus this, or the next free one."""

_NEIGHBOURS_MOST = 4096  # files beside the source that are looked at for a taken series number
_INTEGER_MOST = 2**31 - 1


def source_of(scan: Scan) -> SourceSeries:
    """The DICOM series that a scan was read from.

    Raises:
        StudyError: If it was read from something else.
    """
    if scan.source is None or scan.source.kind != "dicom":
        raise StudyError("the volume was not read from DICOM, so no series is derived from it.")
    return scan.source


def stack_key(source: SourceSeries) -> str:
    """A digest of which slices of a series are written, in order; part of every new UID.

    Args:
        source: A DICOM series.
    """
    return digest(
        [
            one.sop_instance_uid if one.frame is None else f"{one.sop_instance_uid}#{one.frame}"
            for series in (source, *source.others)
            for one in series.instances
        ]
    )


def series_uid(scan: Scan, settings: DicomSettings | None = None) -> UID:
    """SeriesInstanceUID of what is derived from a scan.

    Args:
        scan: Something read from DICOM; its history says what was done since.
        settings: How it is written; what changes attributes makes another series.
    """
    source, key = source_of(scan), derivation_of(scan.history, settings).key
    return new_uid("series", source.series_instance_uid, stack_key(source), key)


def free_series_numbers(
    scans: Sequence[Scan], settings: DicomSettings | None = None
) -> tuple[int, ...]:
    """A number of its own for each series to be derived from one source.

    The source's number plus SERIES_NUMBER_STEP, or the next that no other series has whose files
    lie beside the source. A number that the settings name is taken as it is, and the ones after it.

    Args:
        scans: What was read from one source, each with its own history.
        settings: How they are written.

    Raises:
        StudyError: If a file of the source vanished since it was read.
    """
    settings = settings or DicomSettings()
    if settings.series_number is not None:
        return numbers_from(settings.series_number, len(scans))
    source = source_of(scans[0])
    try:
        first = read_header(source.instances[0].path).dataset
    except (DamagedFileError, OSError) as error:
        raise StudyError(
            "a file of the source series cannot be read again.", where=source.instances[0].path
        ) from error
    with quiet_pydicom():
        number = int(number_of(first, "SeriesNumber") or 0) + SERIES_NUMBER_STEP
        if not 0 <= number < _INTEGER_MOST - len(scans):
            number = SERIES_NUMBER_STEP
        own = {str(series_uid(scan, settings)) for scan in scans}
        taken = _numbers_beside(source, own)
    numbers: list[int] = []
    for _ in scans:
        while number in taken:
            number += 1
        numbers.append(number)
        taken.add(number)
    return tuple(numbers)


def numbers_from(first: int, count: int) -> tuple[int, ...]:
    """Consecutive series numbers, the last of which still is one.

    Args:
        first: The number asked for.
        count: How many.
    """
    first = min(first, _INTEGER_MOST - count + 1)
    return tuple(range(first, first + count))


def _numbers_beside(source: SourceSeries, own_series: AbstractSet[str]) -> set[int]:
    """Series numbers of the other series of the study whose files lie beside the source's."""
    known = {instance.path for instance in source.instances}
    folders = sorted({path.parent for path in known})
    others = [p for folder in folders for p in sorted(folder.iterdir()) if p not in known]
    taken: set[int] = set()
    for path in others[:_NEIGHBOURS_MOST]:
        try:
            if not path.is_file() or not looks_like_dicom(path):
                continue
            dataset = read_header(path).dataset
            if dataset.get("StudyInstanceUID") != source.study_instance_uid:
                continue
            number = number_of(dataset, "SeriesNumber")
            if number is not None and dataset.get("SeriesInstanceUID") not in own_series:
                taken.add(int(number))
        except (DamagedFileError, OSError):
            continue
    return taken
