"""Writers of what `infer` writes beside the denoised images, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.scan import Scan, with_steps
from ctdenoise.core.source import ImageKind
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoised
from ctdenoise.inference.method import Block
from ctdenoise.io.dicom_enhanced_checks import is_multi_frame
from ctdenoise.io.dicom_enhanced_maps import MultiFrameMapWriter
from ctdenoise.io.dicom_identity import source_of
from ctdenoise.io.dicom_judge_objects import ObjectJudge
from ctdenoise.io.dicom_maps import NOISE_STEP_HU, MapSeries, MapSeriesWriter, MapWriter
from ctdenoise.io.dicom_objects import write_parametric_map, write_segmentation
from ctdenoise.io.image_writer import ImageWriter
from ctdenoise.io.series_writer import series_numbers
from ctdenoise.io.slice_file import SliceFile
from ctdenoise.metrics.local_noise import local_sd_hu
from ctdenoise.tasks.infer_objects import Wanted

SEGMENTATION_FOLDER = "segmentation"
"""Folder of the DICOM Segmentation."""

RESIDUAL_FOLDER = "residual"
"""Folder of the series of removed noise."""

NOISE_FOLDER = "noise_map"
"""Folder of the noise map."""

_RESIDUAL_WINDOW = (0.0, 200.0)
_NOISE_WINDOW = (20.0, 40.0)
_LARGEST_STEP = 65535


class BesideWriter(Protocol):
    """Writes what is wanted beside the images, as their slices go by."""

    def write(self, block: Block, denoised: Denoised) -> None:
        """Take the next slices.

        Args:
            block: The slices.
            denoised: What was made of them.
        """
        ...

    def finish(self) -> tuple[str, ...]:
        """Write what can be written only when all slices are known.

        Returns:
            Folders or files that were written.
        """
        ...

    def judge(self, result: Sequence[Path]) -> None:
        """Refuse what is not what it must be.

        Args:
            result: Files of the denoised images.

        Raises:
            OutputError: With every error.
        """
        ...

    def __enter__(self) -> Self:
        """The writer itself; its files are closed when the block ends."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        ...


class ImagesBeside:
    """Image files beside the result; removed noise is not rounded.

    Args:
        wanted: What.
        result: The scan, with what was done to it.
        folder: The staged output folder.
        kind: Format of the result.
        suffix: How its name ends: ".nii.gz".
    """

    def __init__(
        self, wanted: Wanted, result: Scan, folder: Path, *, kind: ImageKind, suffix: str
    ) -> None:
        self._wanted = wanted
        self._opened = ExitStack()
        self._images: dict[str, ImageWriter] = {}
        types = {
            "labels": np.uint8 if wanted.labels else None,
            "residual": np.float32 if wanted.residual else None,
            "noise_map": np.float32 if wanted.noise_map != "none" else None,
        }
        for name, dtype in types.items():
            if dtype is not None:
                image = ImageWriter(
                    folder / f"{name}{suffix}",
                    kind,
                    result.geometry,
                    np.dtype(dtype),
                    packed=suffix.endswith(".gz"),
                )
                self._images[name] = self._opened.enter_context(image)
        self._suffix = suffix

    def write(self, block: Block, denoised: Denoised) -> None:
        """See `BesideWriter`."""
        before, labels = block.wanted, denoised.estimates.labels
        if "labels" in self._images and labels is not None:
            self._images["labels"].write(labels)
        for index in range(before.shape[0]):
            if "residual" in self._images:
                removed = _residual_hu(before, denoised.volume, index)
                self._images["residual"].write(removed[np.newaxis])
            if "noise_map" in self._images:
                noise = _noise_hu(self._wanted, before, denoised, index)
                self._images["noise_map"].write(noise[np.newaxis])

    def finish(self) -> tuple[str, ...]:
        """See `BesideWriter`."""
        return tuple(f"{name}{self._suffix}" for name in self._images)

    def judge(self, result: Sequence[Path]) -> None:
        """There is nothing to judge about image files."""
        del result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)


