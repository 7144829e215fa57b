"""Multi-frame objects that show something else than the patient: removed noise, and maps of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.valuerep import format_number_as_ds

from ctdenoise.core.arrays import BoolArray, FloatArray, HuArray
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_derived import number_of
from ctdenoise.io.dicom_enhanced_writer import DerivedObject, derived_objects
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.io.dicom_identity import source_of
from ctdenoise.io.dicom_maps import (
    NOISE_STEP_HU,
    MapSeries,
    describe_pixels,
    label_series,
    map_words,
)
from ctdenoise.io.dicom_pixels import without_unused_bits
from ctdenoise.io.dicom_stored import Words, stored_from_hu
from ctdenoise.io.dicom_writer import scale_of


class MultiFrameMapWriter:
    """Writes maps as multi-frame objects, one for each object of the source, frame by frame.

    Slices are to be written in the order of the stack, each as a difference or each as a map.

    Args:
        series: What is written; its scan was read from multi-frame objects.
        folder: An existing folder.

    Raises:
        StudyError: If a source file changed or vanished since it was read.
    """

    def __init__(self, series: MapSeries, folder: Path) -> None:
        self._map = series
        self._instances = source_of(series.scan).instances
        self._objects = derived_objects(
            series.scan,
            folder,
            series_number=series.number,
            settings=series.settings,
            describe=self._describe,
        )

    def write_difference(self, index: int, hu: HuArray, padding: BoolArray | None) -> None:
        """See `MapWriter`."""
        with quiet_pydicom():
            one, old = self._source(index)
            header = one.slice_of(self._instances[index])
            stored = without_unused_bits(
                old, allocated=header.bits_allocated, stored=header.bits_stored
            )
            new = stored_from_hu(
                hu,
                scale_of(header),
                source=stored,
                source_words=old,
                padding=padding,
            )
            one.append(map_words(stored.astype(np.int64) - new, padding))

    def write_map(self, index: int, values_hu: FloatArray, padding: BoolArray | None) -> None:
        """See `MapWriter`."""
        stored = np.rint(values_hu.astype(np.float64) / NOISE_STEP_HU).astype(np.int64)
        with quiet_pydicom():
            self._objects[self._instances[index].path].append(map_words(stored, padding))

    def _source(self, index: int) -> tuple[DerivedObject, Words]:
        """The object of a slice, and its allocated words in the source."""
        instance = self._instances[index]
        one = self._objects[instance.path]
        words = one.source_words([instance.frame or 0], always=True)
        found = None if words is None else next(words, None)
        if found is None:
            raise StudyError(
                "the pixels of a source file cannot be read again.", where=instance.path
            )
        return one, found

    def _describe(self, header: Dataset) -> None:
        """Give an object the scale of the map, in the groups of every frame (C.7.6.16.2.9)."""
        describe_pixels(header)
        label_series(header, self._map.label)
        shared = header.SharedFunctionalGroupsSequence[0]
        groups = [shared, *header.PerFrameFunctionalGroupsSequence]
        for item in _items(groups, "PixelValueTransformationSequence"):
            slope = self._map.step_hu or number_of(item, "RescaleSlope") or 1.0
            item.RescaleSlope = format_number_as_ds(float(slope))
            item.RescaleIntercept, item.RescaleType = "0", "HU"
        for group in groups:
            group.pop("FrameVOILUTSequence", None)
            group.pop("RealWorldValueMappingSequence", None)
        window = Dataset()
        window.WindowCenter, window.WindowWidth = (f"{value:g}" for value in self._map.window)
        shared.FrameVOILUTSequence = DicomSequence([window])
        for kind in (header, *_items(groups, "CTImageFrameTypeSequence")):
            self._set_contrast(kind)

    def _set_contrast(self, kind: Dataset) -> None:
        """Value 4 of the type of an object or a frame: how its pixels came about (C.8.16.1.4)."""
        for keyword in ("ImageType", "FrameType"):
            values = list(kind.get(keyword) or ())
            if values[3:4] == ["FILTERED"]:
                contrast = "STD_DEVIATION" if self._map.step_hu else "SUBTRACTION"
                setattr(kind, keyword, [*values[:3], contrast])


def _items(groups: list[Dataset], keyword: str) -> Iterator[Dataset]:
    for group in groups:
        yield from group.get(keyword) or ()
