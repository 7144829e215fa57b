"""Convolution kernels give what torch gives in float64, on every path and in every shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from ctdenoise.inference.cook_toom import short_convolution
from ctdenoise.inference.crew import Crew
from ctdenoise.inference.direct import FewInputs, FewOutputs
from ctdenoise.inference.feature_maps import Finish, Store
from ctdenoise.inference.vector_code import AVX2, AVX512, host_vector_unit
from ctdenoise.inference.winograd import OUTPUTS, WinogradConvolution, best_outputs

HOST = host_vector_unit()
UNITS = [AVX2, AVX512] if HOST is AVX512 else [AVX2]
EPSILON = 2.0**-24
"""Largest relative error of one rounding to float32."""

pytestmark = pytest.mark.skipif(HOST is None, reason="the kernels need AVX2")

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(outputs: int, inputs: int, taps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights that keep the size of the signal, and a bias."""
    weight = normal(outputs, inputs, taps, taps, seed=1) / (inputs * taps**2) ** 0.5
    return weight, normal(outputs, seed=2)


def rounding(taps: int, inputs: int, outputs: int = OUTPUTS[0]) -> float:
    """Largest error to be expected for inputs and outputs of variance 1.

    A product of the transformed numbers has the standard deviation |input row| |weight row|, and
    counts with the square of the output row; summed over places along one axis this is the square
    of how much larger than the outputs the summed numbers are, and two axes multiply. Errors add
    up like a random walk: of the transforms, some twenty roundings; of a sum of k terms that itself
    grows like one, k / 2. The largest of 10,000 errors lies within five standard deviations.
    """
    exact = short_convolution(outputs, taps)
    into, by, out = (
        np.array([[float(value) for value in row] for row in rows])
        for rows in (exact.input_rows, exact.weight_rows, exact.output_rows)
    )
    sizes = (into**2).sum(axis=1) * (by**2).sum(axis=1) / taps
    growth = float((out**2 @ sizes).max())
    return float(5 * (20 + inputs / 2) ** 0.5 * EPSILON * growth)


def doubles(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().numpy()


def winograd(x, weight, bias, *, padding, unit, outputs=OUTPUTS[0], finish=None, threads=1):
    store = Store()
    kernel = WinogradConvolution(
        doubles(weight), doubles(bias), padding=padding, unit=unit, outputs=outputs
    )
    out = store.empty(*kernel.size_after(x.shape[2:]), weight.shape[0])
    kernel([store.maps_of(x)], out, finish or Finish(), Crew(threads))
    return out.tensor


@pytest.mark.parametrize(
    ("outputs", "taps"), [(8, 5), (6, 5), (4, 5), (2, 5), (8, 3), (6, 3), (4, 3), (2, 3)], ids=str
)
def test_a_short_convolution_is_a_convolution(outputs, taps):
    exact = short_convolution(outputs, taps)
    inputs = [(-1) ** k * (k + 1) for k in range(exact.inputs)]
    kernel = [k * k + 1 for k in range(taps)]
    into, by = (
        [sum(a * b for a, b in zip(row, given, strict=True)) for row in rows]
        for rows, given in ((exact.input_rows, inputs), (exact.weight_rows, kernel))
    )
    products = [a * b for a, b in zip(into, by, strict=True)]
    found = [sum(a * b for a, b in zip(row, products, strict=True)) for row in exact.output_rows]
    expected = [sum(kernel[tap] * inputs[at + tap] for tap in range(taps)) for at in range(outputs)]
    assert found == expected  # fractions: equal, not close


@each_unit
@pytest.mark.parametrize(
    ("taps", "inputs", "outputs", "padding"),
    [
        (5, 96, 96, 0),
        (5, 96, 96, 4),
        (5, 3, 40, 2),
        (3, 64, 64, 1),
        (3, 1, 17, 1),
        (3, 63, 64, 2),
        (3, 130, 5, 0),
        (3, 16, 112, 1),
        (3, 300, 33, 1),
    ],
)
def test_it_equals_torch_in_float64(unit, taps, inputs, outputs, padding):
    x, (weight, bias) = normal(1, inputs, 27, 30), layer(outputs, inputs, taps)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
    found = winograd(x, weight, bias, padding=padding, unit=unit)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=rounding(taps, inputs))


@pytest.mark.parametrize(
    ("outputs", "taps"), [(8, 5), (6, 5), (4, 5), (2, 5), (8, 3), (6, 3), (4, 3), (2, 3)], ids=str
)
def test_rounding_errors_are_those_of_the_transforms(outputs, taps):
    x, (weight, bias) = normal(1, 64, 40, 40), layer(32, 64, taps)
    expected = F.conv2d(x.double(), weight.double(), bias.double())
    found = winograd(x, weight, bias, padding=0, unit=HOST, outputs=outputs)
    error = float((found.double() - expected).abs().max())
    assert rounding(taps, 64, outputs) / 50 < error < rounding(taps, 64, outputs)


def test_small_images_have_small_tiles():
    assert best_outputs((512, 512), 3) == best_outputs((512, 512), 5) == 6
    assert best_outputs((32, 32), 3) == 4
    assert best_outputs((8, 8), 3) == 2


