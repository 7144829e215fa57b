"""Short convolutions with few multiplications, from exact fractions.

A 1-D filter of r taps gives m outputs from n = m + r - 1 inputs. Written as a product of
polynomials that is evaluated at n points, it takes n multiplications in place of m r (Toom 1963,
Cook 1966; Winograd, "Arithmetic Complexity of Computations", 1980)::

    outputs = output_rows @ ((weight_rows @ taps) * (input_rows @ inputs))

In two dimensions each of the three is applied along y and along x (Lavin and Gray, "Fast Algorithms
for Convolutional Neural Networks", CVPR 2016). The points are small fractions in pairs of opposite
sign: this keeps the numbers of the transforms near one, and rows of a pair share their even and odd
parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations

import numpy as np

from ctdenoise.core.arrays import DoubleArray

Row = tuple[Fraction, ...]

_PAIRS = {
    1: ("1",),
    2: ("1", "2"),
    3: ("1", "2", "1/2"),
    4: ("1/2", "2", "4/5", "5/4"),
    5: ("1", "1/3", "3", "3/4", "3/2"),
}
"""Sizes of the points by the number of pairs: of those tried, the ones with the smallest rounding
errors in float32 (for 5 pairs half of those of 1, 2, 1/2, 3/2, 2/3)."""


def points(count: int) -> tuple[Fraction, ...]:
    """Where the polynomials are evaluated, beside infinity.

    Args:
        count: Odd, 3 to 11: zero and pairs of opposite sign.
    """
    sizes = map(Fraction, _PAIRS[count // 2])
    return (Fraction(0), *(sign * size for size in sizes for sign in (1, -1)))


@dataclass(frozen=True, slots=True)
class ShortConvolution:
    """The three exact matrices of F(m, r).

    Args:
        outputs: m, pixels computed at once along an axis.
        taps: r, edge of the kernel.
        input_rows: n rows of n fractions.
        weight_rows: n rows of r.
        output_rows: m rows of n.
    """

    outputs: int
    taps: int
    input_rows: tuple[Row, ...]
    weight_rows: tuple[Row, ...]
    output_rows: tuple[Row, ...]

    @property
    def inputs(self) -> int:
        """n, pixels read at once along an axis, and products made of them."""
        return self.outputs + self.taps - 1

    def transformed(self, weights: DoubleArray) -> DoubleArray:
        """Kernels [..., y, x] of r x r as the n x n factors that inputs are multiplied by."""
        rows = np.array([[float(value) for value in row] for row in self.weight_rows])
        return np.asarray(np.einsum("ay,...yx,bx->...ab", rows, weights, rows, optimize=True))


@cache
def short_convolution(outputs: int, taps: int) -> ShortConvolution:
    """The matrices of F(outputs, taps).

    With points p, the row of point j in the transform of inputs is the polynomial with a root at
    every other point, and its value at p_j divides the row of the weights. Powers of two move size
    from one to the other, so that the largest number of an input row is at least 1 and below 2.

    Args:
        outputs: m; m + r - 2 is a number that `points` takes.
        taps: r.
    """
    places = points(outputs + taps - 2)
    input_rows, weight_rows = [], []
    for point in places:
        others = [other for other in places if other != point]
        polynomial = _with_roots(others)
        value = sum(
            (coefficient * point**power for power, coefficient in enumerate(polynomial)),
            Fraction(0),
        )
        scale = _power_of_two(max(map(abs, polynomial)))
        input_rows.append((*(coefficient / scale for coefficient in polynomial), Fraction(0)))
        weight_rows.append(tuple(point**power * scale / value for power in range(taps)))
    input_rows.append(tuple(_with_roots(list(places))))
    weight_rows.append((*(Fraction(0) for _ in range(taps - 1)), Fraction(1)))
    output_rows = tuple(
        (*(point**power for point in places), Fraction(int(power == outputs - 1)))
        for power in range(outputs)
    )
    return ShortConvolution(outputs, taps, tuple(input_rows), tuple(weight_rows), output_rows)


def _with_roots(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), constant term first."""
    product = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *product]
        for power, coefficient in enumerate(product):
            shifted[power] -= root * coefficient
        product = shifted
    return product


def _power_of_two(size: Fraction) -> Fraction:
    """The largest power of two that is not above a positive number."""
    power = Fraction(1)
    while power * 2 <= size:
        power *= 2
    while power > size:
        power /= 2
    return power


@dataclass(frozen=True, slots=True)
class PairedRows:
    """Two rows that share their parts: `first = even + odd`, `second = even - odd`."""

    first: int
    second: int


def paired_rows(rows: tuple[Row, ...]) -> list[PairedRows]:
    """Pairs of rows whose odd numbers differ in sign only."""
    found, taken = [], set[int]()
    for first, second in combinations(range(len(rows)), 2):
        if taken & {first, second} or not any(rows[first][1::2]) or not any(rows[first][0::2]):
            continue
        if all(
            one == (other if column % 2 == 0 else -other)
            for column, (one, other) in enumerate(zip(rows[first], rows[second], strict=True))
        ):
            found.append(PairedRows(first, second))
            taken |= {first, second}
    return found
