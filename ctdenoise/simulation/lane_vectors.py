"""Vectors of sixteen lanes as values that compiled loops add and multiply.

Every operation is rounded as it is written, on each lane alone: a slice gets the same result
whatever stands in the other lanes.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

from ctdenoise.simulation.vectors import LANES

Vector = Any
"""Sixteen float32 numbers, a value that numba knows."""

_LLVM_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _VectorType(types.Type):
    """How numba calls them."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


_VECTOR = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]  # numba has no types
    """They are what LLVM calls a vector."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _LLVM_VECTOR)


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _LLVM_VECTOR.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def load_vector(typing: Any, source: Any, at: Any) -> Any:
    """Sixteen numbers of a flat float32 array from element `at` (int64) on."""
    del typing

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *args), align=4)

    return _VECTOR(source, at), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def store_vector(typing: Any, target: Any, at: Any, vector: Any) -> Any:
    """Write sixteen numbers to a flat float32 array from element `at` (int64) on."""
    del typing

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, start, value = args
        place = _place(context, builder, signature.args[0], array, start)
        builder.store(value, place, align=4)
        return context.get_dummy_value()

    return types.void(target, at, vector), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def splat(typing: Any, number: Any) -> Any:
    """The same float32 in every lane."""
    del typing, number

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        empty = ir.Constant(_LLVM_VECTOR, ir.Undefined)
        first = builder.insert_element(empty, args[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, empty, zeros)

    return _VECTOR(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def multiply_add_vectors(typing: Any, one: Any, two: Any, three: Any) -> Any:
    """``one * two + three``, rounded once."""
    del typing, one, two, three

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        kind = ir.FunctionType(_LLVM_VECTOR, [_LLVM_VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return _VECTOR(_VECTOR, _VECTOR, _VECTOR), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def larger_magnitude(typing: Any, one: Any, two: Any) -> Any:
    """The larger of ``one`` and ``|two|``."""
    del typing, one, two

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        kind = ir.FunctionType(_LLVM_VECTOR, [_LLVM_VECTOR])
        name = f"llvm.fabs.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        magnitude = builder.call(function, args[1:])
        is_larger = builder.fcmp_ordered(">", magnitude, args[0])
        return builder.select(is_larger, magnitude, args[0])

    return _VECTOR(_VECTOR, _VECTOR), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def store_pairs(typing: Any, target: Any, at: Any, low: Any, high: Any) -> Any:
    """Round numbers below 2^15 in magnitude and write them in the halves of sixteen words.

    Args:
        typing: Given by the compiler.
        target: Flat int32 array.
        at: First element (int64).
        low: Vector for the lower 16 bits.
        high: Vector for the upper 16 bits.
    """
    del typing

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, start, *numbers = args
        words = ir.VectorType(ir.IntType(32), LANES)
        lower, upper = (_rounded(builder, number, words) for number in numbers)
        lower = builder.and_(lower, ir.Constant(words, [0xFFFF] * LANES))
        upper = builder.shl(upper, ir.Constant(words, [16] * LANES))
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, array).data
        place = builder.bitcast(builder.gep(data, [start]), words.as_pointer())
        builder.store(builder.or_(lower, upper), place, align=4)
        return context.get_dummy_value()

    return types.void(target, at, low, high), generate


def _rounded(builder: Any, numbers: Any, words: Any) -> Any:
    """By way of positive numbers, which are cut off the same everywhere."""
    positive = builder.fadd(numbers, ir.Constant(_LLVM_VECTOR, [32768.5] * LANES))
    whole = builder.fptosi(positive, words)
    return builder.sub(whole, ir.Constant(words, [32768] * LANES))


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _add(typing: Any, one: Any, two: Any) -> Any:
    del typing, one, two
    return _VECTOR(_VECTOR, _VECTOR), lambda _, builder, __, args: builder.fadd(*args)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _subtract(typing: Any, one: Any, two: Any) -> Any:
    del typing, one, two
    return _VECTOR(_VECTOR, _VECTOR), lambda _, builder, __, args: builder.fsub(*args)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _multiply(typing: Any, one: Any, two: Any) -> Any:
    del typing, one, two
    return _VECTOR(_VECTOR, _VECTOR), lambda _, builder, __, args: builder.fmul(*args)


@overload(operator.add, strict=False)  # type: ignore[untyped-decorator]
def _added(one: Any, two: Any) -> Any:
    if one == _VECTOR and two == _VECTOR:
        return lambda one, two: _add(one, two)  # noqa: PLW0108 - numba compiles it
    return None


@overload(operator.sub, strict=False)  # type: ignore[untyped-decorator]
def _subtracted(one: Any, two: Any) -> Any:
    if one == _VECTOR and two == _VECTOR:
        return lambda one, two: _subtract(one, two)  # noqa: PLW0108 - numba compiles it
    return None


@overload(operator.mul, strict=False)  # type: ignore[untyped-decorator]
def _multiplied(one: Any, two: Any) -> Any:
    if one == _VECTOR and two == _VECTOR:
        return lambda one, two: _multiply(one, two)  # noqa: PLW0108 - numba compiles it
    return None
