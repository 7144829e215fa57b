"""What a compiled Winograd convolution depends on, and what a call of it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, auto

from ctdenoise.inference.vector_code import FLOATS, Code, Value, VectorUnit

PLANE_GAP = 16
"""Numbers between the planes of a block: without it their lines fall into the same few places of
the cache."""


class Field(IntEnum):
    """Places in the whole numbers that a call is given; addresses are whole numbers, too."""

    counter = 0  # address of the number of the next block
    blocks = auto()
    tiles = auto()
    tiles_across = auto()
    padding = auto()
    parts = auto()  # input is in so many parts
    part_table = auto()  # address of their rows: see `Part`
    height = auto()  # of the input
    width = auto()
    factors = auto()  # address
    factor_plane = auto()  # numbers for one place in the tile
    groups = auto()  # of output vectors
    tile_stride = auto()  # numbers from one tile to the next in a plane
    plane = auto()  # numbers of a plane
    product_offset = auto()  # where products are in the scratch memory
    product_stride = auto()
    product_plane = auto()
    spare_offset = auto()  # a plane of products that is copied back, numbers
    out = auto()  # address
    out_height = auto()
    out_width = auto()
    out_row = auto()
    out_pixel = auto()
    out_vectors = auto()
    bias = auto()  # address, as are the next
    slope = auto()
    shortcut = auto()  # 0 for none
    shortcut_row = auto()
    shortcut_pixel = auto()
    shortcut_last = auto()  # 1 where it is added after the nonlinearity


class Part(IntEnum):
    """Places in a row of the table of parts."""

    address = 0
    row = auto()
    pixel = auto()
    vectors = auto()
    factor_offset = auto()
    size = auto()


@dataclass(frozen=True, slots=True)
class Kind:
    """What the code of a convolution depends on.

    Args:
        outputs: m of F(m, r).
        taps: r.
        group: Output vectors computed at once.
        unit: The vectors.
    """

    outputs: int
    taps: int
    group: int
    unit: VectorUnit

    @property
    def rows(self) -> int:
        """Tiles multiplied at once: as many as registers hold, with the factors and one input."""
        return min(16, (self.unit.registers - 1 - self.group) // self.group)

    @property
    def tile(self) -> int:
        """n, the edge of a tile that is read."""
        return self.outputs + self.taps - 1


def tiles_per_block(kind: Kind) -> int:
    """Tiles that one thread works on at once."""
    return 32 // kind.rows * kind.rows


def reader(code: Code, numbers: Value) -> Callable[[int], Value]:
    """What reads one of the numbers of a call.

    Args:
        code: The function being written.
        numbers: Their address.
    """
    return lambda index: code.builder.load(code.place(numbers, int(index)))


def address_of(code: Code, number: Value) -> Value:
    """A whole number as the address of float32 numbers."""
    return code.builder.inttoptr(number, FLOATS)
