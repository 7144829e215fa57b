"""Writers of what `infer` writes beside the denoised images, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.scan import Scan, with_steps
from ctdenoise.core.source import ImageKind
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoised
from ctdenoise.inference.method import Block
from ctdenoise.inference.uncertainty import Uncertainty
from ctdenoise.io.dicom_identity import source_of
from ctdenoise.io.dicom_judge_objects import ObjectJudge
from ctdenoise.io.dicom_maps import MapSeries, MapWriter
from ctdenoise.io.dicom_objects import write_segmentation
from ctdenoise.io.image_writer import ImageWriter
from ctdenoise.io.series_writer import series_numbers
from ctdenoise.io.slice_file import SliceFile
from ctdenoise.metrics.local_noise import local_sd_hu
from ctdenoise.tasks.infer_maps import DicomMap, ShownMap, series_writer
from ctdenoise.tasks.infer_objects import UNCERTAINTY, Wanted

SEGMENTATION_FOLDER = "segmentation"
"""Folder of the DICOM Segmentation."""

RESIDUAL_FOLDER = "residual"
"""Folder of the series of removed noise."""

NOISE_FOLDER = "noise_map"
"""Folder of the noise map."""

UNCERTAINTY_FOLDER = "uncertainty"
"""Folder of the map of uncertainty."""

_RESIDUAL_WINDOW = (0.0, 200.0)


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
        uncertainty: States the error of every pixel; None where that is not wanted.
        kind: Format of the result.
        suffix: How its name ends: ".nii.gz".
    """

    def __init__(
        self,
        wanted: Wanted,
        result: Scan,
        folder: Path,
        *,
        uncertainty: Uncertainty | None,
        kind: ImageKind,
        suffix: str,
    ) -> None:
        self._opened = ExitStack()
        self._images: dict[str, ImageWriter] = {}
        self._maps = shown_maps(wanted, result, uncertainty)
        types = {
            "labels": np.uint8 if wanted.labels else None,
            "residual": np.float32 if wanted.residual else None,
            **{shown.name: np.float32 for shown in self._maps},
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
        for shown in self._maps:
            self._images[shown.name].write(shown.values(block, denoised))

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
        uncertainty: States the error of every pixel; None where that is not wanted.
    """

    def __init__(
        self,
        wanted: Wanted,
        result: Scan,
        folder: Path,
        settings: InferSettings,
        *,
        uncertainty: Uncertainty | None,
    ) -> None:
        self._wanted, self._result, self._folder = wanted, result, folder
        self._settings = settings.dicom
        self._opened = ExitStack()
        self._label, removed = _derived_scans(wanted, result)
        maps = shown_maps(wanted, result, uncertainty)
        # The first number is that of the denoised series; a map has its own whether written or not.
        noise = noise_history(wanted, result)
        others = [shown.scan for shown in maps if shown.name != NOISE_FOLDER]
        scans = [result, self._label, removed, noise, *others]
        numbers = series_numbers(scans, self._settings) if wanted.anything else (0, 0, 0, 0)
        _, self._of_labels, of_residual, *of_maps = numbers
        if wanted.noise_map == "none":
            of_maps = of_maps[1:]
        self._labels = self._waiting("labels", np.uint8) if wanted.labels else None
        self._residual: MapWriter | None = None
        if wanted.residual:
            series = MapSeries(
                removed, of_residual, self._settings, "[removed noise]", _RESIDUAL_WINDOW
            )
            self._residual = series_writer(series, folder / RESIDUAL_FOLDER)
        self._maps = [
            DicomMap(shown, folder, number=number, settings=self._settings, waiting=self._waiting)
            for shown, number in zip(maps, of_maps, strict=True)
        ]

    def write(self, block: Block, denoised: Denoised) -> None:
        """See `BesideWriter`."""
        if self._labels is not None and denoised.estimates.labels is not None:
            self._labels.append(denoised.estimates.labels)
        for shown in self._maps:
            shown.write(block, denoised)
        if self._residual is None:
            return
        after = denoised.volume
        for index, place in enumerate(block.places):
            padding = None if after.padding is None else after.padding[index]
            self._residual.write_difference(place, after.hu[index], padding)

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
        written += [shown.finish() for shown in self._maps]
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
        for shown in self._maps:
            shown.judge(judge)

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


def _derived_scans(wanted: Wanted, result: Scan) -> tuple[Scan, Scan]:
    """What was labelled and what was removed: each with its own history."""
    labelled: dict[str, JsonValue] = {"classes": list(wanted.names)}
    if wanted.segments:  # they change what the object says, so it is another object
        labelled["segments"] = {n: one.deciding() for n, one in wanted.segments.items()}
    removed = with_steps(result, Step("subtract_from_source"))
    return with_steps(result, Step("label", labelled)), removed


def noise_history(wanted: Wanted, result: Scan) -> Scan:
    """The noise map with its history.

    Args:
        wanted: What it shows.
        result: The scan, with what was done to it.
    """
    if wanted.states_error:
        return with_steps(result, Step("state_error"))
    window = Step("local_standard_deviation", {"window_mm": wanted.window_mm})
    return with_steps(result, Step("subtract_from_source"), window)


def shown_maps(
    wanted: Wanted, result: Scan, uncertainty: Uncertainty | None
) -> tuple[ShownMap, ...]:
    """The maps that are written, in order.

    Args:
        wanted: Which.
        result: The scan, with what was done to it.
        uncertainty: States the error of every pixel; None where that is not wanted.
    """
    maps = []
    if wanted.noise_map != "none":
        label = "STATED ERROR MAP" if wanted.states_error else "NOISE SD MAP"
        maps.append(
            ShownMap(
                NOISE_FOLDER,
                wanted.noise_map,
                noise_history(wanted, result),
                wanted.noise_quantity or "",
                label,
                lambda block, denoised: _noise_hu(wanted, block.wanted, denoised),
            )
        )
    if uncertainty is not None:
        maps.append(
            ShownMap(
                UNCERTAINTY_FOLDER,
                wanted.uncertainty,
                with_steps(result, Step("state_uncertainty", {"texture_hu": wanted.texture_hu})),
                UNCERTAINTY,
                "UNCERTAINTY MAP",
                lambda block, denoised: uncertainty.of(block.wanted, denoised, block.places),
            )
        )
    return tuple(maps)


def _residual_hu(before: CTVolume, after: CTVolume, index: int) -> FloatArray:
    difference: FloatArray = before.hu[index] - after.hu[index]
    return difference


def _noise_hu(wanted: Wanted, before: CTVolume, denoised: Denoised) -> HuArray:
    if denoised.estimates.error_hu is not None:
        return denoised.estimates.error_hu
    after = denoised.volume
    found: HuArray = np.stack(
        [
            local_sd_hu(
                _residual_hu(before, after, index),
                None if after.padding is None else after.padding[index],
                pixel_spacing_mm=after.geometry.pixel_spacing_mm,
                window_mm=wanted.window_mm,
            )
            for index in range(after.shape[0])
        ]
    )
    return found
