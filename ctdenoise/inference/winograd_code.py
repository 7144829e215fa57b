"""The machine code of a convolution by Winograd's short convolutions.

Images lie channels innermost, [y, x, channel]. A block of tiles at a time: every tile of n x n
pixels is transformed (`ShortConvolution`), one small matrix product [tile, input] x [input, output]
for each of the n^2 places in a tile follows, and the transform back adds bias and shortcut, applies
the nonlinearity and writes m x m pixels. A block and what it needs of the factors stay in the cache
of one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from fractions import Fraction
from functools import cache
from typing import Any

from llvmlite import ir

from ctdenoise.inference.cook_toom import Row, paired_rows, short_convolution
from ctdenoise.inference.vector_code import (
    FLOAT,
    FLOATS,
    INT,
    INTS,
    Code,
    Compiled,
    Value,
    VectorUnit,
)

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


@cache
def winograd_function(kind: Kind) -> Callable[[int, int], None]:
    """The compiled convolution; it takes the addresses of its numbers and of scratch memory."""
    return Compiled(winograd_module(kind), kind.unit).function("convolve")


def winograd_module(kind: Kind) -> ir.Module:
    """The code, before it is compiled."""
    module = ir.Module("winograd")
    steps = (
        _input_function(module, kind),
        _product_function(module, kind),
        _output_function(module, kind),
    )
    _convolve_function(module, kind, steps)
    return module


def _convolve_function(module: ir.Module, kind: Kind, steps: Sequence[Any]) -> None:
    """Blocks of tiles, as long as there are any: what every thread runs."""
    code = Code(module, "convolve", (INTS, FLOATS), lanes=kind.unit.lanes, internal=False)
    builder = code.builder
    numbers, scratch = code.arguments
    field = _reader(code, numbers)
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


def tiles_per_block(kind: Kind) -> int:
    """Tiles that one thread works on at once."""
    return 32 // kind.rows * kind.rows


def _reader(code: Code, numbers: Value) -> Callable[[int], Value]:
    """What reads one of the numbers of a call."""
    return lambda index: code.builder.load(code.place(numbers, int(index)))


def _address(code: Code, number: Value) -> Value:
    return code.builder.inttoptr(number, FLOATS)


# ---------------------------------------------------------------- input


def _input_function(module: ir.Module, kind: Kind) -> Any:
    """The transforms of the tiles of a block, of one part of the input channels."""
    tile = _tile_input_function(module, kind)
    lanes, edge = kind.unit.lanes, kind.tile
    code = Code(module, "input", (INTS, FLOATS, INT, INT, INT), lanes=lanes)
    numbers, scratch, first, count, part = code.arguments
    builder, field = code.builder, _reader(code, numbers)
    copied = code.space(edge * edge)
    table = builder.inttoptr(field(Field.part_table), INTS)
    row = _reader(code, code.place(table, code.times(part, int(Part.size))))
    source, row_step, pixel_step = row(Part.address), row(Part.row), row(Part.pixel)
    source = _address(code, source)
    vectors, across = row(Part.vectors), field(Field.tiles_across)
    height, width = field(Field.height), field(Field.width)
    padding, plane, stride = field(Field.padding), field(Field.plane), field(Field.tile_stride)
    with code.loop(count) as index:
        number = builder.add(first, index)
        top = builder.sub(code.times(builder.sdiv(number, across), kind.outputs), padding)
        left = builder.sub(code.times(builder.srem(number, across), kind.outputs), padding)
        inside = builder.and_(
            _spans(code, top, edge, height), _spans(code, left, edge, width)
        )
        corner = builder.add(code.times(top, row_step), code.times(left, pixel_step))
        target = code.place(scratch, code.times(index, stride))
        with code.loop(vectors) as vector:
            offset = code.times(vector, lanes)
            place = code.place(target, offset)
            with builder.if_else(inside) as (then, otherwise):
                with then:
                    start = code.place(source, builder.add(corner, offset))
                    code.call(tile, (start, row_step, pixel_step, place, plane))
                with otherwise:
                    with code.loop(edge) as y:
                        in_y = code.within(builder.add(top, y), height)
                        with code.loop(edge) as x:
                            seen = builder.and_(in_y, code.within(builder.add(left, x), width))
                            away = builder.add(
                                code.times(builder.add(top, y), row_step),
                                code.times(builder.add(left, x), pixel_step),
                            )
                            away = builder.add(away, offset)
                            away = builder.select(seen, away, ir.Constant(INT, 0))
                            found = builder.select(
                                seen, code.load(source, away), code.constant(0.0)
                            )
                            at = code.times(builder.add(code.times(y, edge), x), lanes)
                            code.store(found, copied, at)
                    code.call(tile, (copied, edge * lanes, lanes, place, plane))
    return code.finish()


def _spans(code: Code, start: Value, length: int, stop: Value) -> Value:
    """Whether a stretch of pixels lies within the image."""
    builder = code.builder
    end = code.plus(start, length)
    return builder.and_(
        builder.icmp_signed(">=", start, ir.Constant(INT, 0)),
        builder.icmp_signed("<=", end, stop),
    )


def _tile_input_function(module: ir.Module, kind: Kind) -> Any:
    """One vector of channels of one tile: columns first, then rows."""
    lanes, edge = kind.unit.lanes, kind.tile
    rows = short_convolution(kind.outputs, kind.taps).input_rows
    code = Code(module, "input_tile", (FLOATS, INT, INT, FLOATS, INT), lanes=lanes)
    source, row_step, pixel_step, target, plane = code.arguments
    middle = code.space(edge * edge)
    with code.loop(edge) as x:
        column = code.place(source, code.times(x, pixel_step))
        read = [code.load(column, code.times(y, row_step)) for y in range(edge)]
        place = code.place(middle, code.times(x, lanes))
        for y, vector in enumerate(_rows_applied(code, rows, read)):
            code.store(vector, place, y * edge * lanes)
    with code.loop(edge) as y:
        line = code.place(middle, code.times(y, edge * lanes))
        read = [code.load(line, x * lanes) for x in range(edge)]
        place = code.place(target, code.times(y, code.times(plane, edge)))
        for x, vector in enumerate(_rows_applied(code, rows, read)):
            code.store(vector, place, code.times(plane, x))
    return code.finish()


def _rows_applied(code: Code, rows: Sequence[Row], vectors: Sequence[Value]) -> list[Value]:
    """Rows times a column of vectors; rows that differ in the sign of odd places share the work."""
    results: list[Value] = [None] * len(rows)
    for pair in paired_rows(tuple(rows)):
        terms = list(zip(rows[pair.first], vectors, strict=True))
        even, odd = code.combined(terms[0::2]), code.combined(terms[1::2])
        results[pair.first] = code.builder.fadd(even, odd)
        results[pair.second] = code.builder.fsub(even, odd)
    for index, row in enumerate(rows):
        if results[index] is None:
            results[index] = code.combined(list(zip(row, vectors, strict=True)))
    return results


# ---------------------------------------------------------------- products


def _product_function(module: ir.Module, kind: Kind) -> Any:
    """For every place in the tile: [tile, input] x [input, output] of one part of the input."""
    lanes = kind.unit.lanes
    micro = _micro_function(module, kind)
    code = Code(module, "products", (INTS, FLOATS, INT, INT), lanes=lanes)
    numbers, scratch, count, part = code.arguments
    builder, field = code.builder, _reader(code, numbers)
    table = builder.inttoptr(field(Field.part_table), INTS)
    row = _reader(code, code.place(table, code.times(part, int(Part.size))))
    depth = code.times(row(Part.vectors), lanes)
    factors = code.place(_address(code, field(Field.factors)), row(Part.factor_offset))
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
        with builder.if_then(copies):
            with code.loop(count) as tile:
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


# ---------------------------------------------------------------- output


def _output_function(module: ir.Module, kind: Kind) -> Any:
    """The transforms back of a block."""
    lanes, outputs = kind.unit.lanes, kind.outputs
    tile = _tile_output_function(module, kind)
    code = Code(module, "output", (INTS, FLOATS, INT, INT), lanes=lanes)
    numbers, scratch, first, count = code.arguments
    builder, field = code.builder, _reader(code, numbers)
    products = code.place(scratch, field(Field.product_offset))
    stride, across = field(Field.product_stride), field(Field.tiles_across)
    with code.loop(count) as index:
        number = builder.add(first, index)
        top = code.times(builder.sdiv(number, across), outputs)
        left = code.times(builder.srem(number, across), outputs)
        source = code.place(products, code.times(index, stride))
        with code.loop(field(Field.out_vectors)) as vector:
            code.call(
                tile,
                (numbers, code.place(source, code.times(vector, lanes)), top, left, vector),
            )
    return code.finish()


def _tile_output_function(module: ir.Module, kind: Kind) -> Any:
    """One vector of channels of one tile: rows of products to columns of pixels, then rows."""
    lanes, edge, outputs = kind.unit.lanes, kind.tile, kind.outputs
    rows = short_convolution(outputs, kind.taps).output_rows
    code = Code(module, "output_tile", (INTS, FLOATS, INT, INT, INT), lanes=lanes)
    numbers, source, top, left, vector = code.arguments
    builder, field = code.builder, _reader(code, numbers)
    middle, nowhere = code.space(outputs * edge), code.space(1)
    plane, offset = field(Field.product_plane), code.times(vector, lanes)
    with code.loop(edge) as x:
        column = code.place(source, code.times(x, plane))
        read = [code.load(column, code.times(plane, y * edge)) for y in range(edge)]
        place = code.place(middle, code.times(x, lanes))
        for y, one in enumerate(_columns_applied(code, rows, read)):
            code.store(one, place, y * edge * lanes)
    bias = code.load(_address(code, field(Field.bias)), offset)
    slope = code.load(_address(code, field(Field.slope)), offset)
    wide = builder.sub(field(Field.out_width), left)
    high = code.smaller(builder.sub(field(Field.out_height), top), outputs)
    target = code.place(_address(code, field(Field.out)), offset)
    target = code.place(target, code.times(left, field(Field.out_pixel)))
    shortcut = code.place(_address(code, field(Field.shortcut)), offset)
    shortcut = code.place(shortcut, code.times(left, field(Field.shortcut_pixel)))
    has_shortcut = builder.icmp_signed("!=", field(Field.shortcut), ir.Constant(INT, 0))
    is_last = builder.icmp_signed("!=", field(Field.shortcut_last), ir.Constant(INT, 0))
    first_too = builder.and_(has_shortcut, builder.not_(is_last))

    def pixels(write: Callable[[Value, Value], Value], y: Value) -> None:
        line = code.place(middle, code.times(y, edge * lanes))
        read = [code.load(line, x * lanes) for x in range(edge)]
        row = builder.add(top, y)
        line_out = code.place(target, code.times(row, field(Field.out_row)))
        line_add = code.place(shortcut, code.times(row, field(Field.shortcut_row)))
        for x, one in enumerate(_columns_applied(code, rows, read)):
            exists = builder.icmp_signed(">", wide, ir.Constant(INT, x))
            added = code.place(line_add, code.times(field(Field.shortcut_pixel), x))
            added = builder.select(exists, added, nowhere)
            written = code.place(line_out, code.times(field(Field.out_pixel), x))
            written = builder.select(exists, written, nowhere)
            code.store(write(builder.fadd(one, bias), added), written)

    def bent(value: Value) -> Value:
        return code.larger(builder.fmul(value, slope), value)

    with code.loop(high) as y:
        with builder.if_else(has_shortcut) as (with_one, without):
            with with_one, builder.if_else(first_too) as (before, after):
                with before:
                    pixels(lambda one, at: bent(builder.fadd(one, code.load(at))), y)
                with after:
                    pixels(lambda one, at: builder.fadd(bent(one), code.load(at)), y)
            with without:
                pixels(lambda one, _: bent(one), y)
    return code.finish()


def _columns_applied(code: Code, rows: Sequence[Row], vectors: Sequence[Value]) -> list[Value]:
    """Rows times a column of vectors; columns that differ in the sign of odd rows are summed first."""
    columns: tuple[Row, ...] = tuple(zip(*rows, strict=True))
    even: list[tuple[int, Value]] = []
    odd: list[tuple[int, Value]] = []
    single = set(range(len(columns)))
    for pair in paired_rows(columns):
        one, two = vectors[pair.first], vectors[pair.second]
        even.append((pair.first, code.builder.fadd(one, two)))
        odd.append((pair.first, code.builder.fsub(one, two)))
        single -= {pair.first, pair.second}
    results = []
    for power, row in enumerate(rows):
        terms: list[tuple[Fraction, Value]] = [(row[at], vectors[at]) for at in sorted(single)]
        terms += [(row[at], value) for at, value in (odd if power % 2 else even)]
        results.append(code.combined(terms))
    return results
