"""Sixteen slices at a time: explicit SIMD vectors for the projection kernels.

Images and sinograms are stored with the slices innermost (``[y, x, lane]``, ``[view, channel,
lane]``), so that the geometry of a ray is worked out once and applied to many slices. Plain loops
over the lanes lose most of that gain to the compiler's checks for overlapping arrays; the
intrinsics below emit the vector instructions themselves. They live at module level so that the
kernels that use them can be cached on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ctdenoise.core.arrays import FloatArray
from ctdenoise.errors import SimulationError

LANES = 16
"""Slices in one vector; the innermost axis of every array is a multiple of it."""

ALIGNMENT_BYTES = 64
"""Start of every array: one cache line, so that no vector straddles two."""

_TAPS = 4
_FAST = ("fast",)

Function = TypeVar("Function", bound=Callable[..., Any])


def parallel_kernel(function: Function) -> Function:
    """Compile a function that spreads its outer `prange` loop over threads; cached on disk."""
    decorate = numba.njit(
        parallel=True, fastmath=True, nogil=True, error_model="numpy", boundscheck=False, cache=True
    )
    return cast("Function", decorate(function))


def serial_kernel(function: Function) -> Function:
    """Compile a function that one thread runs, beside others; cached on disk."""
    decorate = numba.njit(
        fastmath=True, nogil=True, error_model="numpy", boundscheck=False, cache=True
    )
    return cast("Function", decorate(function))


def inlined(function: Function) -> Function:
    """Compile a small function that vanishes into the kernels that call it."""
    decorate = numba.njit(
        fastmath=True, nogil=True, error_model="numpy", boundscheck=False, forceinline=True
    )
    return cast("Function", decorate(function))


def exactly_inlined(function: Function) -> Function:
    """Like `inlined`, every operation rounded as it is written.

    Otherwise the compiler may reorder and fuse sums in one place and not in another, and a sample
    depends on whether it was computed in a vector, and on whether the kernel came from the cache.
    """
    decorate = numba.njit(
        fastmath={"nnan", "ninf", "nsz"},
        nogil=True,
        error_model="numpy",
        boundscheck=False,
        forceinline=True,
    )
    return cast("Function", decorate(function))


def require_whole_vectors(lanes: int) -> None:
    """Refuse a number of slices that does not fill whole vectors: kernels would read past the end.

    Raises:
        SimulationError: If `lanes` is not a positive multiple of `LANES`.
    """
    if lanes < 1 or lanes % LANES:
        raise SimulationError(
            f"{lanes} slices side by side do not fill whole vectors.",
            fix=f"Pad them to a multiple of {LANES}.",
        )


def aligned_zeros(*shape: int) -> FloatArray:
    """A float32 array of zeros that starts on a cache line."""
    size = int(np.prod(shape)) * 4
    buffer = np.zeros(size + ALIGNMENT_BYTES, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT_BYTES
    return buffer[start : start + size].view(np.float32).reshape(shape)


def lanes_for(slices: int) -> int:
    """The smallest multiple of LANES that holds this many slices."""
    return -(-slices // LANES) * LANES


def _vector_pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    vector = ir.VectorType(ir.FloatType(), LANES)
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    vector = ir.VectorType(ir.FloatType(), LANES)
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, empty, zeros)


def _add_taps(context: Any, builder: Any, signature: Any, args: Any, count: int) -> Any:
    """Emit: target[t:t+16] += sum over taps of near*source[s:s+16] + far*source[s+step:...]."""
    target, source, at, step, starts, near, far = args
    pointer = _vector_pointer(context, builder, signature.args[0], target, at)
    even = builder.load(pointer, align=4)
    odd = None
    for tap in range(count):
        start = builder.extract_value(starts, tap)
        for weights, offset in ((near, start), (far, builder.add(start, step))):
            place = _vector_pointer(context, builder, signature.args[1], source, offset)
            weight = _splat(builder, builder.extract_value(weights, tap))
            product = builder.fmul(builder.load(place, align=4), weight, flags=_FAST)
            if weights is near:
                even = builder.fadd(even, product, flags=_FAST)
            else:
                odd = product if odd is None else builder.fadd(odd, product, flags=_FAST)
    builder.store(builder.fadd(even, odd, flags=_FAST), pointer, align=4)
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def add_four_taps(  # noqa: PLR0913, PLR0917 - an intrinsic takes what the machine instruction takes
    typing: Any, target: Any, source: Any, at: Any, step: Any, starts: Any, near: Any, far: Any
) -> Any:
    """Add four interpolated vectors of a flat array to one vector of another.

    ``target[at + l] += sum_k near[k] source[s_k + l] + far[k] source[s_k + step + l]`` for the
    lanes l = 0 ... 15 and the starts s_k.

    Args:
        typing: Given by the compiler.
        target: Flat float32 array that is added to.
        source: Flat float32 array that is read.
        at: First element of the target vector.
        step: Distance to the neighbouring sample in `source` (its number of lanes).
        starts: Tuple of four int64.
        near: Tuple of four float32 weights.
        far: Tuple of four float32 weights.
    """
    del typing
    signature = types.void(target, source, at, step, starts, near, far)

    def generate(context: Any, builder: Any, resolved: Any, args: Any) -> Any:
        return _add_taps(context, builder, resolved, args, _TAPS)

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def add_one_tap(  # noqa: PLR0913, PLR0917 - an intrinsic takes what the machine instruction takes
    typing: Any, target: Any, source: Any, at: Any, step: Any, starts: Any, near: Any, far: Any
) -> Any:
    """Like `add_four_taps` with tuples of one."""
    del typing
    signature = types.void(target, source, at, step, starts, near, far)

    def generate(context: Any, builder: Any, resolved: Any, args: Any) -> Any:
        return _add_taps(context, builder, resolved, args, 1)

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def float_bits(typing: Any, number: Any) -> Any:
    """The 32 bits of a float32 as an int32."""
    del typing, number

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def float_from_bits(typing: Any, bits: Any) -> Any:
    """The float32 with these 32 bits (an int32)."""
    del typing, bits

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def multiply_add(typing: Any, one: Any, two: Any, three: Any) -> Any:
    """``one * two + three`` of float32, rounded once."""
    del typing, one, two, three
    number = types.float32

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.fma(*args)

    return number(number, number, number), generate
