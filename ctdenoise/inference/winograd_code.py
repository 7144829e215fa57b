"""The machine code of a convolution by Winograd's short convolutions.

Images lie channels innermost, [y, x, channel]. A block of tiles at a time: every tile of n x n
pixels is transformed (`ShortConvolution`), one small matrix product [tile, input] x [input, output]
for each of the n^2 places in a tile follows, and the transform back adds bias and shortcut, applies
the nonlinearity and writes m x m pixels. A block and what it needs of the factors stay in the cache
of one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from llvmlite import ir

from ctdenoise.inference.vector_code import FLOATS, INT, INTS, Code, Compiled
from ctdenoise.inference.winograd_call import (
    Field,
    Kind,
    Part,
    address_of,
    reader,
    tiles_per_block,
)
from ctdenoise.inference.winograd_transforms import input_function, output_function


@cache
def winograd_function(kind: Kind) -> Callable[[int, int], None]:
    """The compiled convolution; it takes the addresses of its numbers and of scratch memory."""
    return Compiled(winograd_module(kind), kind.unit).function("convolve")


def winograd_module(kind: Kind) -> ir.Module:
    """The code, before it is compiled."""
    module = ir.Module("winograd")
    steps = (
        input_function(module, kind),
        _product_function(module, kind),
        output_function(module, kind),
    )
    _convolve_function(module, kind, steps)
    return module


def _convolve_function(module: ir.Module, kind: Kind, steps: Sequence[Any]) -> None:
    """Blocks of tiles, as long as there are any: what every thread runs."""
    code = Code(module, "convolve", (INTS, FLOATS), lanes=kind.unit.lanes, internal=False)
    builder = code.builder
    numbers, scratch = code.arguments
    field = reader(code, numbers)
    counter = builder.inttoptr(field(Field.counter), INTS)
    again = builder.append_basic_block("again")
    builder.branch(again)
    builder.position_at_end(again)
    block = builder.atomic_rmw("add", counter, ir.Constant(INT, 1), "monotonic")
    body, end = builder.append_basic_block("block"), builder.append_basic_block("end")
    builder.cbranch(builder.icmp_signed("<", block, field(Field.blocks)), body, end)
    builder.position_at_end(body)
    first = code.times(block, tiles_per_block(kind))
    count = code.smaller(builder.sub(field(Field.tiles), first), tiles_per_block(kind))
    transform, multiply, finish = steps
    with code.loop(field(Field.parts)) as part:
        code.call(transform, (numbers, scratch, first, count, part))
        code.call(multiply, (numbers, scratch, count, part))
    code.call(finish, (numbers, scratch, first, count))
    builder.branch(again)
    builder.position_at_end(end)
    code.finish()


def _product_function(module: ir.Module, kind: Kind) -> Any:
    """For every place in the tile: [tile, input] x [input, output] of one part of the input."""
    lanes = kind.unit.lanes
    micro = _micro_function(module, kind)
    code = Code(module, "products", (INTS, FLOATS, INT, INT), lanes=lanes)
    numbers, scratch, count, part = code.arguments
    builder, field = code.builder, reader(code, numbers)
    table = builder.inttoptr(field(Field.part_table), INTS)
    row = reader(code, code.place(table, code.times(part, int(Part.size))))
    depth = code.times(row(Part.vectors), lanes)
    factors = code.place(address_of(code, field(Field.factors)), row(Part.factor_offset))
    factor_plane, groups = field(Field.factor_plane), field(Field.groups)
    stride, plane = field(Field.tile_stride), field(Field.plane)
    out_stride, out_plane = field(Field.product_stride), field(Field.product_plane)
    products = code.place(scratch, field(Field.product_offset))
    spare = code.place(scratch, field(Field.spare_offset))
    copies = builder.icmp_signed("!=", field(Field.spare_offset), ir.Constant(INT, 0))
    add = builder.icmp_signed("!=", part, ir.Constant(INT, 0))
    with code.loop(kind.tile**2) as place:
        values = code.place(scratch, code.times(place, plane))
        results = code.place(products, code.times(place, out_plane))
        written = builder.select(copies, spare, results)
        with code.loop(groups) as group:
            used = builder.add(
                code.times(place, factor_plane),
                code.times(group, code.times(depth, kind.group * lanes)),
            )
            with code.loop(count, step=kind.rows) as tile:
                code.call(
                    micro,
                    (
                        code.place(values, code.times(tile, stride)),
                        stride,
                        code.place(factors, used),
                        code.place(
                            written,
                            builder.add(
                                code.times(tile, out_stride), code.times(group, kind.group * lanes)
                            ),
                        ),
                        out_stride,
                        depth,
                        add,
                    ),
                )
        with builder.if_then(copies), code.loop(count) as tile:
            at = code.times(tile, out_stride)
            with code.loop(code.times(groups, kind.group)) as vector:
                here = builder.add(at, code.times(vector, lanes))
                code.store(code.load(spare, here), results, here)
    return code.finish()


def _micro_function(module: ir.Module, kind: Kind) -> Any:
    """A few tiles by a few vectors of outputs, all sums in registers."""
    lanes, group, rows = kind.unit.lanes, kind.group, kind.rows
    kinds = (FLOATS, INT, FLOATS, FLOATS, INT, INT, ir.IntType(1))
    code = Code(module, "micro", kinds, lanes=lanes)
    values, stride, factors, results, out_stride, depth, add = code.arguments
    builder = code.builder
    places = [(row, column) for row in range(rows) for column in range(group)]
    zero = [code.constant(0.0)] * len(places)
    plain, adding, start = (builder.append_basic_block(name) for name in ("plain", "add", "start"))
    builder.cbranch(add, adding, plain)
    builder.position_at_end(adding)
    before = [
        code.load(results, code.plus(code.times(out_stride, row), column * lanes))
        for row, column in places
    ]
    builder.branch(start)
    builder.position_at_end(plain)
    builder.branch(start)
    builder.position_at_end(start)
    first = []
    for one, nothing in zip(before, zero, strict=True):
        phi = builder.phi(code.vector)
        phi.add_incoming(one, adding)
        phi.add_incoming(nothing, plain)
        first.append(phi)
    lines = [code.place(values, code.times(stride, row)) for row in range(rows)]
    with code.summing_loop(depth, first) as (index, sums, changed):
        line = code.place(factors, code.times(index, group * lanes))
        factor = [code.load(line, column * lanes) for column in range(group)]
        for row in range(rows):
            number = code.load_splat(lines[row], index)
            changed.extend(
                code.multiply_add(number, factor[column], sums[row * group + column])
                for column in range(group)
            )
    for (row, column), total in zip(places, changed, strict=True):
        code.store(total, results, code.plus(code.times(out_stride, row), column * lanes))
    return code.finish()