@pytest.mark.parametrize("height", [1, 2, 5, 6, 7, 8, 9, 12, 13, 25])
@pytest.mark.parametrize("taps", [3, 5])
def test_edges_of_tiles_and_images_of_any_size(taps, height):
    x, (weight, bias) = normal(1, 8, height, 31 - height), layer(16, 8, taps)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=taps // 2)
    found = winograd(x, weight, bias, padding=taps // 2, unit=HOST)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=rounding(taps, 8))


@each_unit
class TestWhatFollows:
    def test_a_shortcut_before_a_relu(self, unit):
        x, (weight, bias), other = normal(1, 20, 19, 23), layer(20, 20, 3), normal(1, 20, 19, 23)
        expected = F.relu(F.conv2d(x, weight, bias, padding=1) + other)
        finish = Finish(slope=0.0, shortcut=Store().maps_of(other))
        found = winograd(x, weight, bias, padding=1, unit=unit, finish=finish)
        torch.testing.assert_close(found, expected, rtol=0, atol=2 * rounding(3, 20))

    def test_a_shortcut_after_a_leaky_relu(self, unit):
        x, (weight, bias), other = normal(1, 20, 19, 23), layer(20, 20, 3), normal(1, 20, 19, 23)
        expected = F.leaky_relu(F.conv2d(x, weight, bias, padding=1), 0.2) + other
        finish = Finish(slope=0.2, shortcut=Store().maps_of(other), shortcut_last=True)
        found = winograd(x, weight, bias, padding=1, unit=unit, finish=finish)
        torch.testing.assert_close(found, expected, rtol=0, atol=2 * rounding(3, 20))

    def test_a_shift_of_the_bias(self, unit):
        x, (weight, bias), shift = normal(1, 20, 19, 23), layer(20, 20, 3), normal(20, seed=5)
        expected = F.relu(F.conv2d(x, weight, bias + shift, padding=1))
        finish = Finish(slope=0.0, shift=shift.numpy())
        found = winograd(x, weight, bias, padding=1, unit=unit, finish=finish)
        torch.testing.assert_close(found, expected, rtol=0, atol=2 * rounding(3, 20))


def test_what_is_not_a_number_stays_so():
    x, (weight, bias) = normal(1, 16, 20, 20), layer(16, 16, 3)
    x[0, 0, 10, 10] = torch.nan
    found = winograd(x, weight, bias, padding=1, unit=HOST, finish=Finish(slope=0.0))
    assert found[0, :, 9:12, 9:12].isnan().all()


def test_several_inputs_side_by_side():
    store, counts = Store(), (20, 3, 140)
    parts = [normal(1, count, 21, 18, seed=count) for count in counts]
    weight, bias = layer(24, sum(counts), 3)
    kernel = WinogradConvolution(doubles(weight), doubles(bias), padding=1, unit=HOST, parts=counts)
    out = store.empty(21, 18, 24)
    kernel([store.maps_of(part) for part in parts], out, Finish(), Crew(1))
    expected = F.conv2d(torch.cat(parts, dim=1).double(), weight.double(), bias.double(), padding=1)
    torch.testing.assert_close(out.tensor.double(), expected, rtol=0, atol=rounding(3, sum(counts)))


@pytest.mark.parametrize("taps", [3, 5])
def test_threads_do_not_change_a_bit(taps):
    x, (weight, bias) = normal(1, 16, 90, 75), layer(48, 16, taps)
    one, two, five = (
        winograd(x, weight, bias, padding=1, unit=HOST, threads=count) for count in (1, 2, 5)
    )
    assert torch.equal(one, two)
    assert torch.equal(one, five)


@pytest.mark.skipif(len(UNITS) < 2, reason="this processor has one kind of vectors")
def test_narrow_and_wide_vectors_give_the_same_bits():
    x, (weight, bias) = normal(1, 70, 33, 41), layer(90, 70, 5)
    narrow, wide = (winograd(x, weight, bias, padding=2, unit=unit) for unit in UNITS)
    assert torch.equal(narrow, wide)


@each_unit
@pytest.mark.parametrize(
    ("taps", "inputs", "outputs", "padding"),
    [(5, 1, 96, 0), (5, 2, 96, 4), (3, 8, 64, 1), (3, 1, 17, 1), (1, 4, 33, 0), (2, 3, 80, 1)],
)
def test_few_inputs_equal_torch(unit, taps, inputs, outputs, padding):
    x, (weight, bias) = normal(1, inputs, 22, 19), layer(outputs, inputs, taps)
    kernel = FewInputs(doubles(weight), doubles(bias), padding=padding, unit=unit)
    out = Store().empty(*kernel.size_after((22, 19)), outputs)
    kernel(x, out, Finish(slope=0.1), Crew(1))
    expected = F.leaky_relu(F.conv2d(x, weight, bias, padding=padding), 0.1)
    # Sums of at most 75 products of numbers near 1.
    torch.testing.assert_close(out.tensor, expected, rtol=0, atol=75 * EPSILON * 5)


@each_unit
@pytest.mark.parametrize(
    ("taps", "inputs", "outputs", "padding"),
    [(5, 96, 1, 4), (5, 96, 2, 0), (3, 17, 1, 1), (1, 33, 2, 0), (4, 20, 1, 2)],
)
def test_few_outputs_equal_torch(unit, taps, inputs, outputs, padding):
    x, (weight, bias) = normal(1, inputs, 14, 19), layer(outputs, inputs, taps)
    kernel = FewOutputs(doubles(weight), doubles(bias), padding=padding, unit=unit)
    found = kernel(Store().maps_of(x), Crew(2))
    expected = F.conv2d(x, weight, bias, padding=padding)
    # Sums of 2400 products of variance 1 / 2400 in random order on both sides.
    torch.testing.assert_close(found, expected, rtol=0, atol=2400**0.5 * EPSILON * 5)
