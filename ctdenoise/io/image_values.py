"""From Hounsfield units to the numbers that an image file stores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.io.image_files import image_header
from ctdenoise.io.image_voxels import StoredVoxels
from ctdenoise.io.study import FoundSeries

_WRITABLE = ("int16", "int32", "float32")


@dataclass(frozen=True, slots=True)
class ValueScale:
    """How an image file stores Hounsfield units: `HU = stored * slope + inter`.

    Args:
        dtype: int16, int32 or float32.
        slope: Hounsfield units of one step; 1 for float32.
        inter: Hounsfield units of a stored 0; 0 for float32.

    Raises:
        InputError: If the type is another.
    """

    dtype: np.dtype[np.number]
    slope: float = 1.0
    inter: float = 0.0

    def __post_init__(self) -> None:
        if self.dtype.name not in _WRITABLE:
            raise InputError(
                f"images are written as {', '.join(_WRITABLE)}, not {self.dtype.name}."
            )

    @property
    def is_scaled(self) -> bool:
        """Whether stored values are not Hounsfield units themselves."""
        return (self.slope, self.inter) != (1.0, 0.0)

    def unscaled(self) -> ValueScale:
        """A scale for a format that has no slope: where this one needs it, float32."""
        return ValueScale(np.dtype(np.float32)) if self.is_scaled else self

    def with_dtype(self, dtype: np.dtype[np.number]) -> ValueScale:
        """The same steps in another type; float32 needs none."""
        if np.issubdtype(dtype, np.floating):
            return ValueScale(dtype)
        return replace(self, dtype=dtype)

    def stored(self, volume: CTVolume) -> StoredVoxels:
        """A volume as it is stored, [z, y, x].

        Integers are rounded to the nearest step. Padding is the value it holds, cut to the range
        of the type.

        Args:
            volume: Some slices.

        Raises:
            ValueRangeError: If a Hounsfield unit does not fit the type.
        """
        if np.issubdtype(self.dtype, np.floating):
            return np.asarray(volume.hu)
        limits = np.iinfo(self.dtype.name)
        out = np.empty(volume.shape, dtype=self.dtype)
        for z, hu in enumerate(volume.hu):  # slice by slice: what is worked on stays in the cache
            steps = hu
            if self.is_scaled:
                steps = (hu.astype(np.float64) - self.inter) / self.slope
            rounded = np.rint(steps)
            if volume.padding is not None:
                clipped = np.clip(rounded, limits.min, limits.max)
                rounded = np.where(volume.padding[z], clipped, rounded)
            low, high = float(rounded.min()), float(rounded.max())
            if low < limits.min or high > limits.max:
                raise ValueRangeError(
                    f"Hounsfield units from {float(hu.min()):.0f} to {float(hu.max()):.0f} do not "
                    f"fit {self.dtype.name}.",
                    fix="Write float32.",
                )
            np.copyto(out[z], rounded, casting="unsafe")
        return out


class ValueRangeError(InputError):
    """A value does not fit the type that it is to be stored in."""


def exact_scale(found: FoundSeries) -> ValueScale:
    """The smallest scale in which every value of a series comes back as it was read.

    Whole Hounsfield units are int16 (int32 where that is too small, which shows only as they are
    written). Where all slices share one fractional rescale that NIfTI, which keeps it in float32,
    can hold exactly, stored values keep that rescale. Everything else is float32.

    Args:
        found: A readable series.

    Raises:
        StudyError: If an image file is damaged.
    """
    floats = ValueScale(np.dtype(np.float32))
    rescales = _rescales(found)
    if rescales is None:
        return floats
    if all(slope.is_integer() and inter.is_integer() for slope, inter in rescales):
        return ValueScale(np.dtype(np.int16))
    slope, inter = next(iter(rescales))
    is_exact = float(np.float32(slope)) == slope and float(np.float32(inter)) == inter
    if len(rescales) > 1 or not is_exact or slope <= 0:
        return floats
    return ValueScale(np.dtype(np.int16), slope, inter)


def _rescales(found: FoundSeries) -> set[tuple[float, float]] | None:
    """Every (slope, intercept) that whole stored values of a series have; None for others."""
    if found.kind == "dicom":
        return {
            (1.0 if h.rescale_slope is None else h.rescale_slope, h.rescale_intercept or 0.0)
            for h in found.headers
        }
    stored = image_header(found.source.instances[0].path).stored
    if stored is None or stored.dtype.kind == "f":
        return None
    return {(stored.slope, stored.inter)}
