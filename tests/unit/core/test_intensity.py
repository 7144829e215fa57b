from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.intensity import HuRange
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.errors import InputError


def test_the_ends_of_the_range_are_zero_and_one():
    scale = HuRange(-1000.0, 1000.0)
    assert scale.to_network(np.float64(-1000)) == 0
    assert scale.to_network(np.float64(1000)) == 1
    assert scale.to_network(np.float64(3000)) == 2


def test_there_and_back_is_the_same_within_float32():
    hu = np.linspace(-1024, 3071, 4096, dtype=np.float32)
    scale = HuRange()
    back = scale.to_hu(scale.to_network(hu))
    assert back.dtype == np.float32
    # Two roundings of a number below 1, scaled by the width of the range.
    assert np.abs(back - hu).max() <= 3 * np.finfo(np.float32).eps * scale.width_hu


@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, -1.0), (0.0, float("nan"))])
def test_an_empty_range_is_refused(ends):
    with pytest.raises(InputError, match="empty"):
        HuRange(*ends)


def test_a_stream_depends_on_its_names_only():
    assert stream(1, "study", 2).random() == stream(1, "study", 2).random()
    values = {stream(s, *n).random() for s in (1, 2) for n in (("a",), ("b",), ("a", 1), ("a1",))}
    assert len(values) == 8


def test_a_drawn_seed_fits_a_signed_64_bit_number():
    seeds = [draw_seed(stream(0, i)) for i in range(100)]
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
