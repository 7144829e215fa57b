"""Sixteen slices at a time: explicit SIMD vectors for the projection kernels.

Images and sinograms are stored with the slices innermost (``[y, x, lane]``, ``[view, channel,
lane]``), so that the geometry of a ray is worked out once and applied to many slices. Plain loops
over the lanes lose most of that gain to the compiler's checks for overlapping arrays; the
intrinsics below emit the vector instructions themselves. They live at module level so that the
kernels that use them can be cached on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import binding as llvm
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

_PAIR_PRODUCTS = (
    ("avx512bw", "llvm.x86.avx512.pmaddw.d.512", 16),
    ("avx2", "llvm.x86.avx2.pmadd.wd", 8),
)
"""Processor feature, name of its instruction and lanes it works on."""

PAIR_TAPS = 8
"""Views added at once by `add_eight_pairs`."""

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


def _splat(builder: Any, scalar: Any, element: Any = None) -> Any:
    vector = ir.VectorType(element or ir.FloatType(), LANES)
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


def _pairs_product(builder: Any, values: Any, weights: Any) -> Any:
    """Sixteen sums of two products of 16-bit integers: one instruction where there is one."""
    features = llvm.get_host_cpu_features()
    for feature, name, lanes in _PAIR_PRODUCTS:
        if features.get(feature):
            halves = [
                _pairs_by(builder, name, [_stretch(builder, each, at, 2 * lanes) for each in both])
                for at in range(0, LANES, lanes)
                for both in [(values, weights)]
            ]
            return halves[0] if len(halves) == 1 else _joined(builder, *halves)
    wide = ir.VectorType(ir.IntType(32), LANES)
    products = []
    for part in range(2):
        picked = ir.Constant(wide, list(range(part, 2 * LANES, 2)))
        one, two = (
            builder.sext(builder.shuffle_vector(each, each, picked), wide)
            for each in (values, weights)
        )
        products.append(builder.mul(one, two))
    return builder.add(*products)


def _stretch(builder: Any, vector: Any, first_pair: int, length: int) -> Any:
    """Some elements of a vector in a row."""
    first = 2 * first_pair
    picked = ir.Constant(ir.VectorType(ir.IntType(32), length), list(range(first, first + length)))
    return builder.shuffle_vector(vector, vector, picked)


def _joined(builder: Any, one: Any, two: Any) -> Any:
    """Two halves as one vector."""
    picked = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(LANES)))
    return builder.shuffle_vector(one, two, picked)


def _pairs_by(builder: Any, name: str, operands: Sequence[Any]) -> Any:
    """Call the processor's own product of pairs."""
    narrow = operands[0].type
    wide = ir.VectorType(ir.IntType(32), narrow.count // 2)
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(wide, [narrow, narrow]), name
    )
    return builder.call(function, operands)


def _add_pairs(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    target, source, scales, places, starts, weights = args
    at, scale_at = (builder.extract_value(places, part) for part in range(2))
    narrow = ir.VectorType(ir.IntType(16), 2 * LANES)
    wide = ir.VectorType(ir.IntType(32), LANES)
    data = cgutils.create_struct_proxy(signature.args[1])(context, builder, source).data
    total = ir.Constant(wide, [0] * LANES)
    for tap in range(PAIR_TAPS):
        place = builder.gep(data, [builder.extract_value(starts, tap)])
        values = builder.load(builder.bitcast(place, narrow.as_pointer()), align=4)
        weight = builder.extract_value(weights, tap)
        pairs = builder.bitcast(_splat(builder, weight, ir.IntType(32)), narrow)
        total = builder.add(total, _pairs_product(builder, values, pairs))
    pointer = _vector_pointer(context, builder, signature.args[0], target, at)
    scale = builder.load(
        _vector_pointer(context, builder, signature.args[2], scales, scale_at), align=4
    )
    real = builder.sitofp(total, ir.VectorType(ir.FloatType(), LANES))
    sum_of_both = builder.fadd(builder.load(pointer, align=4), builder.fmul(real, scale))
    builder.store(sum_of_both, pointer, align=4)
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def add_eight_pairs(
    typing: Any, target: Any, source: Any, scales: Any, places: Any, starts: Any, weights: Any
) -> Any:
    """Add eight interpolated vectors of whole numbers to one vector of a flat array.

    ``target[at + l] += scales[scale_at + l] * sum_k (near_k * left + far_k * right)`` for the lanes
    l = 0 ... 15, where source[s_k + l] holds left in its lower and right in its upper 16 bits.

    Args:
        typing: Given by the compiler.
        target: Flat float32 array that is added to.
        source: Flat int32 array of pairs that is read.
        scales: Flat float32 array.
        places: First element of the target and of the scales.
        starts: Tuple of eight int64.
        weights: Tuple of eight int32, each near in its lower and far in its upper 16 bits.
    """
    del typing
    return types.void(target, source, scales, places, starts, weights), _add_pairs
