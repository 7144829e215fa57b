"""Elementary functions and random numbers of single precision, for the loops over rays.

They are plain arithmetic without calls and tables, so that the compiler works on whole vectors.
"""

from __future__ import annotations

import math
from typing import Any

from numba import float32, int32, uint32

from ctdenoise.simulation.vectors import exactly_inlined, float_bits, float_from_bits, multiply_add

Scalar = Any
"""A float32 or uint32 scalar of numba, whose constructors have no types."""


@exactly_inlined
def exponential(x: Scalar) -> Scalar:
    """exp(x) to 4e-6: 2^n times a polynomial in the rest."""
    y = max(x * float32(1.44269504), float32(-126.0))
    whole = int32(y + float32(127.0)) - int32(127)  # floor, in single precision
    f = y - float32(whole)
    p = multiply_add(f, float32(0.00015469), float32(0.00133336))
    p = multiply_add(f, p, float32(0.00961813))
    p = multiply_add(f, p, float32(0.05550411))
    p = multiply_add(f, p, float32(0.24022651))
    p = multiply_add(f, p, float32(0.69314718))
    p = multiply_add(f, p, float32(1.0))
    return float_from_bits(int32(float_bits(p) + (whole << int32(23))))


@exactly_inlined
def logarithm(x: Scalar) -> Scalar:
    """ln(x) for normal x > 0: exponent, and the odd series of the mantissa around 1."""
    bits = float_bits(x)
    exponent = float32((bits >> int32(23)) - int32(127))
    mantissa = float_from_bits(int32((bits & int32(0x7FFFFF)) | int32(0x3F800000)))
    big = mantissa > float32(1.41421356)
    mantissa = float32(0.5) * mantissa if big else mantissa
    exponent = exponent + (float32(1.0) if big else float32(0.0))
    s = (mantissa - float32(1.0)) / (mantissa + float32(1.0))
    t = s * s
    series = multiply_add(t, float32(1 / 9), float32(1 / 7))
    series = multiply_add(t, series, float32(1 / 5))
    series = multiply_add(t, series, float32(1 / 3))
    series = multiply_add(t, series, float32(1.0))
    return multiply_add(exponent, float32(0.69314718056), float32(2.0) * s * series)


@exactly_inlined
def scramble(x: Scalar) -> Scalar:
    """A bijective hash of 32 bits: two rounds of xor-shift and odd multiplication."""
    x ^= x >> uint32(16)
    x = uint32(x * uint32(0x21F0AAAD))
    x ^= x >> uint32(15)
    x = uint32(x * uint32(0x735A2D97))
    x ^= x >> uint32(15)
    return x


@exactly_inlined
def sine_cosine(turns: Scalar) -> tuple[Scalar, Scalar]:
    """Sine and cosine of a fraction of a turn in [0, 1)."""
    quarters = turns * float32(4.0)
    nearest = int32(quarters + float32(0.5))
    r = (quarters - float32(nearest)) * float32(1.57079633)
    t = r * r
    s = multiply_add(t, float32(-1 / 5040), float32(1 / 120))
    s = multiply_add(t, s, float32(-1 / 6))
    s = r * multiply_add(t, s, float32(1.0))
    c = multiply_add(t, float32(1 / 40320), float32(-1 / 720))
    c = multiply_add(t, c, float32(1 / 24))
    c = multiply_add(t, c, float32(-0.5))
    c = multiply_add(t, c, float32(1.0))
    quadrant = nearest & int32(3)
    swapped = (quadrant & int32(1)) != 0
    sine = c if swapped else s
    cosine = s if swapped else c
    sine = -sine if (quadrant & int32(2)) != 0 else sine
    cosine = -cosine if ((quadrant + int32(1)) & int32(2)) != 0 else cosine
    return sine, cosine


@exactly_inlined
def normal_pair(first: Scalar, second: Scalar) -> tuple[Scalar, Scalar]:
    """Two independent standard normal numbers from two random words (Box and Muller)."""
    uniform = (float32(first >> uint32(8)) + float32(0.5)) * float32(5.9604645e-08)
    turns = float32(second >> uint32(8)) * float32(5.9604645e-08)
    radius = math.sqrt(float32(-2.0) * logarithm(uniform))
    sine, cosine = sine_cosine(turns)
    return radius * sine, radius * cosine
