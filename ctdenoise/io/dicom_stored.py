"""From Hounsfield units back to the stored values of one slice, on the scale it came with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import BoolArray, HuArray

Words = npt.NDArray[np.integer]
"""Stored values [y, x]."""


@dataclass(frozen=True, slots=True)
class StoredScale:
    """How a slice stores its pixels.

    Args:
        slope: RescaleSlope, not zero.
        intercept: RescaleIntercept, HU.
        bits_allocated: 8, 16 or 32.
        bits_stored: At most `bits_allocated`.
        signed: Whether PixelRepresentation is 1.
        padding: Smallest and largest stored value that mean "no pixel here"; None for none.
    """

    slope: float
    intercept: float
    bits_allocated: int
    bits_stored: int
    signed: bool
    padding: tuple[int, int] | None = None

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The allocated word, little endian."""
        kind = "i" if self.signed else "u"
        return np.dtype(f"<{kind}{self.bits_allocated // 8}")

    @property
    def is_finer_than_float32(self) -> bool:
        """Whether different stored values may have the same Hounsfield unit in float32."""
        largest = max(abs(value * self.slope + self.intercept) for value in self.limits)
        return abs(self.slope) < 2 * float(np.spacing(np.float32(largest)))

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value that BitsStored can hold."""
        if self.signed:
            return (-(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1)
        return (0, (1 << self.bits_stored) - 1)


def stored_from_hu(
    hu: HuArray,
    scale: StoredScale,
    *,
    source: Words | None = None,
    source_words: Words | None = None,
    padding: BoolArray | None = None,
) -> Words:
    """Stored values of a slice: `clip(rint((HU - intercept) / slope))`, padding as it was.

    A pixel whose Hounsfield unit did not change keeps its stored value, even where that says more
    than float32 can hold. No image pixel lands on the padding value or in its range (PS3.3
    C.7.5.1.1.2): it moves to the nearest value outside, unless the source had an image pixel on
    that value there.

    Args:
        hu: Hounsfield units [y, x].
        scale: How the slice stores its pixels.
        source: Stored values of the source [y, x], to know its image pixels; None for a new slice.
        source_words: Allocated words of the source [y, x], which padding is copied from.
        padding: Which pixels are padding, bool [y, x]; None for none.
    """
    exact = np.subtract(hu, scale.intercept, dtype=np.float64)
    if scale.slope != 1.0:
        exact /= scale.slope
    stored = np.rint(exact)
    if source is not None and scale.is_finer_than_float32:
        same = hu == (source.astype(np.float64) * scale.slope + scale.intercept).astype(np.float32)
        stored[same] = source[same]
    np.clip(stored, *scale.limits, out=stored)
    if scale.padding is not None:
        first, last = scale.padding
        lands = (stored >= first) & (stored <= last)
        if source is not None:
            lands &= ~((source >= first) & (source <= last))
        if lands.any():
            stored[lands] = _outside(exact[lands], scale.padding, scale.limits)
    words: Words = stored.astype(scale.dtype)  # within the limits, so nothing wraps
    if padding is not None:
        if source_words is not None:
            words[padding] = source_words[padding].astype(scale.dtype)
        elif scale.padding is not None:
            words[padding] = scale.padding[0]
    return words


def _outside(
    exact: npt.NDArray[np.float64], padding: tuple[int, int], limits: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The nearest value below or above the padding range that can be stored."""
    below, above = padding[0] - 1, padding[1] + 1
    if below < limits[0]:
        return np.full_like(exact, min(above, limits[1]))
    if above > limits[1]:
        return np.full_like(exact, below)
    return np.where(exact - below <= above - exact, below, above).astype(np.float64)
