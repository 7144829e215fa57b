"""A derived image of several sources: what is checked, and how all of them are named.

The header is that of the first source. `SourceImageSequence` has an item for every source image of
the slice, the first one first, and `ReferencedSeriesSequence` one for every series.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.dicom_codes import SOURCE_IMAGE, code_item
from ctdenoise.io.dicom_enhanced_checks import is_multi_frame
from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom, read_header, transfer_syntax

_ONE_FOR_ALL = (("StudyInstanceUID", "study"), ("FrameOfReferenceUID", "frame of reference"))


def check_one_space(sources: Sequence[SourceSeries]) -> None:
    """Refuse DICOM series that no one derived series can name as its sources.

    Args:
        sources: Two or more series, all of them DICOM.

    Raises:
        StudyError: If they are of several studies or frames of reference, or multi-frame objects.
    """
    problems = [
        f"scan {number} is a multi-frame object"
        for number, source in enumerate(sources, start=1)
        if is_multi_frame(source)
    ]
    with quiet_pydicom():
        headers = [_header(source.instances[0]) for source in sources]
        problems += [
            f"scan {number} is of another {what}"
            for number, header in enumerate(headers[1:], start=2)
            for keyword, what in _ONE_FOR_ALL
            if header.get(keyword) != headers[0].get(keyword)
        ]
    if problems:
        raise StudyError(
            f"no derived DICOM series can be made of these scans:\n{listed(problems)}",
            fix="Write an image file instead, with --format nifti.",
        )


def name_more_sources(header: Dataset, source: SourceSeries, index: int) -> Iterator[Dataset]:
    """Name the images of the other series that went into a slice.

    Args:
        header: The derived header, which names the first source; changed.
        source: The first series with the others.
        index: The slice.

    Yields:
        The header of each of these images, after it was named.

    Raises:
        StudyError: If a file changed or vanished since it was read.
    """
    for other in source.others:
        instance = other.instances[index]
        found = _header(instance)
        if found.get("SOPInstanceUID") != instance.sop_instance_uid:
            raise StudyError("the source file changed since it was read.", where=instance.path)
        _name(header, found)
        yield found


def keep_warnings(header: Dataset, other: Dataset, lossy: Container[str]) -> None:
    """What one source must say of itself, the result must say, too.

    Args:
        header: The derived header; changed.
        other: The header of another source.
        lossy: Transfer syntaxes that may lose something.
    """
    if other.get("LossyImageCompression") == "01" or transfer_syntax(other) in lossy:
        header.LossyImageCompression = "01"
    if other.get("SyntheticData") == "YES":
        header.SyntheticData = "YES"


def _name(header: Dataset, other: Dataset) -> None:
    image = Dataset()
    image.ReferencedSOPClassUID = other.SOPClassUID
    image.ReferencedSOPInstanceUID = other.SOPInstanceUID
    instance = Dataset()
    instance.update(image)
    image.SpatialLocationsPreserved = "YES"
    image.PurposeOfReferenceCodeSequence = DicomSequence([code_item(SOURCE_IMAGE)])
    header.SourceImageSequence.append(image)
    for series in header.ReferencedSeriesSequence:
        if series.SeriesInstanceUID == other.SeriesInstanceUID:
            series.ReferencedInstanceSequence.append(instance)
            return
    series = Dataset()
    series.ReferencedInstanceSequence = DicomSequence([instance])
    series.SeriesInstanceUID = other.SeriesInstanceUID
    header.ReferencedSeriesSequence.append(series)


def _header(instance: SourceInstance) -> Dataset:
    try:
        return read_header(instance.path).dataset
    except (DamagedFileError, OSError) as error:
        raise StudyError(
            "a file of the source series cannot be read again.", where=instance.path
        ) from error
