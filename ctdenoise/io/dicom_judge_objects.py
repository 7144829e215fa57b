"""A judge of what is written beside a derived series: labels, removed noise, maps.

Like `dicom_judge`, it reads again what was written and shares nothing with the code that writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.arrays import BoolArray, LabelArray, StoredArray
from ctdenoise.core.source import SourceSeries
from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom
from ctdenoise.io.dicom_judge import Expected, judge_series, refuse
from ctdenoise.io.dicom_judge_encoding import judge_file
from ctdenoise.io.dicom_judge_files import Files, Place
from ctdenoise.io.dicom_judge_objections import Objection, Objections
from ctdenoise.io.dicom_judge_pixels import PixelReader
from ctdenoise.io.dicom_judge_source import judge_subject
from ctdenoise.io.dicom_judge_view import Slice, View, items_of, numbers_of, text_value
from ctdenoise.io.dicom_pixels import without_unused_bits
from ctdenoise.io.slice_file import SliceFile

_PLACE = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
}
_LARGEST = 32767  # what a difference that does not fit becomes
_MAP_STEP_HU = 0.05

Name = tuple[str, int]
"""SOPInstanceUID and zero-based frame of a source image."""


class ObjectJudge:
    """Judges what lies beside a derived series, and refuses what is not right.

    Args:
        source: What everything was derived from.
        settings: How it was to be written.
    """

    def __init__(self, source: SourceSeries, settings: DicomSettings) -> None:
        self._places = [(one.path, one.frame or 0) for one in source.instances]
        self._settings, self._files = settings, Files()
        with quiet_pydicom():
            self._source = {
                (self._files.view(path).sop_instance_uid, frame): (path, frame)
                for path, frame in self._places
            }

    @property
    def _any(self) -> View:
        return self._files.view(self._places[0][0])

    def judge_removed(self, removed: Sequence[Path], result: Sequence[Path]) -> None:
        """Refuse removed noise that does not add up with the result to the source.

        Args:
            removed: Files of the series of removed noise.
            result: Files of the denoised series.

        Raises:
            OutputError: With every error.
        """
        objections = Objections("ours")
        reader = [PixelReader(), PixelReader(), PixelReader()]
        written = Files()
        with quiet_pydicom():
            differences, images = _by_source(removed, written), _by_source(result, written)
            for name, source in self._source.items():
                if name not in differences or name not in images:
                    continue  # a missing slice, which `judge_series` tells
                image, difference = images[name], differences[name]
                slices = [
                    self._files.slice(source),
                    written.slice(image),
                    written.slice(difference),
                ]
                words = [_values(one, reading) for one, reading in zip(slices, reader, strict=True)]
                if not _adds_up(slices, words):
                    objections.add("removed-noise", slices[2].path)
        refuse([*self._series(removed), *objections.sorted()])

    def judge_map(self, paths: Sequence[Path]) -> None:
        """Refuse a CT series of a map that is not on its scale.

        Args:
            paths: Its files.

        Raises:
            OutputError: With every error.
        """
        objections, reader, written = Objections("ours"), PixelReader(), Files()
        with quiet_pydicom():
            for place in _by_source(paths, written).values():
                one = written.slice(place)
                words = _values(one, reader)
                image = np.ones(words.shape, bool)
                if one.padding is not None:
                    image = words != one.padding[0]
                if one.rescale != (_MAP_STEP_HU, 0.0) or (words[image] < 0).any():
                    objections.add("map-scale", one.path)
        refuse([*self._series(paths), *objections.sorted()])

    def judge_parametric_map(self, path: Path) -> None:
        """Refuse a Parametric Map that does not lie over the source, or is not on its scale.

        Args:
            path: The object.

        Raises:
            OutputError: With every error.
        """
        objections = Objections("ours")
        with quiet_pydicom():
            view = self._judge_object(path, objections)
            names = [name for name, _ in self._frames(view, objections)]
            if sorted(names) != sorted(self._source):
                objections.add("missing-slice", path)
            shared = view.items("SharedFunctionalGroupsSequence")[:1]
            mappings = [
                item for one in shared for item in items_of(one, "RealWorldValueMappingSequence")
            ]
            scales = [
                (numbers_of(item, "RealWorldValueSlope"), numbers_of(item, key))
                for item in mappings
                for key in ("RealWorldValueIntercept",)
            ]
            if scales != [((_MAP_STEP_HU,), (0.0,))]:
                objections.add("map-scale", path)
        refuse(objections.sorted())

    def judge_segmentation(self, path: Path, labels: LabelArray | SliceFile) -> None:
        """Refuse a Segmentation that does not lie over the source, or has other voxels.

        Args:
            path: The object.
            labels: Classes, uint8 [z, y, x], in the order of the source.

        Raises:
            OutputError: With every error.
        """
        objections = Objections("ours")
        order = {name: index for index, name in enumerate(self._source)}
        with quiet_pydicom():
            view = self._judge_object(path, objections)
            size = labels.shape[1] * labels.shape[2]
            left = {
                (index, int(number)): int(count)
                for index in range(len(labels))
                for number, count in zip(*np.unique(labels[index], return_counts=True), strict=True)
                if number
            }
            for place, (name, group) in enumerate(self._frames(view, objections)):
                index, number = order[name], _segment(group, view)
                if not np.array_equal(_bits(view, place, size), labels[index].ravel() == number):
                    objections.add("labels", path, f"segment {number}")
                left.pop((index, number), None)
            objections.add_each("labels", path, {f"segment {number}" for _, number in left})
        refuse(objections.sorted())

    def _series(self, paths: Sequence[Path]) -> tuple[Objection, ...]:
        return judge_series(paths, self._places, Expected("ours", self._settings))

    def _judge_object(self, path: Path, objections: Objections) -> View:
        """What concerns the whole object: file, patient, study, identities."""
        view = View(path)
        judge_file(view, objections)
        judge_subject(view, self._any, objections)
        reused = [
            keyword
            for keyword in ("SOPInstanceUID", "SeriesInstanceUID")
            if view.text(keyword) == self._any.text(keyword)
        ]
        objections.add_each("identity-reused", path, reused)
        named = {
            text_value(item, "ReferencedSOPInstanceUID")
            for series in view.items("ReferencedSeriesSequence")
            for item in items_of(series, "ReferencedInstanceSequence")
        }
        if named != {uid for uid, _ in self._source}:
            objections.add("series-reference", path)
        return view

    def _frames(self, view: View, objections: Objections) -> Iterator[tuple[Name, Dataset]]:
        """The source image and the functional groups of each frame that lies over it."""
        shared = view.items("SharedFunctionalGroupsSequence")[:1]
        for group in view.items("PerFrameFunctionalGroupsSequence"):
            name = _named_by(group)
            if name not in self._source:
                objections.add("source-reference", view.path)
                continue
            source = self._files.slice(self._source[name])
            moved = [
                keyword
                for keyword, sequence in _PLACE.items()
                if _numbers(group, shared, sequence, keyword) != source.numbers(keyword)
            ]
            objections.add_each("geometry", view.path, moved)
            yield name, group


def _by_source(paths: Iterable[Path], files: Files) -> dict[Name, Place]:
    """Derived slices by the source image that they name."""
    found = {}
    for path in paths:
        for one in files.view(path).slices():
            for item in one.source_images:
                found[_name(item)] = (path, one.frame)
    return found


def _bits(view: View, place: int, size: int) -> BoolArray:
    """The pixels of one frame of one bit a pixel; frames begin anywhere in a byte."""
    first, last = place * size // 8, -(-(place + 1) * size // 8)
    start = view.header.pixel_start
    if start is None:
        raise DamagedFileError("its pixel data are not native")
    data = np.fromfile(view.path, np.uint8, last - first, offset=start + first)
    bits = np.unpackbits(data, bitorder="little")
    skipped = place * size - first * 8
    return bits[skipped : skipped + size].astype(np.bool_)


def _name(item: Dataset) -> Name:
    frame = text_value(item, "ReferencedFrameNumber")
    uid = text_value(item, "ReferencedSOPInstanceUID")
    return (uid, int(frame) - 1 if frame.isdigit() else 0)


def _named_by(group: Dataset) -> Name:
    items = [
        item
        for derivation in items_of(group, "DerivationImageSequence")
        for item in items_of(derivation, "SourceImageSequence")
    ]
    return _name(items[0]) if len(items) == 1 else ("", 0)


def _numbers(
    group: Dataset, shared: Sequence[Dataset], sequence: str, keyword: str
) -> tuple[float, ...]:
    items = [item for one in (group, *shared) for item in items_of(one, sequence)]
    return numbers_of(items[0], keyword) if items else ()


def _segment(group: Dataset, view: View) -> int:
    """Number of the segment of a frame, which a single segment has in the shared groups."""
    shared = view.items("SharedFunctionalGroupsSequence")[:1]
    numbers = _numbers(group, shared, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    return int(numbers[0]) if numbers else 0


def _values(one: Slice, reader: PixelReader) -> StoredArray:
    """Stored values [y, x], in a type that differences fit into."""
    view = one.view
    allocated = view.integer("BitsAllocated") or 16
    words = reader.words(one)
    stored = without_unused_bits(
        words, allocated=allocated, stored=view.integer("BitsStored") or allocated
    )
    values: StoredArray = stored.astype(np.int64)
    return values


def _adds_up(slices: Sequence[Slice], words: Sequence[StoredArray]) -> bool:
    """Whether source minus result is what was removed, with its slope; padding stays padding."""
    source, image, difference = words
    old, new = slices[0].rescale, slices[2].rescale
    if old is None or new is None or new != (old[0], 0.0):
        return False
    is_image = np.ones(source.shape, bool)
    if slices[0].padding is not None:
        first, last = slices[0].padding
        is_image = (source < first) | (source > last)
        value = slices[2].padding
        if value is None or (difference[~is_image] != value[0]).any():
            return False
    expected = np.clip(source - image, -_LARGEST, _LARGEST)
    return bool((difference[is_image] == expected[is_image]).all())
