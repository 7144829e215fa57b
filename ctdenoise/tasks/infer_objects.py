"""What `infer` writes beside the denoised images: labels, removed noise, a map of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.inference import InferSettings, SegmentSettings
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.scan import Scan, with_steps
from ctdenoise.core.source import ImageKind
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SettingsError, UsageError
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.method import Estimates
from ctdenoise.io.dicom_enhanced_checks import is_multi_frame
from ctdenoise.io.dicom_enhanced_maps import MultiFrameMapWriter
from ctdenoise.io.dicom_identity import source_of
from ctdenoise.io.dicom_judge_objects import ObjectJudge
from ctdenoise.io.dicom_maps import NOISE_STEP_HU, MapSeries, MapSeriesWriter, MapWriter
from ctdenoise.io.dicom_objects import (
    check_objects,
    parametric_map_bytes,
    require_seg_extra,
    segmentation_bytes,
    write_object,
)
from ctdenoise.io.dicom_segments import segment_codes
from ctdenoise.io.image_writer import ImageWriter
from ctdenoise.io.series_writer import series_numbers
from ctdenoise.io.write import FileFormat, written_kind
from ctdenoise.metrics.local_noise import local_sd_hu

SEGMENTATION_FOLDER = "segmentation"
"""Folder of the DICOM Segmentation."""

RESIDUAL_FOLDER = "residual"
"""Folder of the series of removed noise."""

NOISE_FOLDER = "noise_map"
"""Folder of the noise map."""

STATED_ERROR = "standard deviation of the error, as stated by the network"
"""What a noise map shows where the network has an output for its error."""

LOCAL_SD = "local standard deviation of what was removed"
"""What a noise map shows otherwise."""

_RESIDUAL_WINDOW = (0.0, 200.0)
_NOISE_WINDOW = (20.0, 40.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What will be written beside the images.

    Args:
        labels: Whether the network labels, and the labels are written.
        residual: Whether what was removed is written.
        noise_map: "pm", "ct" or "none".
        states_error: Whether the noise map shows the error that the network states.
        window_mm: Edge of the square of local standard deviations, mm.
        names: Name of each class, background first.
        segments: What names mean in coded words, where they do not say it themselves.
    """

    labels: bool
    residual: bool
    noise_map: str
    states_error: bool
    window_mm: float
    names: tuple[str, ...]
    segments: Mapping[str, SegmentSettings]

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""
        return self.labels or self.residual or self.noise_map != "none"

    @property
    def noise_quantity(self) -> str | None:
        """What the noise map shows, in words; None without one."""
        if self.noise_map == "none":
            return None
        return STATED_ERROR if self.states_error else LOCAL_SD


def wanted_objects(denoiser: Denoiser, settings: InferSettings) -> Wanted:
    """What the settings and the network mean together.

    Args:
        denoiser: Labels only if its network has a segmentation head.
        settings: Of `infer`.
    """
    objects = settings.objects
    return Wanted(
        labels=objects.segmentation != "none" and len(denoiser.class_names) > 1,
        residual=objects.residual,
        noise_map=objects.noise_map,
        states_error=objects.noise_map != "none" and denoiser.states_error,
        window_mm=objects.window_mm,
        names=denoiser.class_names,
        segments=objects.segments,
    )


def check_wanted(wanted: Wanted, volume: CTVolume, file_format: FileFormat) -> None:
    """Refuse what could not be written, before anything is computed.

    Args:
        wanted: What is to be written.
        volume: What was read.
        file_format: Of the result.

    Raises:
        UsageError: If DICOM objects are wanted of a study that is no DICOM.
        SettingsError: If a label is given a type that the standard has no name for, or there is no
            label of a name in the settings.
        MissingExtraError: If highdicom is needed and not installed.
        StudyError: If the source cannot carry them; see `check_objects`.
    """
    unknown = sorted(set(wanted.segments) - set(wanted.names[1:]))
    if wanted.labels and unknown:
        raise SettingsError(
            f"the network has no label named {', '.join(unknown)}.",
            where="objects.segments",
            fix=f"It has: {', '.join(wanted.names[1:])}.",
        )
    if not wanted.anything or written_kind(volume, file_format) != "dicom":
        return
    if volume.source is None or volume.source.kind != "dicom":
        raise UsageError(
            "segmentations, removed noise and noise maps refer to DICOM images, and the study has "
            "none.",
            fix="Leave --format out, or use --set objects.segmentation=none without --residual and "
            "--noise-map.",
        )
    if wanted.labels:
        for name in wanted.names[1:]:
            segment_codes(name, wanted.segments)
    over_all_slices = wanted.labels or wanted.noise_map == "pm"
    if over_all_slices:
        require_seg_extra()
    check_objects(volume, over_all_slices=over_all_slices)


