"""Machine code of the transforms of a Winograd convolution: pixels of tiles in, pixels out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from llvmlite import ir

from ctdenoise.inference.cook_toom import Row, paired_rows, short_convolution
from ctdenoise.inference.vector_code import FLOATS, INT, INTS, Code, Value
from ctdenoise.inference.winograd_call import Field, Kind, Part, address_of, reader


def input_function(module: ir.Module, kind: Kind) -> Any:
    """The transforms of the tiles of a block, of one part of the input channels."""
    tile = _tile_input_function(module, kind)
    lanes, edge = kind.unit.lanes, kind.tile
    code = Code(module, "input", (INTS, FLOATS, INT, INT, INT), lanes=lanes)
    numbers, scratch, first, count, part = code.arguments
    builder, field = code.builder, reader(code, numbers)
    copied = code.space(edge * edge)
    table = builder.inttoptr(field(Field.part_table), INTS)
    row = reader(code, code.place(table, code.times(part, int(Part.size))))
    source, row_step, pixel_step = row(Part.address), row(Part.row), row(Part.pixel)
    source = address_of(code, source)
    vectors, across = row(Part.vectors), field(Field.tiles_across)
    height, width = field(Field.height), field(Field.width)
    padding, plane, stride = field(Field.padding), field(Field.plane), field(Field.tile_stride)
    with code.loop(count) as index:
        number = builder.add(first, index)
        top = builder.sub(code.times(builder.sdiv(number, across), kind.outputs), padding)
        left = builder.sub(code.times(builder.srem(number, across), kind.outputs), padding)
        inside = builder.and_(_spans(code, top, edge, height), _spans(code, left, edge, width))
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


def output_function(module: ir.Module, kind: Kind) -> Any:
    """The transforms back of a block."""
    lanes, outputs = kind.unit.lanes, kind.outputs
    tile = _tile_output_function(module, kind)
    code = Code(module, "output", (INTS, FLOATS, INT, INT), lanes=lanes)
    numbers, scratch, first, count = code.arguments
    builder, field = code.builder, reader(code, numbers)
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
    builder, field = code.builder, reader(code, numbers)
    middle, nowhere = code.space(outputs * edge), code.space(1)
    plane, offset = field(Field.product_plane), code.times(vector, lanes)
    with code.loop(edge) as x:
        column = code.place(source, code.times(x, plane))
        read = [code.load(column, code.times(plane, y * edge)) for y in range(edge)]
        place = code.place(middle, code.times(x, lanes))
        for y, one in enumerate(_columns_applied(code, rows, read)):
            code.store(one, place, y * edge * lanes)
    bias = code.load(address_of(code, field(Field.bias)), offset)
    slope = code.load(address_of(code, field(Field.slope)), offset)
    wide = builder.sub(field(Field.out_width), left)
    high = code.smaller(builder.sub(field(Field.out_height), top), outputs)
    target = code.place(address_of(code, field(Field.out)), offset)
    target = code.place(target, code.times(left, field(Field.out_pixel)))
    shortcut = code.place(address_of(code, field(Field.shortcut)), offset)
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

    with code.loop(high) as y, builder.if_else(has_shortcut) as (with_one, without):
        with with_one, builder.if_else(first_too) as (before, after):
            with before:
                pixels(lambda one, at: bent(builder.fadd(one, code.load(at))), y)
            with after:
                pixels(lambda one, at: builder.fadd(bent(one), code.load(at)), y)
        with without:
            pixels(lambda one, _: bent(one), y)
    return code.finish()


def _columns_applied(code: Code, rows: Sequence[Row], vectors: Sequence[Value]) -> list[Value]:
    """Rows times a column; columns alike but for the sign of odd rows are summed first."""
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
