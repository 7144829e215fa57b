"""A DICOM series as Hounsfield units: each slice by its own rescale, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from pydicom.dataset import Dataset

from ctdenoise.core.arrays import BoolArray, HuArray, StoredArray
from ctdenoise.core.memory import require_memory
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume, slice_numbers
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.decoder_process import decoded
from ctdenoise.io.dicom_checks import gathered
from ctdenoise.io.dicom_codestream import EncodedFrame, encoded_frames
from ctdenoise.io.dicom_file import (
    DamagedFileError,
    quiet_pydicom,
    read_instance,
    transfer_syntax,
)
from ctdenoise.io.dicom_hounsfield import require_hounsfield_units
from ctdenoise.io.dicom_native import NativeFrames
from ctdenoise.io.dicom_pixels import NATIVE_SYNTAXES, stored_values, without_unused_bits
from ctdenoise.io.dicom_slice import SliceHeader, is_same_slice
from ctdenoise.io.study import FoundSeries

IMPOSSIBLE_HU = 30_000.0
"""No tissue or metal fills a slice with this: negative numbers that were read as unsigned do."""

MOST_IMPOSSIBLE_FRACTION = 0.01
"""Share of the pixels of a slice that may be above it, outside padding."""


class DicomReader:
    """A DICOM series that is open for reading; see `SeriesReader`.

    Files of one slice are read whole, native multi-frame files frame by frame. The compressed
    pixels of a multi-frame file are kept between two reads, still compressed.

    Args:
        found: A readable series.

    Raises:
        StudyError: If its grid is not known.
    """

    history: tuple[Step, ...] = ()

    def __init__(self, found: FoundSeries) -> None:
        self._folder = found.source.instances[0].path.parent
        if found.geometry is None:
            raise StudyError("the series has no known geometry.", where=self._folder)
        self._headers = found.headers
        self._kept: tuple[Path, Dataset] | None = None
        self._native = NativeFrames()
        self._quiet = ExitStack()  # for all of a run: its threads must not change what it settled
        self.geometry = found.geometry
        self.acquisition = found.acquisition
        self.source = found.source

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        return self.geometry.shape

    def read(self, which: slice | Sequence[int]) -> CTVolume:
        """Some of the slices, in the order asked for.

        Args:
            which: Their indices, ascending along the normal.

        Raises:
            StudyError: If they cannot be read right, with every reason.
        """
        indices = slice_numbers(which, self.geometry.slices)
        wanted = [self._headers[index] for index in indices]
        size = len(indices) * self.shape[1] * self.shape[2] * np.dtype(np.float32).itemsize
        require_memory(size, where=self._folder, kind=StudyError)
        hu: HuArray = np.empty((len(indices), *self.shape[1:]), dtype=np.float32)
        padding: BoolArray | None = None
        problems: dict[str, list[Path]] = {}
        outcomes = decoded(self._slices_of_files(wanted))
        for place, (header, outcome) in enumerate(zip(wanted, outcomes, strict=True)):
            try:
                mask = _rescale_into(hu[place], header, _stored(outcome))
            except DamagedFileError as error:
                paths = problems.setdefault(str(error), [])
                if header.path not in paths[-1:]:
                    paths.append(header.path)
                continue
            if mask is not None and mask.any():
                if padding is None:
                    padding = np.zeros(hu.shape, dtype=np.bool_)
                padding[place] = mask
        if problems:
            raise StudyError(
                "the series cannot be read right:\n" + listed(gathered(problems, len(indices))),
                where=self._folder,
                fix="Export or copy the series again; no slice is ever left out.",
            )
        return CTVolume(
            hu,
            self.geometry.select(indices),
            self.acquisition.select(indices),
            self.source.select(indices),
            padding=padding,
        )

    def __enter__(self) -> Self:
        self._quiet.enter_context(quiet_pydicom())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kept = None
        self._quiet.close()

    def _slices_of_files(
        self, wanted: Sequence[SliceHeader]
    ) -> Iterator[StoredArray | EncodedFrame | DamagedFileError]:
        """Allocated words of slices, still encoded where they are compressed, or what is wrong."""
        for path, group in groupby(wanted, key=lambda header: header.path):
            headers = list(group)
            given = 0
            try:
                for words in self._slices_of_file(path, headers):
                    yield words
                    given += 1
            except (DamagedFileError, OSError) as error:
                yield from [_damage(error)] * (len(headers) - given)

    def _slices_of_file(
        self, path: Path, headers: list[SliceHeader]
    ) -> Iterator[StoredArray | EncodedFrame]:
        frames = [header.frame or 0 for header in headers]
        native = self._native.of_file(path, headers[0], frames)
        if native is not None:
            yield from native
            return
        dataset = self._instance(path, headers)
        if transfer_syntax(dataset) in NATIVE_SYNTAXES:
            yield from stored_values(dataset, frames)
        else:
            yield from encoded_frames(dataset, frames)

    def _instance(self, path: Path, headers: list[SliceHeader]) -> Dataset:
        """A whole file; one of many frames is kept for the next read."""
        if self._kept is not None and self._kept[0] == path:
            return self._kept[1]
        first = headers[0]
        with quiet_pydicom():
            most = first.rows * first.columns * first.frames * first.bits_allocated // 8
            dataset = read_instance(path, most_pixel_bytes=most)
            _require_unchanged(headers, dataset)
            if dataset.get("PixelData") is None:
                raise DamagedFileError("its pixel data are incomplete")
        if first.frames > 1:
            self._kept = (path, dataset)
        return dataset


def _damage(error: DamagedFileError | OSError) -> DamagedFileError:
    if isinstance(error, DamagedFileError):
        return error
    return DamagedFileError(error.strerror or "it cannot be opened")


def _stored(outcome: StoredArray | DamagedFileError) -> StoredArray:
    if isinstance(outcome, DamagedFileError):
        raise outcome
    return outcome


def _require_unchanged(headers: list[SliceHeader], dataset: Dataset) -> None:
    if not all(is_same_slice(header, dataset) for header in headers):
        raise DamagedFileError("the file changed since it was listed")


def _rescale_into(out: HuArray, header: SliceHeader, words: StoredArray) -> BoolArray | None:
    """Write a slice's Hounsfield units; returns where it is padding, if it can have any."""
    stored = without_unused_bits(words, allocated=header.bits_allocated, stored=header.bits_stored)
    slope, intercept = header.rescale_slope, header.rescale_intercept
    if slope is None or intercept is None:
        raise DamagedFileError("its rescale is missing")
    if slope == 1.0 and intercept == int(intercept) and stored.dtype.itemsize <= 2:
        # Whole numbers below 2**24 are exact in float32.
        np.add(stored, np.float32(intercept), out=out, casting="same_kind")
    else:
        out[...] = stored.astype(np.float64) * slope + intercept
    mask = _padding_mask(header, words, stored)
    bright = out > IMPOSSIBLE_HU
    if (
        np.count_nonzero(bright if mask is None else bright & ~mask)
        > MOST_IMPOSSIBLE_FRACTION * bright.size
    ):
        raise DamagedFileError(
            f"over {MOST_IMPOSSIBLE_FRACTION:.0%} of its pixels are above {IMPOSSIBLE_HU:.0f} HU, "
            "so its rescale or PixelRepresentation is wrong"
        )
    if header.rescale_doubt:
        require_hounsfield_units(out, mask, doubt=header.rescale_doubt)
    return mask


def _padding_mask(header: SliceHeader, words: StoredArray, stored: StoredArray) -> BoolArray | None:
    if header.padding is None:
        return None
    low, high = header.padding
    mask = (stored >= low) & (stored <= high)
    if not _fits(low, header):
        mask |= (words >= low) & (words <= high)
    return np.asarray(mask)


def _fits(value: int, header: SliceHeader) -> bool:
    """Whether a stored value can be written in BitsStored bits at all."""
    bits = header.bits_stored
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if header.signed else (0, (1 << bits) - 1)
    return low <= value <= high