class ObjectWriter:
    """Writes everything that is wanted beside the images into the output folder.

    Args:
        wanted: What.
        source: What was read.
        result: What was made of it.
        estimates: What the network said beside it, as wanted.
        settings: Of `infer`.
    """

    def __init__(
        self,
        wanted: Wanted,
        source: CTVolume,
        result: CTVolume,
        estimates: Estimates,
        settings: InferSettings,
    ) -> None:
        self._wanted, self._source, self._result = wanted, source, result
        self._estimates = estimates
        self._settings = settings.dicom
        labelled: dict[str, JsonValue] = {"classes": list(wanted.names)}
        if wanted.segments:  # they change what the object says, so it is another object
            labelled["segments"] = {n: one.deciding() for n, one in wanted.segments.items()}
        self._label = with_steps(result, Step("label", labelled))
        self._removed = with_steps(result, Step("subtract_from_source"))
        self._map = (
            with_steps(result, Step("state_error"))
            if wanted.states_error
            else with_steps(
                self._removed, Step("local_standard_deviation", {"window_mm": wanted.window_mm})
            )
        )

    def write_dicom(self, folder: Path) -> tuple[str, ...]:
        """Write DICOM objects, each into a folder of its own.

        Args:
            folder: The staged output folder.

        Returns:
            The folders.
        """
        # The first number is that of the denoised series.
        scans: list[Scan] = [self._result, self._label, self._removed, self._map]
        _, of_labels, of_residual, of_map = series_numbers(scans, self._settings)
        written = []
        labels = self._estimates.labels
        if labels is not None:
            data = segmentation_bytes(
                self._label,
                labels,
                self._wanted.names,
                segments=self._wanted.segments,
                series_number=of_labels,
                settings=self._settings,
            )
            write_object(folder / SEGMENTATION_FOLDER, data)
            written.append(SEGMENTATION_FOLDER)
        if self._wanted.residual:
            removed = MapSeries(
                self._removed, of_residual, self._settings, "[removed noise]", _RESIDUAL_WINDOW
            )
            writer = self._series(removed, folder / RESIDUAL_FOLDER)
            for index in range(self._result.shape[0]):
                writer.write_difference(index, self._result)
            written.append(RESIDUAL_FOLDER)
        if self._wanted.noise_map != "none":
            self._write_map(folder / NOISE_FOLDER, of_map)
            written.append(NOISE_FOLDER)
        return tuple(written)

    def judge_dicom(self, folder: Path, result: Sequence[Path]) -> None:
        """Refuse DICOM objects that are not what they must be.

        Args:
            folder: Where they were written.
            result: Files of the denoised series.

        Raises:
            OutputError: With every error.
        """
        if not self._wanted.anything:
            return
        judge = ObjectJudge(source_of(self._result), self._settings)
        if self._estimates.labels is not None:
            (path,) = (folder / SEGMENTATION_FOLDER).iterdir()
            judge.judge_segmentation(path, self._estimates.labels)
        if self._wanted.residual:
            judge.judge_removed(sorted((folder / RESIDUAL_FOLDER).iterdir()), result)
        maps = sorted((folder / NOISE_FOLDER).iterdir()) if self._wanted.noise_quantity else []
        if self._wanted.noise_map == "ct":
            judge.judge_map(maps)
        elif maps:
            judge.judge_parametric_map(maps[0])

    def write_images(self, folder: Path, kind: ImageKind, suffix: str) -> tuple[str, ...]:
        """Write image files beside the result; removed noise is not rounded.

        Args:
            folder: The staged output folder.
            kind: Format of the result.
            suffix: How its name ends: ".nii.gz".

        Returns:
            The files.
        """
        written: list[str] = []
        uint8, float32 = np.dtype(np.uint8), np.dtype(np.float32)
        labels = self._estimates.labels
        if labels is not None:
            with self._image(folder, "labels", kind, suffix, uint8, written) as image:
                image.write(labels)
        if self._wanted.residual:
            with self._image(folder, "residual", kind, suffix, float32, written) as image:
                for index in range(self._result.shape[0]):
                    image.write(self._residual_hu(index)[np.newaxis])
        if self._wanted.noise_map != "none":
            with self._image(folder, "noise_map", kind, suffix, float32, written) as image:
                for index in range(self._result.shape[0]):
                    image.write(self._noise_hu(index)[np.newaxis])
        return tuple(written)

    @contextmanager
    def _image(
        self,
        folder: Path,
        name: str,
        kind: ImageKind,
        suffix: str,
        dtype: np.dtype[np.number],
        written: list[str],
    ) -> Iterator[ImageWriter]:
        path = folder / f"{name}{suffix}"
        packed = suffix.endswith(".gz")
        with ImageWriter(path, kind, self._result.geometry, dtype, packed=packed) as image:
            yield image
        written.append(path.name)

    def _series(self, series: MapSeries, folder: Path) -> MapWriter:
        folder.mkdir()
        if is_multi_frame(source_of(series.scan)):
            return MultiFrameMapWriter(series, folder)
        return MapSeriesWriter(series, folder)

    def _write_map(self, folder: Path, number: int) -> None:
        slices = range(self._result.shape[0])
        if self._wanted.noise_map == "ct":
            writer = self._series(
                MapSeries(
                    self._map, number, self._settings, self._map_label, _NOISE_WINDOW, NOISE_STEP_HU
                ),
                folder,
            )
            for index in slices:
                writer.write_map(index, self._noise_hu(index), self._result)
            return
        stored = np.empty(self._result.shape, dtype=np.uint16)
        for index in slices:
            steps = np.rint(self._noise_hu(index).astype(np.float64) / NOISE_STEP_HU)
            stored[index] = np.clip(steps, 0, 65535)
        data = parametric_map_bytes(
            self._map,
            stored,
            explanation=self._wanted.noise_quantity or "",
            label=self._map_label,
            series_number=number,
            settings=self._settings,
        )
        write_object(folder, data)

    @property
    def _map_label(self) -> str:
        return "STATED ERROR MAP" if self._wanted.states_error else "NOISE SD MAP"

    def _residual_hu(self, index: int) -> FloatArray:
        difference: FloatArray = self._source.hu[index] - self._result.hu[index]
        return difference

    def _noise_hu(self, index: int) -> FloatArray:
        if self._estimates.error_hu is not None:
            stated: FloatArray = self._estimates.error_hu[index]
            return stated
        padding = self._result.padding
        return local_sd_hu(
            self._residual_hu(index),
            None if padding is None else padding[index],
            pixel_spacing_mm=self._result.geometry.pixel_spacing_mm,
            window_mm=self._wanted.window_mm,
        )
