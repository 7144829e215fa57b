"""CT series that show something else than the patient: what was removed, and a map of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.arrays import BoolArray, FloatArray, HuArray
from ctdenoise.core.scan import Scan
from ctdenoise.io.dicom_derivation import LONG_STRING, PRODUCT
from ctdenoise.io.dicom_derived import number_of
from ctdenoise.io.dicom_encoding import encoded
from ctdenoise.io.dicom_stored import Words
from ctdenoise.io.dicom_writer import DerivedWriter

NOISE_STEP_HU = 0.05
"""Step in which a noise map is stored: 1638 HU fit."""

PADDING_STORED = -32768
"""PixelPaddingValue of these series where the source has one; no difference comes near it."""

_DROPPED = (
    "PixelPaddingRangeLimit",
    "WindowCenterWidthExplanation",
    "VOILUTSequence",
    "VOILUTFunction",
    "ModalityLUTSequence",
    "RealWorldValueMappingSequence",
)


@dataclass(frozen=True, slots=True, eq=False)
class MapSeries:
    """A series of maps that is to be written.

    Args:
        scan: What was read from DICOM, with everything that was done in its history.
        number: Number of the new series.
        settings: How to write it.
        label: What the series is, for its description: "[removed noise]".
        window: Centre and width for display, HU.
        step_hu: HU of one stored step; None for differences, which keep the step of the source.
    """

    scan: Scan
    number: int
    settings: DicomSettings
    label: str
    window: tuple[float, float]
    step_hu: float | None = None


class MapWriter(Protocol):
    """Writes slices that have a scale of their own, on the headers of their source.

    Signed 16 bits, intercept 0, unit HU (PS3.3 C.11.1.1.2), so that negative values have room.
    """

    def write_difference(self, index: int, hu: HuArray, padding: BoolArray | None) -> None:
        """Write source minus result of one slice, exact to the stored step of the source.

        What is written here and the written result add up to the source.

        Args:
            index: The slice.
            hu: The result, Hounsfield units [y, x].
            padding: Which pixels are padding, bool [y, x]; None for none.
        """
        ...

    def write_map(self, index: int, values_hu: FloatArray, padding: BoolArray | None) -> None:
        """Write one slice of a map.

        Args:
            index: The slice.
            values_hu: float32 [y, x].
            padding: Which pixels are padding, bool [y, x]; None for none.
        """
        ...


class MapSeriesWriter:
    """Writes maps as single-frame images; see `MapWriter`.

    Args:
        series: What is written; its scan was read from single-frame images.
        folder: An existing folder.
    """

    def __init__(self, series: MapSeries, folder: Path) -> None:
        self._map, self._folder = series, folder
        self._instances = DerivedWriter(
            series.scan, series_number=series.number, settings=series.settings
        )

    def write_difference(self, index: int, hu: HuArray, padding: BoolArray | None) -> None:
        """See `MapWriter`."""
        header, new, source = self._instances.derived(index, hu, padding)
        slope = number_of(header, "RescaleSlope") or 1.0
        self._write(index, header, slope, map_words(source.astype(np.int64) - new, padding))

    def write_map(self, index: int, values_hu: FloatArray, padding: BoolArray | None) -> None:
        """See `MapWriter`."""
        header, _, _ = self._instances.derived(index, values_hu, padding)
        stored = np.rint(values_hu.astype(np.float64) / NOISE_STEP_HU).astype(np.int64)
        self._write(index, header, NOISE_STEP_HU, map_words(stored, padding))

    def _write(self, index: int, header: Dataset, slope: float, words: Words) -> None:
        describe_pixels(header)
        label_series(header, self._map.label)
        header.RescaleSlope = format_number_as_ds(float(slope))
        header.RescaleIntercept, header.RescaleType = "0", "HU"
        header.WindowCenter, header.WindowWidth = (f"{value:g}" for value in self._map.window)
        data = encoded(header, [words], self._map.settings.transfer_syntax)
        (self._folder / f"{index + 1:05d}.dcm").write_bytes(data)


def map_words(stored: Words, padding: BoolArray | None) -> Words:
    """Stored values of a slice of a map.

    Args:
        stored: Any integers [y, x]; what does not fit into 16 bits becomes the largest that does.
        padding: Which pixels are padding, bool [y, x]; None for none.
    """
    words = np.clip(stored, PADDING_STORED + 1, -PADDING_STORED - 1).astype("<i2")
    if padding is not None:
        words[padding] = PADDING_STORED
    return words


def describe_pixels(header: Dataset) -> None:
    """Signed 16 bits, with a padding value where the source has one.

    Args:
        header: A derived header, to be changed.
    """
    for keyword in _DROPPED:
        header.pop(keyword, None)
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    header.PhotometricInterpretation = "MONOCHROME2"
    if header.pop("PixelPaddingValue", None) is not None:
        header.add_new(0x00280120, "SS", PADDING_STORED)


def label_series(header: Dataset, label: str) -> None:
    """Say in the description of the series what it shows.

    Args:
        header: A derived header, to be changed.
        label: What ends the description.
    """
    old = str(header.SeriesDescription).removesuffix(f"[{PRODUCT}]").strip()
    room = LONG_STRING - len(label) - 1
    header.SeriesDescription = f"{old[:room].rstrip()} {label}".strip()
