"""Convolutions of stride 1 with few inputs or few outputs, in float32 on a CPU."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.inference.crew import Crew
from ctdenoise.inference.direct_code import (
    SUMMED,
    Field,
    few_inputs_function,
    few_outputs_function,
    pixels_at_once,
)
from ctdenoise.inference.feature_maps import Finish, Maps, stored
from ctdenoise.inference.vector_code import VectorUnit, group_of

MOST_PRODUCTS = 75
"""Products of one pixel, inputs times taps, up to which few inputs are convolved directly."""

MOST_OUTPUTS = 2
"""Outputs up to which maps are convolved directly."""


class FewInputs:
    """A convolution of a few planes into maps.

    Args:
        weight: [output, input, y, x], square.
        bias: [output].
        padding: Zeros around the image.
        unit: What computes.
    """

    def __init__(
        self, weight: DoubleArray, bias: DoubleArray, *, padding: int, unit: VectorUnit
    ) -> None:
        self.channels, inputs, self._taps, _ = weight.shape
        self._padding, self._unit = padding, unit
        self._vectors = stored(self.channels) // unit.lanes
        self._group = group_of(self._vectors, unit, exact=True)
        width = self._group * unit.lanes
        whole = np.zeros((stored(self.channels), inputs * self._taps**2), np.float32)
        whole[: self.channels] = weight.reshape(self.channels, -1)
        # Groups, then products, then outputs of a group.
        grouped = whole.reshape(-1, width, whole.shape[1]).transpose(0, 2, 1)
        self._weights = np.ascontiguousarray(grouped)
        self._bias = np.zeros(stored(self.channels), np.float32)
        self._bias[: self.channels] = bias

    def __call__(self, scaled: Tensor, out: Maps, finish: Finish, crew: Crew) -> None:
        """Convolve.

        Args:
            scaled: [1, input, y, x].
            out: Where the result goes.
            finish: What follows; a shortcut is not possible.
            crew: Threads.
        """
        pad = self._padding
        beyond = pixels_at_once(self._group, self._unit)
        planes = F.pad(scaled[0], (pad, pad + beyond, pad, pad)).contiguous()
        channel, row, _ = planes.stride()
        span = np.arange(self._taps)
        offsets = np.ascontiguousarray(
            np.arange(len(planes))[:, None, None] * channel + span[:, None] * row + span, np.int64
        )
        slopes = np.full(stored(self.channels), finish.slope, np.float32)
        bias = finish.shifted(self._bias)
        counter, numbers = np.zeros(1, np.int64), np.zeros(len(Field), np.int64)
        for field, value in (
            (Field.counter, counter.ctypes.data),
            (Field.height, out.size[0]),
            (Field.width, out.size[1]),
            (Field.source, planes.data_ptr()),
            (Field.source_row, row),
            (Field.vectors, self._vectors),
            (Field.depth, offsets.size),
            (Field.offsets, offsets.ctypes.data),
            (Field.weights, self._weights.ctypes.data),
            (Field.bias, bias.ctypes.data),
            (Field.slope, slopes.ctypes.data),
            (Field.out, out.data.data_ptr()),
            (Field.out_row, out.data.stride(0)),
            (Field.out_pixel, out.data.stride(1)),
        ):
            numbers[field] = value
        crew.run(few_inputs_function(self._group, self._unit), numbers.ctypes.data, 0)

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the result."""
        lost = self._taps - 1 - 2 * self._padding
        return size[0] - lost, size[1] - lost


class FewOutputs:
    """A convolution of maps into one or two planes.

    Args:
        weight: [output, input, y, x], square.
        bias: [output].
        padding: Zeros around the image, fewer than taps.
        unit: What computes.
    """

    def __init__(
        self, weight: DoubleArray, bias: DoubleArray, *, padding: int, unit: VectorUnit
    ) -> None:
        outputs, inputs, self._taps, _ = weight.shape
        self._padding, self._unit = padding, unit
        kept = stored(inputs)
        whole = np.zeros((outputs, kept, self._taps, self._taps), np.float32)
        whole[:, :inputs] = weight
        # Outputs, lines of the kernel, vectors of inputs, columns of the kernel, lanes.
        parted = whole.reshape(outputs, kept // SUMMED, SUMMED, self._taps, self._taps)
        self._weights = np.ascontiguousarray(parted.transpose(0, 3, 1, 4, 2))
        self._bias = bias.astype(np.float32)
        self._zeros = np.zeros(kept, np.float32)

    def __call__(self, maps: Maps, crew: Crew) -> Tensor:
        """Convolve; gives [1, output, y, x].

        Args:
            maps: What is convolved.
            crew: Threads.
        """
        height, width = self.size_after(maps.size)
        planes = torch.empty(1, len(self._weights), height, width)
        for index, weights in enumerate(self._weights):
            plane = planes[0, index]
            counter, numbers = np.zeros(1, np.int64), np.zeros(len(Field), np.int64)
            for field, value in (
                (Field.counter, counter.ctypes.data),
                (Field.height, height),
                (Field.width, width),
                (Field.source, maps.data.data_ptr()),
                (Field.source_row, maps.data.stride(0)),
                (Field.source_pixel, maps.data.stride(1)),
                (Field.source_height, maps.size[0]),
                (Field.source_width, maps.size[1]),
                (Field.vectors, self._weights.shape[2]),
                (Field.padding, self._padding),
                (Field.weights, weights.ctypes.data),
                (Field.bias, self._bias[index:].ctypes.data),
                (Field.out, plane.data_ptr()),
                (Field.out_row, plane.stride(0)),
                (Field.zeros, self._zeros.ctypes.data),
            ):
                numbers[field] = value
            crew.run(few_outputs_function(self._taps, self._unit), numbers.ctypes.data, 0)
        return planes

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the result."""
        lost = self._taps - 1 - 2 * self._padding
        return size[0] - lost, size[1] - lost
