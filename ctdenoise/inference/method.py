"""What takes noise away, and how a scan is handed to it.

A `Method` is a network or a classical filter. It is settled on a scan once, which is where noise is
measured, and then says of every block of slices what it would take away. What becomes of that is
the same for all methods; see `denoiser`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ctdenoise.core.arrays import HuArray, LabelArray
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume

SAMPLE_SLICES = 64
"""Slices of a scan that are measured before it is denoised, at most."""

BLOCK_SLICES = 8
"""Slices that go through a denoiser together, unless a method computes more of them at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive slices of a scan, with the slices around them that a method looks at.

    Args:
        volume: The slices and those around them; fewer around at the ends of the scan.
        first: Place in the scan of the first slice of `volume`.
        inner: The slices of `volume` that are meant.
        alone: Whether nothing is known of the slices around `volume`: its ends count as ends of
            the scan, whichever slices the scan has there.
    """

    volume: CTVolume
    first: int
    inner: slice
    alone: bool = False

    @property
    def places(self) -> range:
        """Where in the scan the slices are that are meant."""
        return range(self.first + self.inner.start, self.first + self.inner.stop)

    @property
    def wanted(self) -> CTVolume:
        """The slices that are meant, alone."""
        whole = self.inner == slice(0, self.volume.shape[0])
        return self.volume if whole else self.volume.select(self.inner)


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """Which slices of a scan are read for a block.

    Args:
        outer: Slices of the scan, those around included.
        inner: Which of them are meant.
    """

    outer: slice
    inner: slice


def plan_blocks(slices: int, *, size: int, context: int = 0) -> Iterator[BlockPlan]:
    """All slices of a scan, in order, in blocks.

    Args:
        slices: How many there are.
        size: Slices of a block; the last may have fewer.
        context: Slices around each block, as far as there are any.
    """
    for first in range(0, slices, size):
        stop = min(first + size, slices)
        outer = slice(max(0, first - context), min(slices, stop + context))
        yield BlockPlan(outer, slice(first - outer.start, stop - outer.start))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Slices of a scan that are measured before it is denoised.

    Args:
        volume: The slices.
        places: Where in the scan each of them is, ascending.
    """

    volume: CTVolume
    places: tuple[int, ...]

    @classmethod
    def of(cls, volume: CTVolume, context: int = 0) -> Sample:
        """The sample of a scan that is in memory.

        Args:
            volume: The scan.
            context: Slices on either side that the method looks at.
        """
        places = sample_places(volume.shape[0], context)
        whole = len(places) == volume.shape[0]
        return cls(volume if whole else volume.select(places), tuple(places))

    def block(self, number: int, context: int) -> Block:
        """One slice of the sample, with what the sample has of the slices around it.

        Args:
            number: Which slice of the sample.
            context: Slices on either side that are wanted.
        """
        first, last = number, number
        while number - first < context and self._follow(first - 1):
            first -= 1
        while last - number < context and self._follow(last):
            last += 1
        volume = self.volume.select(slice(first, last + 1))
        return Block(volume, self.places[first], slice(number - first, number - first + 1))

    def surrounded(self, context: int) -> list[int]:
        """The slices of the sample that have all slices around them in it; all if none has.

        Args:
            context: Slices on either side that are wanted.
        """
        numbers = range(len(self.places))
        found = [n for n in numbers if self.block(n, context).volume.shape[0] == 2 * context + 1]
        return found or list(numbers)

    def _follow(self, number: int) -> bool:
        """Whether a slice of the sample and the next one are neighbours in the scan."""
        if not 0 <= number < len(self.places) - 1:
            return False
        return self.places[number + 1] == self.places[number] + 1


def sample_places(slices: int, context: int = 0) -> list[int]:
    """The slices of a scan that are measured: all, or `SAMPLE_SLICES` of them, evenly spread.

    Args:
        slices: How many the scan has.
        context: Slices on either side that the method looks at: they are measured, too.
    """
    together = 2 * context + 1
    if slices <= max(SAMPLE_SLICES, together):
        return list(range(slices))
    middles = np.linspace(context, slices - 1 - context, max(1, SAMPLE_SLICES // together)).round()
    around = range(-context, context + 1)
    return sorted({int(middle) + step for middle in middles for step in around})


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """What a network says about a volume beside its image.

    Args:
        labels: Class of every voxel, uint8 [z, y, x]: 0 is background, and so is padding; None
            unless asked for.
        error_hu: Standard deviation of the error of the method's own image, float32 [z, y, x], HU,
            0 at padding; None unless asked for. The strength with which the image was applied does
            not change it.
    """

    labels: LabelArray | None = None
    error_hu: HuArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What a method would take away from some slices.

    Args:
        removed_hu: Image less the method's own result, float32 [z, y, x], HU; of no meaning at
            padding.
        estimates: What it says beside, as asked for.
    """

    removed_hu: HuArray
    estimates: Estimates


class SettledMethod(Protocol):
    """A method that has measured what it must know about a scan."""

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """What was measured, for the history: it decides the voxels."""
        ...

    def take(self, block: Block, *, labels: bool = False, error: bool = False) -> Taken:
        """What is to be taken away from the slices that a block means.

        The same for a slice whichever others are in the block, as long as its context is.

        Args:
            block: Slices, with at least `context` around them where the scan has so many.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
        """
        ...


class Method(Protocol):
    """A network or a classical filter."""

    @property
    def name(self) -> str:
        """What it is, for people: "redcnn"."""
        ...

    @property
    def description(self) -> str:
        """What computes, in a few words: "torch cpu float32"."""
        ...

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that change with whatever decides the output."""
        ...

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """What it is in numbers, for the history: its range, its parameters."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class that it labels, background first; empty if it labels nothing."""
        ...

    @property
    def states_error(self) -> bool:
        """Whether it says how far its image may be off."""
        ...

    @property
    def context(self) -> int:
        """Slices on either side that it looks at."""
        ...

    def block_slices(self, shape: tuple[int, int]) -> int:
        """Slices that it wants together.

        Args:
            shape: Their size along (y, x).

        Raises:
            SettingsError: If the bound on memory is too small for one.
        """
        ...

    def settle(self, sample: Sample, scan: Scan) -> SettledMethod:
        """Measure in a scan what must be known of it as a whole.

        Args:
            sample: Some of its slices.
            scan: What is known of all of them.
        """
        ...


def shown(volume: CTVolume, limits_hu: tuple[float, float]) -> HuArray:
    """The voxels that a method is shown: within limits, and air at padding.

    Args:
        volume: Some slices.
        limits_hu: Lowest and highest value that it is shown.
    """
    seen: HuArray = np.clip(volume.hu, *limits_hu)
    if volume.padding is not None:
        seen[volume.padding] = AIR_HU
    return seen
