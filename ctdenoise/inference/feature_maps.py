"""Feature maps as kernels read and write them: channels innermost, in whole vectors."""

from __future__ import annotations

import mmap
import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

from ctdenoise.core.arrays import FloatArray
from ctdenoise.inference.crew import array_in, huge_memory

WHOLE = 16
"""Channels are stored in multiples of this, whatever the vectors of the processor."""


def stored(channels: int) -> int:
    """Channels with those that fill the last vector."""
    return -(-channels // WHOLE) * WHOLE


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Feature maps of one slice.

    Args:
        data: [y, x, stored], float32; numbers beyond the channels are finite, mostly 0.
        channels: How many of the stored ones count.
    """

    data: Tensor
    channels: int

    @property
    def tensor(self) -> Tensor:
        """The same memory as a tensor [1, channel, y, x].

        The slice comes first before axes move: only then torch sees that it is channels-last.
        """
        return self.data[None].permute(0, 3, 1, 2)[:, : self.channels]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape[0], self.data.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Finish:
    """What follows a convolution, in the same pass.

    Args:
        slope: Values below 0 are multiplied by this, between 0 and 1: 0 is a ReLU, 1 changes
            nothing.
        shortcut: Maps that are added, of the size of the result.
        shortcut_last: Whether they are added after the values below 0 were changed.
        shift: What is added to the bias; None for nothing.
    """

    slope: float = 1.0
    shortcut: Maps | None = None
    shortcut_last: bool = False
    shift: FloatArray | None = None

    def shifted(self, bias: FloatArray) -> FloatArray:
        """A bias, or a longer one, with what is added to it."""
        if self.shift is None:
            return bias
        sums = bias.copy()
        sums[: len(self.shift)] += self.shift
        return sums


class Store:
    """Memory for feature maps, used again as soon as nobody needs the maps in it.

    Fresh memory costs a page fault for every page and the zeros the system fills it with: for maps
    of a whole slice, as much time as a small convolution takes.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[mmap.mmap]] = {}
        self._used = 0
        self.most_used = 0

    def empty(self, height: int, width: int, channels: int) -> Maps:
        """Maps to be written.

        Args:
            height: Rows.
            width: Columns.
            channels: How many count.
        """
        kept = stored(channels)
        size = 4 * height * width * kept
        free = self._free.setdefault(size, [])
        memory = free.pop() if free else huge_memory(size)
        array = array_in(memory, height * width * kept)
        weakref.finalize(array, self._give_back, memory, size)
        self._used += size
        self.most_used = max(self.most_used, self._used)
        return Maps(torch.from_numpy(array).view(height, width, kept), channels)

    def maps_of(self, tensor: Tensor) -> Maps:
        """Maps of a tensor [1, channel, y, x]; copied unless it is stored the same way."""
        _, channels, height, width = tensor.shape
        if channels % WHOLE == 0 and tensor.is_contiguous(memory_format=torch.channels_last):
            return Maps(tensor[0].permute(1, 2, 0), channels)
        maps = self.empty(height, width, channels)
        maps.data[..., channels:] = 0
        maps.data[..., :channels] = tensor[0].permute(1, 2, 0)
        return maps

    def like(self, maps: Maps) -> Maps:
        """Maps of the same size and channels, to be written."""
        made = self.empty(*maps.size, maps.data.shape[2])
        return Maps(made.data, maps.channels)

    def forget(self) -> None:
        """Give the memory that nobody uses back to the system."""
        self._free.clear()

    def _give_back(self, memory: mmap.mmap, size: int) -> None:
        self._free.setdefault(size, []).append(memory)
        self._used -= size
