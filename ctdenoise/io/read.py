"""From a series to a volume in Hounsfield units: each slice by its own rescale, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.dicom_checks import gathered
from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom, read_instance
from ctdenoise.io.dicom_pixels import StoredArray, stored_values, without_unused_bits
from ctdenoise.io.dicom_slice import SliceHeader, is_same_slice
from ctdenoise.io.nifti import read_nifti
from ctdenoise.io.study import FoundSeries, choose_series, find_series

_IMPOSSIBLE_HU = 30_000.0
"""No tissue or metal fills a slice with this: negative numbers that were read as unsigned do."""


def read_volume(source: FoundSeries | Path | str, *, series: str | None = None) -> CTVolume:
    """A CT series as Hounsfield units on its grid, slices ascending along the normal.

    Each slice is `stored * slope + intercept` with its own rescale, computed in float64 and kept
    as float32. Stored values that mean padding are rescaled like the others and marked in
    `padding`. MONOCHROME1 changes how a picture is shown, not its Hounsfield units.

    Args:
        source: A found series, or a folder or file to look into.
        series: Which series, where a folder holds several; see `choose_series`.

    Raises:
        UsageError: If there are several readable series and none was chosen.
        StudyError: If it cannot be read right, with every reason.
    """
    if isinstance(source, FoundSeries):
        chosen = choose_series((source,), None, where=source.source.instances[0].path.parent)
    else:
        chosen = choose_series(find_series(source), series, where=source)
    if chosen.kind == "nifti":
        return read_nifti(chosen.source.instances[0].path)
    return _read_dicom(chosen)


def _read_dicom(chosen: FoundSeries) -> CTVolume:
    geometry = chosen.geometry
    where = chosen.source.instances[0].path.parent
    if geometry is None:
        raise StudyError("the series has no known geometry.", where=where)
    hu: HuArray = np.empty(geometry.shape, dtype=np.float32)
    padding: BoolArray | None = None
    problems: dict[str, list[Path]] = {}
    for path, group in groupby(enumerate(chosen.headers), key=lambda item: item[1].path):
        members = list(group)
        try:
            values = _stored_slices(path, [header for _, header in members])
            for (index, header), words in zip(members, values, strict=True):
                mask = _rescale_into(hu[index], header, words)
                if mask is not None and mask.any():
                    if padding is None:
                        padding = np.zeros(geometry.shape, dtype=np.bool_)
                    padding[index] = mask
        except (DamagedFileError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.setdefault(reason or "it cannot be opened", []).append(path)
    if problems:
        raise StudyError(
            "the series cannot be read right:\n" + listed(gathered(problems, geometry.slices)),
            where=where,
            fix="Export or copy the series again; no slice is ever left out.",
        )
    return CTVolume(hu, geometry, chosen.acquisition, chosen.source, padding=padding)


def _stored_slices(path: Path, headers: list[SliceHeader]) -> Iterator[StoredArray]:
    """Allocated words of the wanted slices of one file."""
    first = headers[0]
    with quiet_pydicom():
        most = first.rows * first.columns * first.frames * first.bits_allocated // 8
        dataset = read_instance(path, most_pixel_bytes=most)
        if not all(is_same_slice(header, dataset) for header in headers):
            raise DamagedFileError("the file changed since it was listed")
        if dataset.get("PixelData") is None:
            raise DamagedFileError("its pixel data are incomplete")
    yield from stored_values(dataset, [header.frame or 0 for header in headers])


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
