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

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume, slice_numbers
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.dicom_checks import gathered
from ctdenoise.io.dicom_file import (
    DamagedFileError,
    quiet_pydicom,
    read_header,
    read_instance,
)
from ctdenoise.io.dicom_hounsfield import require_hounsfield_units
from ctdenoise.io.dicom_pixels import (
    StoredArray,
    frames_of_file,
    stored_values,
    without_unused_bits,
)
from ctdenoise.io.dicom_slice import SliceHeader, is_same_slice
from ctdenoise.io.study import FoundSeries

_IMPOSSIBLE_HU = 30_000.0
"""No tissue or metal fills a slice with this: negative numbers that were read as unsigned do."""


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
        hu: HuArray = np.empty((len(indices), *self.shape[1:]), dtype=np.float32)
        padding: BoolArray | None = None
        problems: dict[str, list[Path]] = {}
        for path, group in groupby(enumerate(wanted), key=lambda item: item[1].path):
            members = list(group)
            try:
                values = self._stored_slices(path, [header for _, header in members])
                for (place, header), words in zip(members, values, strict=True):
                    mask = _rescale_into(hu[place], header, words)
                    if mask is not None and mask.any():
                        if padding is None:
                            padding = np.zeros(hu.shape, dtype=np.bool_)
                        padding[place] = mask
            except (DamagedFileError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                problems.setdefault(reason or "it cannot be opened", []).append(path)
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

    def _stored_slices(self, path: Path, headers: list[SliceHeader]) -> Iterator[StoredArray]:
        """Allocated words of the wanted slices of one file."""
        frames = [header.frame or 0 for header in headers]
        if headers[0].frames > 1:
            native = self._native_frames(path, headers, frames)
            if native is not None:
                yield from native
                return
        yield from stored_values(self._instance(path, headers), frames)

    def _native_frames(
        self, path: Path, headers: list[SliceHeader], frames: list[int]
    ) -> Iterator[StoredArray] | None:
        """Frames read one by one; None where they do not lie side by side in the file."""
        with quiet_pydicom():
            header = read_header(path)
            if header.pixel_start is None:
                return None
            _require_unchanged(headers, header.dataset)
            return frames_of_file(path, header.dataset, header.pixel_start, frames)

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
    bright = out > _IMPOSSIBLE_HU
    if np.count_nonzero(bright if mask is None else bright & ~mask) > bright.size / 100:
        raise DamagedFileError(
            f"over 1 % of its pixels are above {_IMPOSSIBLE_HU:.0f} HU, so its rescale or "
            "PixelRepresentation is wrong"
        )
    if header.rescale_assumed:
        require_hounsfield_units(out, mask)
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
