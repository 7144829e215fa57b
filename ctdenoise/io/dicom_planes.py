"""The planes of a source as highdicom wants them, and back: each frame refers to its own image.

highdicom takes single-frame images, or one multi-frame object with an orientation for all frames.
A stack may be neither: a part of the frames of several objects, or slices whose orientations agree
within a tolerance only. So each slice is handed over as a small single-frame header of its own,
and what highdicom then says about it is replaced: which image, which frame, and which orientation
and spacing. Positions are those that the source states, to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds

from ctdenoise.core.scan import Scan
from ctdenoise.core.source import SourceInstance
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_attributes import TYPE_2
from ctdenoise.io.dicom_enhanced_checks import frames_by_file
from ctdenoise.io.dicom_file import DamagedFileError, read_header, transfer_syntax
from ctdenoise.io.dicom_identity import source_of
from ctdenoise.io.dicom_uids import new_uid
from ctdenoise.io.dicom_values import HeaderValues
from ctdenoise.io.dicom_writer import LOSSY_METHODS

_ONE_FOR_ALL = (
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("Rows", "Columns", "LossyImageCompression", "LossyImageCompressionMethod"),
    *("LossyImageCompressionRatio",),
)
_GEOMETRY = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "SliceThickness": 1,
}
"""Numbers that each slice states for itself, and how many."""

_MEASURES = ("PixelSpacing", "SliceThickness")


@dataclass(slots=True)
class Planes:
    """The slices of a stack, one header each.

    Args:
        headers: For highdicom, in the order of the stack.
        images: Reference to the image of each, by the SOPInstanceUID of its header.
        own: What each states of its own orientation and spacing, by the same name; the headers
            have that of the first.
    """

    headers: list[Dataset] = field(default_factory=list)
    images: dict[str, Dataset] = field(default_factory=dict)
    own: dict[str, Dataset] = field(default_factory=dict)

    def refer(self, built: Dataset) -> None:
        """Replace what highdicom says about the headers by what is true of the images.

        Args:
            built: What it built over the headers, to be changed.
        """
        references = _without_frames(self.images.values())
        built.SourceImageSequence = DicomSequence(references)
        for series in built.ReferencedSeriesSequence:
            series.ReferencedInstanceSequence = DicomSequence(_without_frames(references))
        frames, items = [], []
        for group in built.PerFrameFunctionalGroupsSequence:
            (item,) = group.DerivationImageSequence[0].SourceImageSequence
            frames.append((group, self.own[item.ReferencedSOPInstanceUID]))
            items.append((item, self.images[item.ReferencedSOPInstanceUID]))
        for item, image in items:  # segments share their items, so only now
            item.update(image)
        shared = built.SharedFunctionalGroupsSequence[0]
        for sequence, keywords in (
            ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
            ("PixelMeasuresSequence", _MEASURES),
        ):
            if self._vary(keywords):
                _move(shared, frames, sequence, keywords)

    def as_single_pixels(self) -> Planes:
        """The same with headers of pictures of one pixel, so that highdicom need not hold more."""
        for header in self.headers:
            header.Rows = header.Columns = 1
        return self

    def frames_of(self, built: Dataset) -> list[tuple[int, int]]:
        """Slice and segment of each frame, in order; segment 0 where there are none.

        Args:
            built: What highdicom built over the headers, before `refer`.
        """
        order = {header.SOPInstanceUID: index for index, header in enumerate(self.headers)}
        (shared,) = built.SharedFunctionalGroupsSequence
        frames = []
        for group in built.PerFrameFunctionalGroupsSequence:
            (item,) = group.DerivationImageSequence[0].SourceImageSequence
            named = group if "SegmentIdentificationSequence" in group else shared
            segments = named.get("SegmentIdentificationSequence")
            number = int(segments[0].ReferencedSegmentNumber) if segments else 0
            frames.append((order[item.ReferencedSOPInstanceUID], number))
        return frames

    def _vary(self, keywords: Sequence[str]) -> bool:
        return any(
            own.get(keyword) != self.headers[0].get(keyword)
            for own in self.own.values()
            for keyword in keywords
        )


def planes_of(scan: Scan) -> Planes:
    """The planes of what a scan was read from.

    Args:
        scan: What was read from DICOM.

    Raises:
        StudyError: If a source file changed or vanished since it was read.
    """
    planes, found = Planes(), {}
    source = source_of(scan)
    for instances in frames_by_file(source).values():
        dataset = _header_of(instances[0])
        for instance in instances:
            found[instance.sop_instance_uid, instance.frame] = _plane(dataset, instance)
    for instance in source.instances:
        header, image = found[instance.sop_instance_uid, instance.frame]
        planes.headers.append(header)
        planes.images[header.SOPInstanceUID] = image
        own = planes.own[header.SOPInstanceUID] = Dataset()
        for keyword in ("ImageOrientationPatient", *_MEASURES):
            setattr(own, keyword, header.get(keyword))
            setattr(header, keyword, planes.headers[0].get(keyword))
    for keyword in TYPE_2:  # highdicom asks the first for each; they are filled in afterwards
        if keyword not in planes.headers[0]:
            setattr(planes.headers[0], keyword, None)
    return planes


def _header_of(instance: SourceInstance) -> Dataset:
    try:
        header = read_header(instance.path).dataset
    except (DamagedFileError, OSError) as error:
        raise StudyError(
            "a file of the source series cannot be read again.", where=instance.path
        ) from error
    if header.get("SOPInstanceUID") != instance.sop_instance_uid:
        raise StudyError("the source file changed since it was read.", where=instance.path)
    return header


def _plane(dataset: Dataset, instance: SourceInstance) -> tuple[Dataset, Dataset]:
    """The header of a slice, and the reference to its image."""
    out, image = Dataset(), Dataset()
    for keyword in _ONE_FOR_ALL:
        if keyword in dataset:
            setattr(out, keyword, dataset[keyword].value)
    values = HeaderValues(dataset, list(_groups(dataset, instance.frame)))
    method = LOSSY_METHODS.get(transfer_syntax(dataset))
    if method is not None and out.get("LossyImageCompression") != "01":  # the header did not know
        bits = int(dataset.BitsAllocated) * int(dataset.get("NumberOfFrames") or 1)
        size = int(dataset.Rows) * int(dataset.Columns) * bits / 8
        out.LossyImageCompression, out.LossyImageCompressionMethod = "01", method
        ratio = round(size / instance.path.stat().st_size, 2)
        out.LossyImageCompressionRatio = format_number_as_ds(ratio)
    for keyword, count in _GEOMETRY.items():
        numbers = values.floats(keyword, count)
        if numbers is not None:
            texts = [format_number_as_ds(number) for number in numbers]
            setattr(out, keyword, texts if count > 1 else texts[0])
    out.SOPClassUID = CTImageStorage
    out.SOPInstanceUID = instance.sop_instance_uid
    image.ReferencedSOPClassUID = dataset.SOPClassUID
    image.ReferencedSOPInstanceUID = instance.sop_instance_uid
    if instance.frame is not None:
        out.SOPInstanceUID = new_uid("plane", instance.sop_instance_uid, str(instance.frame))
        image.ReferencedFrameNumber = instance.frame + 1
    return out, image


def _groups(dataset: Dataset, frame: int | None) -> Iterator[Dataset]:
    """Functional groups of a frame: its own, then the shared ones."""
    if frame is not None:
        yield from list(dataset.get("PerFrameFunctionalGroupsSequence") or ())[frame : frame + 1]
        yield from list(dataset.get("SharedFunctionalGroupsSequence") or ())[:1]


def _without_frames(images: Iterable[Dataset]) -> list[Dataset]:
    """One reference to each image, whatever its frames."""
    found: dict[str, Dataset] = {}
    for image in images:
        one = Dataset()
        one.ReferencedSOPClassUID = image.ReferencedSOPClassUID
        one.ReferencedSOPInstanceUID = image.ReferencedSOPInstanceUID
        found[str(image.ReferencedSOPInstanceUID)] = one
    return list(found.values())


def _move(
    shared: Dataset,
    frames: Sequence[tuple[Dataset, Dataset]],
    sequence: str,
    keywords: Sequence[str],
) -> None:
    """Give each frame a functional group of its own in place of the shared one (C.7.6.16.1.1)."""
    (common,) = shared[sequence].value
    del shared[sequence]
    for group, own in frames:
        item = Dataset()
        for element in common:
            if element.keyword not in keywords:
                item.add(element)
        for keyword in keywords:
            setattr(item, keyword, own.get(keyword))
        setattr(group, sequence, DicomSequence([item]))