class DicomBeside:
    """DICOM objects beside the denoised series, each kind in a folder of its own.

    Args:
        wanted: What.
        result: The scan, with what was done to it.
        folder: The staged output folder.
        settings: Of `infer`.
    """

    def __init__(self, wanted: Wanted, result: Scan, folder: Path, settings: InferSettings) -> None:
        self._wanted, self._result, self._folder = wanted, result, folder
        self._settings = settings.dicom
        self._opened = ExitStack()
        self._label, removed, self._map = _derived_scans(wanted, result)
        # The first number is that of the denoised series.
        scans = [result, self._label, removed, self._map]
        numbers = series_numbers(scans, self._settings) if wanted.anything else (0, 0, 0, 0)
        _, self._of_labels, of_residual, self._of_map = numbers
        self._labels = self._waiting("labels", np.uint8) if wanted.labels else None
        self._steps = self._waiting("noise_map", np.uint16) if wanted.noise_map == "pm" else None
        self._residual: MapWriter | None = None
        if wanted.residual:
            series = MapSeries(
                removed, of_residual, self._settings, "[removed noise]", _RESIDUAL_WINDOW
            )
            self._residual = _series(series, folder / RESIDUAL_FOLDER)
        self._noise: MapWriter | None = None
        if wanted.noise_map == "ct":
            series = MapSeries(
                self._map,
                self._of_map,
                self._settings,
                self._map_label,
                _NOISE_WINDOW,
                NOISE_STEP_HU,
            )
            self._noise = _series(series, folder / NOISE_FOLDER)

    def write(self, block: Block, denoised: Denoised) -> None:
        """See `BesideWriter`."""
        if self._labels is not None and denoised.estimates.labels is not None:
            self._labels.append(denoised.estimates.labels)
        if self._wanted.noise_map == "none" and self._residual is None:
            return
        before, after = block.wanted, denoised.volume
        for index, place in enumerate(block.places):
            padding = None if after.padding is None else after.padding[index]
            if self._residual is not None:
                self._residual.write_difference(place, after.hu[index], padding)
            if self._wanted.noise_map == "none":
                continue
            noise = _noise_hu(self._wanted, before, denoised, index)
            if self._noise is not None:
                self._noise.write_map(place, noise, padding)
            elif self._steps is not None:
                steps = np.rint(noise.astype(np.float64) / NOISE_STEP_HU)
                self._steps.append(np.clip(steps, 0, _LARGEST_STEP)[np.newaxis])

    def finish(self) -> tuple[str, ...]:
        """See `BesideWriter`."""
        written = []
        if self._labels is not None:
            write_segmentation(
                self._folder / SEGMENTATION_FOLDER,
                self._label,
                self._labels,
                self._wanted.names,
                segments=self._wanted.segments,
                series_number=self._of_labels,
                settings=self._settings,
            )
            written.append(SEGMENTATION_FOLDER)
        if self._wanted.residual:
            written.append(RESIDUAL_FOLDER)
        if self._steps is not None:
            write_parametric_map(
                self._folder / NOISE_FOLDER,
                self._map,
                self._steps,
                explanation=self._wanted.noise_quantity or "",
                label=self._map_label,
                series_number=self._of_map,
                settings=self._settings,
            )
        if self._wanted.noise_map != "none":
            written.append(NOISE_FOLDER)
        return tuple(written)

    def judge(self, result: Sequence[Path]) -> None:
        """See `BesideWriter`."""
        if not self._wanted.anything:
            return
        judge = ObjectJudge(source_of(self._result), self._settings)
        if self._labels is not None:
            (path,) = (self._folder / SEGMENTATION_FOLDER).iterdir()
            judge.judge_segmentation(path, self._labels)
        if self._wanted.residual:
            judge.judge_removed(sorted((self._folder / RESIDUAL_FOLDER).iterdir()), result)
        maps = (
            sorted((self._folder / NOISE_FOLDER).iterdir()) if self._wanted.noise_quantity else []
        )
        if self._wanted.noise_map == "ct":
            judge.judge_map(maps)
        elif maps:
            judge.judge_parametric_map(maps[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def _waiting(self, name: str, dtype: type[np.number]) -> SliceFile:
        size = self._result.shape[1:]
        return self._opened.enter_context(SliceFile(self._folder / f".{name}", size, dtype))

    @property
    def _map_label(self) -> str:
        return "STATED ERROR MAP" if self._wanted.states_error else "NOISE SD MAP"


def _derived_scans(wanted: Wanted, result: Scan) -> tuple[Scan, Scan, Scan]:
    """What was labelled, what was removed, and the map of it: each with its own history."""
    labelled: dict[str, JsonValue] = {"classes": list(wanted.names)}
    if wanted.segments:  # they change what the object says, so it is another object
        labelled["segments"] = {n: one.deciding() for n, one in wanted.segments.items()}
    removed = with_steps(result, Step("subtract_from_source"))
    window = Step("local_standard_deviation", {"window_mm": wanted.window_mm})
    noise = (
        with_steps(result, Step("state_error"))
        if wanted.states_error
        else with_steps(removed, window)
    )
    return with_steps(result, Step("label", labelled)), removed, noise


def _series(series: MapSeries, folder: Path) -> MapWriter:
    folder.mkdir()
    if is_multi_frame(source_of(series.scan)):
        return MultiFrameMapWriter(series, folder)
    return MapSeriesWriter(series, folder)


def _residual_hu(before: CTVolume, after: CTVolume, index: int) -> FloatArray:
    difference: FloatArray = before.hu[index] - after.hu[index]
    return difference


def _noise_hu(wanted: Wanted, before: CTVolume, denoised: Denoised, index: int) -> FloatArray:
    if denoised.estimates.error_hu is not None:
        stated: FloatArray = denoised.estimates.error_hu[index]
        return stated
    after = denoised.volume
    return local_sd_hu(
        _residual_hu(before, after, index),
        None if after.padding is None else after.padding[index],
        pixel_spacing_mm=after.geometry.pixel_spacing_mm,
        window_mm=wanted.window_mm,
    )
