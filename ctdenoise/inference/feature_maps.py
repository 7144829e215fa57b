"""Feature maps as the convolution kernels read and write them: channels innermost, whole vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ctdenoise.inference.crew import huge_array

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

    @classmethod
    def empty(cls, height: int, width: int, channels: int) -> Self:
        """Maps to be written, in memory of their own."""
        kept = stored(channels)
        memory = torch.from_numpy(huge_array(height * width * kept))
        return cls(memory.view(height, width, kept), channels)

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Maps of a tensor [1, channel, y, x]; copied unless it is stored the same way."""
        _, channels, height, width = tensor.shape
        if channels % WHOLE == 0 and tensor.is_contiguous(memory_format=torch.channels_last):
            return cls(tensor[0].permute(1, 2, 0), channels)
        maps = cls.empty(height, width, channels)
        maps.data[..., :channels] = tensor[0].permute(1, 2, 0)
        return maps

    @property
    def tensor(self) -> Tensor:
        """The same memory as a tensor [1, channel, y, x]."""
        return self.data.permute(2, 0, 1)[None, : self.channels]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape[0], self.data.shape[1]
