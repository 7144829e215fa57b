"""CT series that show something else than the patient: what was removed, and a map of its noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
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
)


class MapSeriesWriter:
    """Writes a series on the headers of the source whose pixels have a scale of their own.

    Signed 16 bits, intercept 0, unit HU (PS3.3 C.11.1.1.2), so that negative values have room.

    Args:
        scan: What was read from DICOM, with everything that was done in its history.
        folder: An existing folder.
        series_number: Number of the new series.
        settings: How to write it.
        label: What the series is, for its description: "[removed noise]".
        window: Centre and width for display, HU.
    """

    def __init__(
        self,
        scan: Scan,
        folder: Path,
        *,
        series_number: int,
        settings: DicomSettings,
        label: str,
        window: tuple[float, float],
    ) -> None:
        self._instances = DerivedWriter(scan, series_number=series_number, settings=settings)
        self._syntax = settings.transfer_syntax
        self._folder, self._label, self._window = folder, label, window

    def write_difference(self, index: int, result: CTVolume) -> None:
        """Write source minus result of one slice, exact to the stored step of the source.

        What is written here and the written result add up to the source.

        Args:
            index: The slice.
            result: The whole result.
        """
        padding = None if result.padding is None else result.padding[index]
        header, new, source = self._instances.derived(index, result.hu[index], padding)
        difference = source.astype(np.int64) - new
        slope = number_of(header, "RescaleSlope") or 1.0
        self._write(index, header, difference, slope, padding)

    def write_map(self, index: int, values_hu: FloatArray, result: CTVolume) -> None:
        """Write one slice of a map.

        Args:
            index: The slice.
            values_hu: float32 [y, x].
            result: The whole result that the map belongs to.
        """
        padding = None if result.padding is None else result.padding[index]
        header, _, _ = self._instances.derived(index, result.hu[index], padding)
        stored = np.rint(values_hu.astype(np.float64) / NOISE_STEP_HU).astype(np.int64)
        self._write(index, header, stored, NOISE_STEP_HU, padding)

    def _write(
        self,
        index: int,
        header: Dataset,
        stored: Words,
        slope: float,
        padding: FloatArray | None,
    ) -> None:
        words = np.clip(stored, PADDING_STORED + 1, -PADDING_STORED - 1).astype("<i2")
        if padding is not None:
            words[padding] = PADDING_STORED
        self._describe(header, slope)
        name = f"{index + 1:05d}.dcm"
        (self._folder / name).write_bytes(encoded(header, [words], self._syntax))

    def _describe(self, header: Dataset, slope: float) -> None:
        for keyword in _DROPPED:
            header.pop(keyword, None)
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit, header.PixelRepresentation = 15, 1
        header.PhotometricInterpretation = "MONOCHROME2"
        header.RescaleSlope = format_number_as_ds(float(slope))
        header.RescaleIntercept, header.RescaleType = "0", "HU"
        header.WindowCenter, header.WindowWidth = (f"{value:g}" for value in self._window)
        if header.pop("PixelPaddingValue", None) is not None:
            header.add_new(0x00280120, "SS", PADDING_STORED)
        old = str(header.SeriesDescription).removesuffix(f"[{PRODUCT}]").strip()
        room = LONG_STRING - len(self._label) - 1
        header.SeriesDescription = f"{old[:room].rstrip()} {self._label}".strip()
