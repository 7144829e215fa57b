"""Fast Fourier transforms of sixteen slices at a time, to filter views on a circle.

Two views of the same slices are the real and the imaginary part of one complex signal, which a real
and even transfer function leaves apart. Frequencies stay in the order in which the transform leaves
them (decimation in frequency there, in time on the way back), so nothing is ever sorted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import int64

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.lane_vectors import (
    Vector,
    load_vector,
    multiply_add_vectors,
    splat,
    store_vector,
)
from ctdenoise.simulation.vectors import LANES, exactly_inlined

SAMPLE = 2 * LANES
"""Numbers of a complex sample: sixteen real parts, then sixteen imaginary parts."""

_HALF = np.float32(0.5)
_ROOT = np.float32(np.sqrt(0.75))
"""Of a third of a turn: cosine -1/2, sine +-sqrt(3/4)."""

Complex = tuple[Vector, Vector]


class CircularFilter(NamedTuple):
    """A transfer function and the steps of its transforms.

    Args:
        radices: Factors of the length, in the order of the transform there: 4, 2 or 3 each.
        cosines: Of the turns between the steps, flat: for each step, for each but the first of
            its parts, for each sample of a part.
        sines: The same.
        transfer: Real factor on each frequency over the length, in the order they are left in.
    """

    radices: npt.NDArray[np.int64]
    cosines: FloatArray
    sines: FloatArray
    transfer: FloatArray


def circle_length(least: int) -> int:
    """The least length of the form 2^a 3^b, b at most 4, that is not below another."""
    lengths: list[int] = [2**a * 3**b for a in range(2, 20) for b in range(5)]
    return min(length for length in lengths if length >= least)


def circular_filter(response: npt.NDArray[np.floating]) -> CircularFilter:
    """What `filter_views` needs.

    Args:
        response: Real transfer function at the frequencies of `np.fft.rfft`; the length of the
            circle is from `circle_length` and even.
    """
    length = 2 * (len(response) - 1)
    radices = _radices(length)
    cosines, sines, span = [], [], length
    for radix in radices:
        turns = np.outer(np.arange(1, radix), np.arange(span // radix)) * (-2 * np.pi / span)
        cosines.append(np.cos(turns).ravel())
        sines.append(np.sin(turns).ravel())
        span //= radix
    whole = np.concatenate([response, response[-2:0:-1]]) / length
    ordered = np.empty(length)
    ordered[_places(np.arange(length), length, radices)] = whole
    return CircularFilter(
        np.array(radices, np.int64),
        np.concatenate(cosines).astype(np.float32),
        np.concatenate(sines).astype(np.float32),
        ordered.astype(np.float32),
    )


def _radices(length: int) -> list[int]:
    radices = []
    for radix in (4, 2, 3):
        while length % radix == 0:
            radices.append(radix)
            length //= radix
    return radices


def _places(
    frequency: npt.NDArray[np.int64], span: int, radices: list[int]
) -> npt.NDArray[np.int64]:
    """Where the transform leaves each frequency."""
    place = np.zeros_like(frequency)
    for radix in radices:
        span //= radix
        place += frequency % radix * span
        frequency = frequency // radix
    return place


@exactly_inlined
def _read(work: FloatArray, at: int, flip: int) -> Complex:
    """A sample; its parts exchanged if `flip` is `LANES`, not 0."""
    return load_vector(work, int64(at + flip)), load_vector(work, int64(at + LANES - flip))


@exactly_inlined
def _write(work: FloatArray, at: int, flip: int, sample: Complex) -> None:
    store_vector(work, int64(at + flip), sample[0])
    store_vector(work, int64(at + LANES - flip), sample[1])


@exactly_inlined
def _plus(one: Complex, two: Complex) -> Complex:
    return one[0] + two[0], one[1] + two[1]


@exactly_inlined
def _minus(one: Complex, two: Complex) -> Complex:
    return one[0] - two[0], one[1] - two[1]


@exactly_inlined
def _turned(sample: Complex, circle: CircularFilter, at: int) -> Complex:
    """A sample times the turn at a place of the table."""
    cosine, sine = splat(circle.cosines[at]), splat(circle.sines[at])
    other = splat(-circle.sines[at])
    return (
        multiply_add_vectors(sample[0], cosine, sample[1] * other),
        multiply_add_vectors(sample[1], cosine, sample[0] * sine),
    )


@exactly_inlined
def _transform4(a: Complex, b: Complex, c: Complex, d: Complex) -> tuple[Complex, ...]:
    """Discrete Fourier transform of four samples."""
    even, odd = _plus(a, c), _plus(b, d)
    far, near = _minus(a, c), _minus(b, d)
    return (
        _plus(even, odd),
        (far[0] + near[1], far[1] - near[0]),
        _minus(even, odd),
        (far[0] - near[1], far[1] + near[0]),
    )


@exactly_inlined
def _transform3(a: Complex, b: Complex, c: Complex) -> tuple[Complex, ...]:
    """Discrete Fourier transform of three samples."""
    total, apart = _plus(b, c), _minus(b, c)
    minus_half, root, minus_root = splat(-_HALF), splat(_ROOT), splat(-_ROOT)
    middle = (
        multiply_add_vectors(total[0], minus_half, a[0]),
        multiply_add_vectors(total[1], minus_half, a[1]),
    )
    return (
        _plus(a, total),
        (
            multiply_add_vectors(apart[1], root, middle[0]),
            multiply_add_vectors(apart[0], minus_root, middle[1]),
        ),
        (
            multiply_add_vectors(apart[1], minus_root, middle[0]),
            multiply_add_vectors(apart[0], root, middle[1]),
        ),
    )


@exactly_inlined
def _step_there(
    work: FloatArray, circle: CircularFilter, table: int, step: tuple[int, int]
) -> None:
    """Split spans of samples into parts; `step` holds their length and the radix."""
    span, radix = step
    part = span // radix
    stride = part * SAMPLE
    for first in range(0, circle.transfer.shape[0], span):
        for sample in range(part):
            at, turn = (first + sample) * SAMPLE, table + sample
            a, b = _read(work, at, 0), _read(work, at + stride, 0)
            if radix == 4:
                c, d = _read(work, at + 2 * stride, 0), _read(work, at + 3 * stride, 0)
                a, b, c, d = _transform4(a, b, c, d)
                _write(work, at + 2 * stride, 0, _turned(c, circle, turn + part))
                _write(work, at + 3 * stride, 0, _turned(d, circle, turn + 2 * part))
            elif radix == 3:
                c = _read(work, at + 2 * stride, 0)
                a, b, c = _transform3(a, b, c)
                _write(work, at + 2 * stride, 0, _turned(c, circle, turn + part))
            else:
                a, b = _plus(a, b), _minus(a, b)
            _write(work, at, 0, a)
            _write(work, at + stride, 0, _turned(b, circle, turn))


@exactly_inlined
def _step_back(work: FloatArray, circle: CircularFilter, table: int, step: tuple[int, int]) -> None:
    """Join parts to spans, the inverse of `_step_there`.

    The inverse of a transform is the transform of samples whose parts are exchanged.
    """
    span, radix = step
    part = span // radix
    stride = part * SAMPLE
    for first in range(0, circle.transfer.shape[0], span):
        for sample in range(part):
            at, turn = (first + sample) * SAMPLE, table + sample
            a = _read(work, at, LANES)
            b = _turned(_read(work, at + stride, LANES), circle, turn)
            if radix == 4:
                c = _turned(_read(work, at + 2 * stride, LANES), circle, turn + part)
                d = _turned(_read(work, at + 3 * stride, LANES), circle, turn + 2 * part)
                a, b, c, d = _transform4(a, b, c, d)
                _write(work, at + 2 * stride, LANES, c)
                _write(work, at + 3 * stride, LANES, d)
            elif radix == 3:
                c = _turned(_read(work, at + 2 * stride, LANES), circle, turn + part)
                a, b, c = _transform3(a, b, c)
                _write(work, at + 2 * stride, LANES, c)
            else:
                a, b = _plus(a, b), _minus(a, b)
            _write(work, at, LANES, a)
            _write(work, at + stride, LANES, b)


@exactly_inlined
def filter_on_circle(work: FloatArray, circle: CircularFilter) -> None:
    """Filter complex samples in place.

    Args:
        work: [sample of the circle, real or imaginary, lane], flat.
        circle: From `circular_filter`.
    """
    length = circle.transfer.shape[0]
    table, span = 0, length
    for radix in circle.radices:
        _step_there(work, circle, table, (span, radix))
        table += (radix - 1) * (span // radix)
        span //= radix
    for sample in range(length):
        factor = splat(circle.transfer[sample])
        real, imaginary = _read(work, sample * SAMPLE, 0)
        _write(work, sample * SAMPLE, 0, (real * factor, imaginary * factor))
    for place in range(circle.radices.shape[0] - 1, -1, -1):
        radix = circle.radices[place]
        table -= (radix - 1) * span
        span *= radix
        _step_back(work, circle, table, (span, radix))
