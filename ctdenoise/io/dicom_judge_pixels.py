"""Judging the pixels of a derived series against its source, slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom, read_instance
from ctdenoise.io.dicom_judge_objections import Objections
from ctdenoise.io.dicom_judge_source import Matched
from ctdenoise.io.dicom_judge_view import Slice, View
from ctdenoise.io.dicom_pixels import (
    MOST_FRAMES,
    MOST_PIXELS,
    NATIVE_SYNTAXES,
    StoredArray,
    can_decode,
    stored_values,
    without_unused_bits,
)

_BODY_HU = -500.0
_BODY_PIXELS_LEAST = 50
_SHIFT_HU, _OFFSET_HU = 10.0, 100.0
_THUMB_SIDE = 128  # pixels; means and differences are taken on a coarse grid of the slice
_SWAPPED_SHARE = 0.7
"""A neighbour is as near by chance where the slices are alike; nearer than this it is no chance."""

_LITTLE_ENDIAN = NATIVE_SYNTAXES - {"1.2.840.10008.1.2.2"}

Thumb = npt.NDArray[np.float32]
"""HU on a coarse grid [y, x]; not a number where there is padding."""


class PixelReader:
    """Stored words of slices; a file of many frames is read once."""

    def __init__(self) -> None:
        self._kept: tuple[Path, Dataset] | None = None

    def words(self, one: Slice) -> StoredArray:
        """Allocated words of a slice [y, x].

        Args:
            one: The slice.

        Raises:
            DamagedFileError: If they are incomplete or cannot be decoded.
            OSError: If the file cannot be read.
        """
        view = one.view
        rows, columns = view.integer("Rows") or 0, view.integer("Columns") or 0
        bits = view.integer("BitsAllocated") or 0
        frames = view.integer("NumberOfFrames") or 1
        if bits not in (8, 16, 32) or not 0 < rows * columns <= MOST_PIXELS or frames > MOST_FRAMES:
            raise DamagedFileError("its matrix is not one of a CT image")
        start = view.header.pixel_start
        if start is not None and bits > 8 and view.syntax in _LITTLE_ENDIAN:
            return _from_file(one, (rows, columns), bits, start)
        if not view.header.has_pixels:
            raise DamagedFileError("it has no pixels")
        if not can_decode(view.syntax, bits_stored=view.integer("BitsStored") or bits):
            raise DamagedFileError("its transfer syntax cannot be decoded")
        dataset = self._dataset(view, rows * columns * frames * bits // 8)
        return next(stored_values(dataset, [one.frame]))

    def _dataset(self, view: View, most: int) -> Dataset:
        if self._kept is None or self._kept[0] != view.path:
            self._kept = (view.path, read_instance(view.path, most_pixel_bytes=most))
        return self._kept[1]


def _from_file(one: Slice, shape: tuple[int, int], bits: int, start: int) -> StoredArray:
    count = shape[0] * shape[1]
    dtype = np.dtype(f"<{'i' if one.view.integer('PixelRepresentation') else 'u'}{bits // 8}")
    offset = start + one.frame * count * dtype.itemsize
    words = np.fromfile(one.path, dtype, count, offset=offset)
    if words.size < count:
        raise DamagedFileError("its pixel data are incomplete")
    return words.reshape(shape)


def judge_pixel_length(view: View, objections: Objections) -> None:
    """Native pixel data: exactly the matrix, and one byte more where that is odd (PS3.5 8.1.1).

    Args:
        view: A derived file.
        objections: Told what is wrong.
    """
    found = view.header.pixel_bytes
    if view.header.truncated:
        objections.add("pixel-length", view.path, "the file ends before them")
    elif found is not None and view.syntax in NATIVE_SYNTAXES:
        size = (view.integer("Rows") or 0) * (view.integer("Columns") or 0)
        frames = view.integer("NumberOfFrames") or 1
        expected = size * frames * ((view.integer("BitsAllocated") or 0) // 8)
        if found != expected + expected % 2:
            objections.add("pixel-length", view.path)


@dataclass(slots=True)
class _Waiting:
    """A derived slice whose next neighbour is not read yet."""

    pair: Matched
    derived: Thumb
    own: Thumb
    before: Thumb | None


@dataclass(slots=True)
class PixelJudge:
    """Judges pairs of slices in the order of the source.

    Args:
        objections: Told what is wrong.
        is_changed: Whether any pixel differed so far.
    """

    objections: Objections
    is_changed: bool = False
    _waiting: _Waiting | None = None
    _derived: PixelReader = field(default_factory=PixelReader)
    _source: PixelReader = field(default_factory=PixelReader)

    def judge(self, pairs: Iterable[Matched]) -> None:
        """Judge all pixels; they are read one slice at a time.

        Args:
            pairs: Derived slices with their sources, along the source.
        """
        seen = False
        path = None
        with quiet_pydicom():
            for pair, new, old in self._read(pairs):
                seen, path = True, pair.derived.path
                self._judge_words(pair, new, old)
                self._judge_values(pair, new, old)
        if self._waiting is not None:
            self._compare(self._waiting, None)
        if seen and path is not None and not self.is_changed:
            self.objections.add("unchanged", path)

    def _read(self, pairs: Iterable[Matched]) -> Iterator[tuple[Matched, StoredArray, StoredArray]]:
        for pair in pairs:
            try:
                new = self._derived.words(pair.derived)
            except (DamagedFileError, OSError):
                if not pair.derived.view.header.truncated:
                    self.objections.add("pixels-unreadable", pair.derived.path)
                continue
            try:
                old = self._source.words(pair.source)
            except (DamagedFileError, OSError):
                continue  # what the source hides cannot be compared
            if new.shape == old.shape:
                yield pair, new, old

    def _judge_words(self, pair: Matched, new: StoredArray, old: StoredArray) -> None:
        path = pair.derived.path
        stored = _stored(pair.derived, new)
        if stored is not new and np.any((stored != new) & (new != old)):
            self.objections.add("stored-range", path)
        if pair.source.padding is None:
            return
        before = _padding_mask(pair.source, old)
        after = _padding_mask(pair.derived, new) if pair.derived.padding else np.zeros_like(before)
        if before.any() and np.any(new[before] != old[before]):
            self.objections.add("padding-changed", path)
        if np.any(after & ~before):
            self.objections.add("padding-landed", path)

    def _judge_values(self, pair: Matched, new: StoredArray, old: StoredArray) -> None:
        if not self.is_changed:
            same_scale = pair.derived.rescale == pair.source.rescale
            self.is_changed = not same_scale or not np.array_equal(new, old)
        derived, own = _thumb(pair.derived, new), _thumb(pair.source, old)
        if derived is None or own is None:
            return
        body = own > _BODY_HU
        change = np.abs(np.nanmean((derived - own)[body])) if body.sum() > _BODY_PIXELS_LEAST else 0
        if change > _OFFSET_HU:
            self.objections.add("hu-offset", pair.derived.path)
        elif change > _SHIFT_HU:
            self.objections.add("hu-shift", pair.derived.path)
        before = None
        if self._waiting is not None:
            self._compare(self._waiting, own)
            before = self._waiting.own
        self._waiting = _Waiting(pair, derived, own, before)

    def _compare(self, one: _Waiting, after: Thumb | None) -> None:
        """Whether a derived slice is much nearer to a neighbour of its source than to its source.

        Args:
            one: The slice.
            after: What follows its source.
        """
        own = _mean_square(one.derived, one.own)
        for neighbour in (one.before, after):
            if neighbour is None or neighbour.shape != one.derived.shape or own < 1.0:
                continue
            if _mean_square(one.derived, neighbour) < _SWAPPED_SHARE * own:
                self.objections.add("swapped", one.pair.derived.path)
                return


def _mean_square(one: Thumb, other: Thumb) -> float:
    square = np.square(one - other)
    known = square[~np.isnan(square)]
    return float(known.mean()) if known.size else 0.0


def _stored(one: Slice, words: StoredArray) -> StoredArray:
    allocated = one.view.integer("BitsAllocated") or words.dtype.itemsize * 8
    bits = one.view.integer("BitsStored") or allocated
    if not 0 < bits < allocated:
        return words
    return without_unused_bits(words, allocated=allocated, stored=bits)


def _padding_mask(one: Slice, words: StoredArray) -> npt.NDArray[np.bool_]:
    low, high = one.padding or (1, 0)
    mask = (words >= low) & (words <= high)
    stored = _stored(one, words)
    if stored is not words:
        mask |= (stored >= low) & (stored <= high)
    return np.asarray(mask)


def _thumb(one: Slice, words: StoredArray) -> Thumb | None:
    if one.rescale is None:
        return None
    step = max(1, min(words.shape) // _THUMB_SIDE)
    coarse = words[::step, ::step]
    slope, intercept = one.rescale
    hu: Thumb = (_stored(one, coarse).astype(np.float64) * slope + intercept).astype(np.float32)
    if one.padding is not None:
        hu[_padding_mask(one, coarse)] = np.nan
    return hu
