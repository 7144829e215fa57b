"""The generalised Anscombe transformation makes variances 1, and its inverse is unbiased."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.inference.anscombe import VarianceLine

COUNT = 400_000


def drawn(line: VarianceLine, value: float, seed: int = 1):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(value / line.gain, COUNT) * line.gain
    return counts + rng.normal(0, np.sqrt(line.offset), COUNT)


@pytest.mark.parametrize("value", [20.0, 100.0, 1000.0])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.5, 1.0), (2.0, 9.0)])
def test_the_variance_is_one(gain, offset, value):
    line = VarianceLine(gain, offset)
    found = line.stabilised(drawn(line, value)).var(dtype=np.float64)
    assert found == pytest.approx(1.0, abs=0.03)  # of higher order: 1 / (16 counts) and the like


@pytest.mark.parametrize("value", [4.0, 20.0, 100.0, 1000.0])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.5, 1.0), (2.0, 9.0)])
def test_the_inverse_of_the_mean_is_the_mean(gain, offset, value):
    line = VarianceLine(gain, offset)
    stabilised = line.stabilised(drawn(line, value))
    mean = np.array([stabilised.mean(dtype=np.float64)])
    error = float(line.restored(mean)[0]) - value
    standard_error = np.sqrt((gain * value + offset) / COUNT)
    closed_form = 0.012 * gain  # how near the closed form comes to the exact inverse
    assert abs(error) < 5 * standard_error + closed_form


def test_the_algebraic_inverse_would_be_biased():
    line = VarianceLine(1.0, 0.0)
    mean = line.stabilised(drawn(line, 20.0)).mean(dtype=np.float64)
    assert (mean / 2) ** 2 - 0.375 == pytest.approx(20 - 0.25, abs=0.05)


def test_noise_that_does_not_depend_on_the_value_is_divided_by_its_size():
    line = VarianceLine.fitted(np.array([0.0, 100.0, 200.0]), np.array([25.0, 26.0, 24.0]))
    assert line.gain == 0
    image = np.array([[5.0, -20.0]], np.float32)
    assert line.stabilised(image) == pytest.approx(image / 5)
    assert line.restored(line.stabilised(image)) == pytest.approx(image)


@pytest.mark.parametrize(("gain", "offset"), [(0.4, 30.0), (2.0, 0.0)])
def test_a_straight_line_is_found(gain, offset):
    values = np.linspace(10, 1000, 50)
    line = VarianceLine.fitted(values, gain * values + offset)
    assert (line.gain, line.offset) == (pytest.approx(gain), pytest.approx(offset, abs=1e-6))


def test_neither_part_is_negative():
    values = np.linspace(100, 1000, 50)
    line = VarianceLine.fitted(values, values - 90)
    assert line.gain > 0
    assert line.offset == 0
