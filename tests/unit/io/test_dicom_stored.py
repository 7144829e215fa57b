from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctdenoise.io.dicom_stored import StoredScale, stored_from_hu

PLAIN = StoredScale(1.0, -1024.0, 16, 12, signed=False)


def hu(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def test_values_are_rounded_to_the_nearest_step_of_the_scale() -> None:
    assert stored_from_hu(hu(-0.6, -0.4, 0.4, 0.6), PLAIN).tolist() == [[1023, 1024, 1024, 1025]]
    half = StoredScale(0.5, -1024.0, 16, 16, signed=False)
    assert stored_from_hu(hu(0.2, 0.3), half).tolist() == [[2048, 2049]]


def test_values_beyond_the_stored_bits_are_clipped_and_never_wrap() -> None:
    assert stored_from_hu(hu(-5000.0, 1e6), PLAIN).tolist() == [[0, 4095]]
    signed = StoredScale(1.0, 0.0, 16, 12, signed=True)
    assert stored_from_hu(hu(-1e6, 1e6), signed).tolist() == [[-2048, 2047]]


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("signed", [True, False])
def test_words_are_little_endian_and_as_wide_as_allocated(bits: int, signed: bool) -> None:
    words = stored_from_hu(hu(1.0), StoredScale(1.0, 0.0, bits, bits, signed=signed))
    expected = np.dtype(f"<{'i' if signed else 'u'}{bits // 8}")
    assert words.dtype == expected
    assert words.tolist() == [[1]]


@given(
    bits=st.integers(8, 16),
    signed=st.booleans(),
    slope=st.sampled_from([1.0, 0.5, 0.1, 2.0, 7.3, 0.01, -1.0, 1.52587890625e-05 * 64]),
    intercept=st.sampled_from([0.0, -1024.0, -1000.0, -8192.0, 31.7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_stored_value_survives_the_way_to_float32_hu_and_back(
    bits: int, signed: bool, slope: float, intercept: float, seed: int
) -> None:
    scale = StoredScale(slope, intercept, 16, bits, signed=signed)
    low, high = scale.limits
    stored = np.random.default_rng(seed).integers(low, high + 1, (4, 50))
    stored[0, :2] = low, high
    values = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    assert np.array_equal(stored_from_hu(values, scale), stored)


def test_an_image_pixel_moves_off_the_padding_value_to_the_nearest_other() -> None:
    scale = StoredScale(1.0, 0.0, 16, 16, signed=True, padding=(-2000, -2000))
    assert stored_from_hu(hu(-2000.3, -1999.7, -1999.0), scale).tolist() == [[-2001, -1999, -1999]]


def test_an_image_pixel_moves_out_of_a_padding_range_on_the_side_that_can_be_stored() -> None:
    bottom = StoredScale(1.0, 0.0, 16, 12, signed=False, padding=(0, 10))
    assert stored_from_hu(hu(-5.0, 3.0, 10.0, 11.0), bottom).tolist() == [[11, 11, 11, 11]]
    top = StoredScale(1.0, 0.0, 16, 12, signed=False, padding=(4090, 4095))
    assert stored_from_hu(hu(9000.0, 4089.0), top).tolist() == [[4089, 4089]]
    middle = StoredScale(1.0, 0.0, 16, 12, signed=False, padding=(100, 110))
    assert stored_from_hu(hu(102.0, 109.0), middle).tolist() == [[99, 111]]


def test_a_source_image_pixel_on_the_padding_value_may_stay_there() -> None:
    scale = StoredScale(1.0, 0.0, 16, 16, signed=True, padding=(-2000, -2000))
    source = np.array([[-2000, 5]])
    assert stored_from_hu(hu(-2000.0, -2000.0), scale, source=source).tolist() == [[-2000, -2001]]


def test_padding_is_copied_from_the_source_words_bit_for_bit() -> None:
    scale = StoredScale(1.0, -1024.0, 16, 12, signed=False, padding=(63536, 63536))
    words = np.array([[63536, 1000]], dtype=np.uint16)
    mask = np.array([[True, False]])
    stored = stored_from_hu(hu(99.0, 0.0), scale, source=words, source_words=words, padding=mask)
    assert stored.tolist() == [[63536, 1024]]


def test_padding_of_a_new_slice_gets_the_padding_value() -> None:
    scale = StoredScale(1.0, 0.0, 16, 16, signed=True, padding=(-2048, -2048))
    mask = np.array([[True, False]])
    assert stored_from_hu(hu(7.0, -2048.0), scale, padding=mask).tolist() == [[-2048, -2049]]
