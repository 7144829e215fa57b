"""Maps that `infer` writes beside the denoised images: values around every pixel, HU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.arrays import BoolArray, FloatArray, HuArray
from ctdenoise.core.scan import Scan
from ctdenoise.inference.denoiser import Denoised
from ctdenoise.inference.method import Block
from ctdenoise.io.dicom_enhanced_checks import is_multi_frame
from ctdenoise.io.dicom_enhanced_maps import MultiFrameMapWriter
from ctdenoise.io.dicom_identity import source_of
from ctdenoise.io.dicom_judge_objects import ObjectJudge
from ctdenoise.io.dicom_maps import NOISE_STEP_HU, MapSeries, MapSeriesWriter, MapWriter
from ctdenoise.io.dicom_objects import write_parametric_map
from ctdenoise.io.slice_file import SliceFile

_WINDOW = (20.0, 40.0)
_LARGEST_STEP = 65535


@dataclass(frozen=True, slots=True, eq=False)
class ShownMap:
    """A map that is to be written.

    Args:
        name: Of its folder, or its image file.
        how: "pm", a DICOM Parametric Map, or "ct", a CT series.
        scan: What was read, with the history of the map.
        quantity: What it shows, in words.
        label: The same, short, for the description of its series.
        values: The map of a block of slices, HU, float32 [z, y, x].
    """

    name: str
    how: str
    scan: Scan
    quantity: str
    label: str
    values: Callable[[Block, Denoised], HuArray]


class DicomMap:
    """Writes a map as DICOM, slice by slice.

    Args:
        shown: The map.
        folder: Where its folder is made.
        number: Of its series.
        settings: How DICOM is written.
        waiting: A file of slices of some type, for what can be written only when all are known.
    """

    def __init__(
        self,
        shown: ShownMap,
        folder: Path,
        *,
        number: int,
        settings: DicomSettings,
        waiting: Callable[[str, type[np.number]], SliceFile],
    ) -> None:
        self._shown, self._folder = shown, folder / shown.name
        self._number, self._settings = number, settings
        self._steps = waiting(shown.name, np.uint16) if shown.how == "pm" else None
        self._series: MapWriter | None = None
        if shown.how == "ct":
            series = MapSeries(shown.scan, number, settings, shown.label, _WINDOW, NOISE_STEP_HU)
            self._series = series_writer(series, self._folder)

    def write(self, block: Block, denoised: Denoised) -> None:
        """Take the next slices.

        Args:
            block: The slices.
            denoised: What was made of them.
        """
        padding = denoised.volume.padding
        for index, values in enumerate(self._shown.values(block, denoised)):
            outside = None if padding is None else padding[index]
            self._write(block.places[index], values, outside)

    def _write(self, place: int, values: FloatArray, padding: BoolArray | None) -> None:
        if self._series is not None:
            self._series.write_map(place, values, padding)
        elif self._steps is not None:
            steps = np.rint(values.astype(np.float64) / NOISE_STEP_HU)
            self._steps.append(np.clip(steps, 0, _LARGEST_STEP)[np.newaxis])

    def finish(self) -> str:
        """Write what could not be written before; returns the folder."""
        if self._steps is not None:
            write_parametric_map(
                self._folder,
                self._shown.scan,
                self._steps,
                explanation=self._shown.quantity,
                label=self._shown.label,
                series_number=self._number,
                settings=self._settings,
            )
        return self._shown.name

    def judge(self, judge: ObjectJudge) -> None:
        """Refuse a map that is not what it must be.

        Raises:
            OutputError: With every error.
        """
        files = sorted(self._folder.iterdir())
        if self._steps is None:
            judge.judge_map(files)
        else:
            judge.judge_parametric_map(files[0])


def series_writer(series: MapSeries, folder: Path) -> MapWriter:
    """Writes a series of maps into a folder of its own, which is made.

    Args:
        series: What is to be written.
        folder: The folder.
    """
    folder.mkdir()
    if is_multi_frame(source_of(series.scan)):
        return MultiFrameMapWriter(series, folder)
    return MapSeriesWriter(series, folder)
