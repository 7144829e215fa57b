"""Filtering on a circle, sixteen slices and two views at a time, against NumPy's transforms."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.lane_transforms import (
    CircularFilter,
    circle_length,
    circular_filter,
    filter_on_circle,
)
from ctdenoise.simulation.vectors import LANES, aligned_zeros, serial_kernel


@serial_kernel
def filtered(work: FloatArray, circle: CircularFilter) -> None:
    filter_on_circle(work, circle)


@pytest.mark.parametrize("length", [4, 8, 12, 128, 144, 1296])
def test_samples_are_filtered_on_a_circle(length):
    rng = np.random.default_rng(length)
    response = rng.random(length // 2 + 1)
    work = aligned_zeros(length, 2, LANES)
    work[...] = rng.standard_normal(work.shape, np.float32)
    spectrum = np.fft.rfft(work, axis=0) * response[:, None, None]
    filtered(work.reshape(-1), circular_filter(response))
    # Some ten roundings of single precision of values near one.
    assert np.abs(work - np.fft.irfft(spectrum, n=length, axis=0)).max() < 3e-6


def test_a_circle_is_at_most_a_fifth_longer_than_it_must_be():
    for least in range(256, 3000):
        length = circle_length(least)
        assert least <= length <= 1.2 * least + 1
