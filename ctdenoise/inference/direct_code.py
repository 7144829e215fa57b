"""The machine code of convolutions with few inputs or few outputs, pixel by pixel.

Here the transforms of a Winograd convolution would cost more than they save.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, auto
from functools import cache
from typing import Any

from llvmlite import ir

from ctdenoise.inference.vector_code import (
    FLOATS,
    INT,
    INTS,
    Code,
    Compiled,
    Value,
    VectorUnit,
)

SUMMED = 16
"""Lanes in which channels are summed, whatever the processor has, so that all round alike."""


class Field(IntEnum):
    """Places in the whole numbers that a call is given."""

    counter = 0  # address of the number of the next row
    height = auto()  # of the result
    width = auto()
    source = auto()  # address
    source_row = auto()
    source_pixel = auto()
    source_height = auto()
    source_width = auto()
    vectors = auto()  # of 16 input channels, or of output channels
    padding = auto()
    depth = auto()  # products of one pixel
    offsets = auto()  # address of where their inputs are
    weights = auto()  # address
    bias = auto()  # address
    slope = auto()  # address
    out = auto()  # address
    out_row = auto()
    out_pixel = auto()
    zeros = auto()  # address of as many zeros as there are channels


@cache
def few_inputs_function(group: int, unit: VectorUnit) -> Callable[[int, int], None]:
    """The compiled convolution of one or a few planes into maps.

    Args:
        group: Output vectors computed at once.
        unit: What computes.
    """
    module = ir.Module("few_inputs")
    _few_inputs(module, group, unit)
    return Compiled(module, unit).function("convolve")


@cache
def few_outputs_function(taps: int, unit: VectorUnit) -> Callable[[int, int], None]:
    """The compiled convolution of maps into one plane.

    Args:
        taps: Edge of the kernel.
        unit: What computes.
    """
    module = ir.Module("few_outputs")
    _few_outputs(module, taps, unit)
    return Compiled(module, unit).function("convolve")


def pixels_at_once(group: int, unit: VectorUnit) -> int:
    """Pixels whose sums are in registers together, where a few inputs are convolved."""
    return min(16, (unit.registers - 1 - group) // group)


class _Rows:
    """A function that takes rows of the result, one after another, until there are none.

    Args:
        module: Where it goes.
        lanes: Numbers in a vector.
    """

    def __init__(self, module: ir.Module, lanes: int) -> None:
        self.code = Code(module, "convolve", (INTS, FLOATS), lanes=lanes, internal=False)
        builder = self.code.builder
        self.numbers = self.code.arguments[0]
        self._again = builder.append_basic_block("again")
        self._body, self._end = (builder.append_basic_block(name) for name in ("row", "end"))

    def number(self, index: Field) -> Value:
        """A number of the call."""
        return self.code.builder.load(self.code.place(self.numbers, int(index)))

    def address(self, index: Field) -> Value:
        """An address of the call."""
        return self.code.builder.inttoptr(self.number(index), FLOATS)

    def next(self) -> Value:
        """Start on the next row; gives its number."""
        builder = self.code.builder
        counter = builder.inttoptr(self.number(Field.counter), INTS)
        height = self.number(Field.height)
        builder.branch(self._again)
        builder.position_at_end(self._again)
        row = builder.atomic_rmw("add", counter, ir.Constant(INT, 1), "monotonic")
        builder.cbranch(builder.icmp_signed("<", row, height), self._body, self._end)
        builder.position_at_end(self._body)
        return row

    def finish(self) -> None:
        """The row is done."""
        self.code.builder.branch(self._again)
        self.code.builder.position_at_end(self._end)
        self.code.finish()


def _few_inputs(module: ir.Module, group: int, unit: VectorUnit) -> None:
    """Some pixels of a row by some vectors of outputs: every input times a vector of weights."""
    lanes, pixels = unit.lanes, pixels_at_once(group, unit)
    rows = _Rows(module, lanes)
    code, builder = rows.code, rows.code.builder
    nowhere = code.space(group)
    width, depth = rows.number(Field.width), rows.number(Field.depth)
    offsets = builder.inttoptr(rows.number(Field.offsets), INTS)
    y = rows.next()
    line = code.place(rows.address(Field.source), code.times(y, rows.number(Field.source_row)))
    line_out = code.place(rows.address(Field.out), code.times(y, rows.number(Field.out_row)))
    with code.loop(rows.number(Field.vectors), step=group) as vector:
        channel = code.times(vector, lanes)
        weights = code.place(rows.address(Field.weights), code.times(channel, depth))
        bias, slope = (
            [code.load(rows.address(field), code.plus(channel, lanes * at)) for at in range(group)]
            for field in (Field.bias, Field.slope)
        )
        with code.loop(width, step=pixels) as x:
            start = code.place(line, x)
            with code.summing_loop(depth, bias * pixels) as (index, sums, changed):
                place = code.place(start, builder.load(code.place(offsets, index)))
                used = code.place(weights, code.times(index, group * lanes))
                factors = [code.load(used, lanes * at) for at in range(group)]
                for pixel in range(pixels):
                    seen = code.load_splat(place, pixel)
                    changed.extend(
                        code.multiply_add(seen, factor, sums[pixel * group + at])
                        for at, factor in enumerate(factors)
                    )
            for pixel in range(pixels):
                column = code.plus(x, pixel)
                away = code.plus(code.times(column, rows.number(Field.out_pixel)), channel)
                exists = builder.icmp_signed("<", column, width)
                target = builder.select(exists, code.place(line_out, away), nowhere)
                for at in range(group):
                    total = changed[pixel * group + at]
                    bent = code.larger(builder.fmul(total, slope[at]), total)
                    code.store(bent, target, lanes * at)
    rows.finish()


def _few_outputs(module: ir.Module, taps: int, unit: VectorUnit) -> None:
    """Some pixels of a row: sums over channels in lanes, which are added up last."""
    pixels = unit.registers // 4
    rows = _Rows(module, SUMMED)
    code, builder = rows.code, rows.code.builder
    nowhere = code.space(1)
    padding, vectors = rows.number(Field.padding), rows.number(Field.vectors)
    source, zeros = rows.address(Field.source), rows.address(Field.zeros)
    weights, out = rows.address(Field.weights), rows.address(Field.out)
    bias = builder.load(rows.address(Field.bias))
    source_row, source_pixel = rows.number(Field.source_row), rows.number(Field.source_pixel)
    height, width = rows.number(Field.source_height), rows.number(Field.source_width)
    y = rows.next()
    top = builder.sub(y, padding)
    first = builder.select(
        builder.icmp_signed("<", top, ir.Constant(INT, 0)), builder.neg(top), ir.Constant(INT, 0)
    )
    lines = builder.sub(code.smaller(taps, builder.sub(height, top)), first)
    line_out = code.place(out, code.times(y, rows.number(Field.out_row)))
    zero = [code.constant(0.0)] * pixels
    with code.loop(rows.number(Field.width), step=pixels) as x:
        left = builder.sub(x, padding)
        with code.summing_loop(lines, zero) as (turn, sums, changed):
            tap = builder.add(first, turn)
            line = code.place(source, code.times(builder.add(top, tap), source_row))
            places = []
            for pixel in range(pixels + taps - 1):
                column = code.plus(left, pixel)
                place = code.place(line, code.times(column, source_pixel))
                places.append(builder.select(code.within(column, width), place, zeros))
            used = code.place(weights, code.times(code.times(tap, vectors), taps * SUMMED))
            with code.summing_loop(vectors, sums) as (vector, inner, after):
                offset = code.times(vector, SUMMED)
                own = code.place(used, code.times(offset, taps))
                after.extend(_taps_added(code, (own, places, offset), inner, taps))
            changed.extend(after)
        for pixel, total in enumerate(changed):
            column = code.plus(x, pixel)
            exists = builder.icmp_signed("<", column, rows.number(Field.width))
            target = builder.select(exists, code.place(line_out, column), nowhere)
            builder.store(builder.fadd(_summed(builder, total), bias), target)
    rows.finish()


def _taps_added(
    code: Code, read: tuple[Value, list[Value], Value], sums: list[Value], taps: int
) -> list[Value]:
    """One line of the kernel times the pixels around each pixel, added to the sums."""
    weights, places, offset = read
    factors = [code.load(weights, SUMMED * tap) for tap in range(taps)]
    totals = list(sums)
    for index, place in enumerate(places):
        seen = code.load(place, offset)
        for tap, factor in enumerate(factors):
            pixel = index - tap
            if 0 <= pixel < len(totals):
                totals[pixel] = code.multiply_add(seen, factor, totals[pixel])
    return totals


def _summed(builder: Any, vector: Value) -> Value:
    """The sum of the lanes, halves first."""
    lanes = SUMMED
    while lanes > 1:
        lanes //= 2
        low, high = (
            builder.shuffle_vector(
                vector,
                vector,
                ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(at, at + lanes))),
            )
            for at in (0, lanes)
        )
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))
