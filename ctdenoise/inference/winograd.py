"""Convolutions of stride 1 by Winograd's short convolutions, in float32 on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.inference.cook_toom import short_convolution
from ctdenoise.inference.crew import Crew, huge_array
from ctdenoise.inference.feature_maps import Finish, Maps, stored
from ctdenoise.inference.vector_code import VectorUnit, group_of
from ctdenoise.inference.winograd_call import PLANE_GAP, Field, Kind, Part, tiles_per_block
from ctdenoise.inference.winograd_code import winograd_function

TAPS = (3, 5)
"""Edges of kernels that there are transforms for."""

OUTPUTS = (6, 4, 2)
"""m of F(m x m, r x r). With 8 a 5 x 5 convolution is a tenth faster and a 3 x 3 one an eighth, but
they round five times as coarsely, and on images of metal and strong noise 0.05 HU are near."""

_READING = 40
"""Reading a factor from memory takes as long as multiplying with it for so many tiles."""

LARGEST_PART = 128
"""Input channels that are transformed together: with more, a block would not stay in the cache."""


class WinogradConvolution:
    """A convolution whose weights are transformed once.

    Args:
        weight: [output, input, y, x], square, of an edge in `TAPS`.
        bias: [output].
        padding: Zeros around the image.
        unit: What computes.
        outputs: m, even.
        parts: Channels of the inputs that are given one beside the other; one input if None.
    """

    def __init__(
        self,
        weight: DoubleArray,
        bias: DoubleArray,
        *,
        padding: int,
        unit: VectorUnit,
        outputs: int = OUTPUTS[0],
        parts: Sequence[int] | None = None,
    ) -> None:
        self.channels, inputs, self._taps, _ = weight.shape
        self._padding, self._unit = padding, unit
        self._outputs = outputs
        vectors = stored(self.channels) // unit.lanes
        group = group_of(vectors, unit)
        self._kind = Kind(self._outputs, self._taps, group, unit)
        self._groups = -(-vectors // group)
        self._parts = tuple(parts or (inputs,))
        self._pieces = [_pieces(stored(part)) for part in self._parts]
        self._factors = self._transformed(weight)
        self._bias = _padded(bias, self._stored_out)

    @property
    def _stored_out(self) -> int:
        return self._groups * self._kind.group * self._unit.lanes

    def _transformed(self, weight: DoubleArray) -> FloatArray:
        """Factors as the kernel reads them: [place][piece of the input][group][input][output]."""
        edge, width = self._kind.tile, self._kind.group * self._unit.lanes
        outputs, inputs = weight.shape[:2]
        shape = (edge * edge, sum(map(stored, self._parts)), self._stored_out)
        factors = huge_array(int(np.prod(shape))).reshape(shape[0], -1)
        exact = short_convolution(self._outputs, self._taps).transformed(weight)
        exact = exact.transpose(2, 3, 1, 0).reshape(edge * edge, inputs, outputs)
        done = first = 0
        for part, pieces in zip(self._parts, self._pieces, strict=True):
            whole = np.zeros((edge * edge, stored(part), self._stored_out), np.float32)
            whole[:, :part, :outputs] = exact[:, first : first + part]
            first += part
            start = 0
            for piece in pieces:
                some = whole[:, start : start + piece].reshape(edge * edge, piece, -1, width)
                size = piece * self._stored_out
                factors[:, done : done + size] = some.transpose(0, 2, 1, 3).reshape(edge**2, size)
                start, done = start + piece, done + size
        return factors

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the result."""
        lost = self._taps - 1 - 2 * self._padding
        return size[0] - lost, size[1] - lost

    def __call__(self, inputs: Sequence[Maps], out: Maps, finish: Finish, crew: Crew) -> None:
        """Convolve.

        Args:
            inputs: One for each part, of equal size.
            out: Where the result goes; must not be one of the inputs. It may be the shortcut.
            finish: What follows.
            crew: Threads.
        """
        numbers, scratch, kept = self._call(inputs, out, finish)
        counter = np.zeros(1, np.int64)
        numbers[Field.counter] = counter.ctypes.data
        crew.run(winograd_function(self._kind), numbers.ctypes.data, scratch)
        del kept

    def _call(
        self, inputs: Sequence[Maps], out: Maps, finish: Finish
    ) -> tuple[np.ndarray, int, object]:
        height, width = inputs[0].size
        out_height, out_width = out.size
        down, across = (-(-length // self._outputs) for length in out.size)
        table = self._table(inputs)
        block, places = tiles_per_block(self._kind), self._kind.tile**2
        alone = len(table) == 1
        deepest = int(table[:, Part.vectors].max()) * self._unit.lanes
        stride = max(deepest, self._stored_out) if alone else deepest
        plane = block * stride + PLANE_GAP
        product_stride = stride if alone else self._stored_out
        product_plane = block * product_stride + PLANE_GAP
        ends = places * plane, places * (plane + (0 if alone else product_plane))
        slopes = np.full(stored(self.channels), finish.slope, np.float32)
        bias = finish.shifted(self._bias)
        shortcut = finish.shortcut
        numbers = np.zeros(len(Field), np.int64)
        for field, value in (
            (Field.blocks, -(-down * across // block)),
            (Field.tiles, down * across),
            (Field.tiles_across, across),
            (Field.padding, self._padding),
            (Field.parts, len(table)),
            (Field.part_table, table.ctypes.data),
            (Field.height, height),
            (Field.width, width),
            (Field.factors, self._factors.ctypes.data),
            (Field.factor_plane, self._factors.shape[1]),
            (Field.groups, self._groups),
            (Field.tile_stride, stride),
            (Field.plane, plane),
            (Field.product_offset, 0 if alone else ends[0]),
            (Field.product_stride, product_stride),
            (Field.product_plane, product_plane),
            (Field.spare_offset, ends[1] if alone and self._groups > 1 else 0),
            (Field.out, out.data.data_ptr()),
            (Field.out_height, out_height),
            (Field.out_width, out_width),
            (Field.out_row, out.data.stride(0)),
            (Field.out_pixel, out.data.stride(1)),
            (Field.out_vectors, stored(self.channels) // self._unit.lanes),
            (Field.bias, bias.ctypes.data),
            (Field.slope, slopes.ctypes.data),
            (Field.shortcut, 0 if shortcut is None else shortcut.data.data_ptr()),
            (Field.shortcut_row, 0 if shortcut is None else shortcut.data.stride(0)),
            (Field.shortcut_pixel, 0 if shortcut is None else shortcut.data.stride(1)),
            (Field.shortcut_last, int(finish.shortcut_last)),
        ):
            numbers[field] = value
        # Behind the planes lies the one of products that is copied back, tile by tile like those.
        return numbers, ends[1] + block * product_stride, (table, slopes, bias)

    def _table(self, inputs: Sequence[Maps]) -> np.ndarray:
        rows, done = [], 0
        for maps, pieces in zip(inputs, self._pieces, strict=True):
            start = maps.data.data_ptr()
            for piece in pieces:
                row = np.zeros(Part.size, np.int64)
                row[Part.address], row[Part.factor_offset] = start, done
                row[Part.row], row[Part.pixel] = maps.data.stride(0), maps.data.stride(1)
                row[Part.vectors] = piece // self._unit.lanes
                rows.append(row)
                start, done = start + 4 * piece, done + piece * self._stored_out
        return np.array(rows)


def best_outputs(size: tuple[int, int], taps: int) -> int:
    """The best m for a result of some size: small images have few tiles for many factors.

    Args:
        size: Rows and columns.
        taps: Edge of the kernel.
    """

    def cost(outputs: int) -> int:
        tiles = -(-size[0] // outputs) * -(-size[1] // outputs)
        return (outputs + taps - 1) ** 2 * (tiles + _READING)

    return min(OUTPUTS, key=cost)


def _pieces(channels: int) -> list[int]:
    """Stored channels of an input in stretches that are transformed together, nearly equal."""
    count = -(-channels // LARGEST_PART)
    step = stored(-(-channels // count))
    return [min(step, channels - start) for start in range(0, channels, step)]


def _padded(values: DoubleArray, length: int) -> FloatArray:
    padded = np.zeros(length, np.float32)
    padded[: len(values)] = values
    return padded


def as_double(tensor: Tensor) -> DoubleArray:
    """A tensor as an array of float64."""
    return np.asarray(tensor.detach().to(torch.float64).numpy())
