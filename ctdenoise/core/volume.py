"""A CT image in Hounsfield units: the value that every part of the product takes and returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.core.source import SourceSeries
from ctdenoise.errors import GeometryError, InputError


@dataclass(frozen=True, slots=True, eq=False)
class CTVolume:
    """A stack of CT slices in Hounsfield units.

    Args:
        hu: Hounsfield units, float32, indexed [z, y, x]. Kept as a read-only view. Where
            `padding` is True it holds the rescaled padding value, which is not a Hounsfield unit.
        geometry: In-plane grid and the position of every slice, in the patient frame (LPS, mm).
        acquisition: How it was scanned, as far as known.
        source: The series it was read from, if any.
        history: What was done since, oldest first.
        padding: True outside the reconstruction circle, indexed like `hu`; None where every pixel
            is an image pixel. Steps leave these voxels alone and the writer restores them.

    Raises:
        GeometryError: If the array, the mask and the geometry differ in shape.
        InputError: If an image voxel is not a finite number.
    """

    hu: HuArray
    geometry: Geometry
    acquisition: Acquisition = field(default_factory=Acquisition)
    source: SourceSeries | None = None
    history: tuple[Step, ...] = ()
    padding: BoolArray | None = None

    def __post_init__(self) -> None:
        if self.hu.dtype != np.float32:
            raise InputError(f"Voxels must be float32 Hounsfield units, not {self.hu.dtype}.")
        if self.hu.shape != self.geometry.shape:
            raise GeometryError(
                f"{self.hu.shape} voxels do not fit a grid of {self.geometry.shape} [z, y, x]."
            )
        if self.padding is not None and self.padding.shape != self.hu.shape:
            raise GeometryError(
                f"A padding mask of {self.padding.shape} does not fit {self.hu.shape} voxels."
            )
        # min and max are NaN if any voxel is: one pass each, without a mask of the whole volume.
        if not np.isfinite(self.hu.min()) or not np.isfinite(self.hu.max()):
            raise InputError(
                "Some voxels are not finite numbers.",
                fix="Replace NaN and infinity before denoising; air is -1000 HU.",
            )
        object.__setattr__(self, "hu", _read_only(self.hu))
        if self.padding is not None:
            padding = self.padding.view()
            padding.setflags(write=False)
            object.__setattr__(self, "padding", padding if self.padding.any() else None)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        return self.geometry.shape

    def with_hu(self, hu: HuArray, step: Step) -> CTVolume:
        """The same grid with new voxels and one more line of history; padding stays as it is.

        Args:
            hu: New Hounsfield units, float32, of the same shape.
            step: What made them.
        """
        if self.padding is not None and hu.shape == self.hu.shape:
            hu = np.where(self.padding, self.hu, hu)
        return replace(self, hu=hu, history=(*self.history, step))

    def with_step(self, step: Step) -> CTVolume:
        """The same voxels, bit for bit, with one more line of history."""
        return replace(self, history=(*self.history, step))

    def select(self, which: slice | Sequence[int]) -> CTVolume:
        """Some of the slices, in order, with everything that belongs to them."""
        indices = slice_numbers(which, self.shape[0])
        index = which if isinstance(which, slice) else indices
        return replace(
            self,
            hu=self.hu[index],
            geometry=self.geometry.select(index),
            acquisition=self.acquisition.select(indices),
            source=None if self.source is None else self.source.select(indices),
            padding=None if self.padding is None else self.padding[index],
        )


def slice_numbers(which: slice | Sequence[int], slices: int) -> list[int]:
    """The slices that are meant, by number.

    Args:
        which: A stretch of slices, or their numbers.
        slices: How many there are.
    """
    return list(range(slices)[which]) if isinstance(which, slice) else list(which)


def _read_only(array: HuArray) -> HuArray:
    view = array.view()
    view.setflags(write=False)
    return view
