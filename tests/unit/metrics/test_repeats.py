from __future__ import annotations

import pytest

from ctdenoise.metrics.repeats import Variant, mean_curve, spread_of


def test_the_spread_is_the_standard_deviation_with_one_less_in_the_denominator():
    spread = spread_of([1.0, 2.0, 6.0])
    assert (spread.mean, spread.count) == (3.0, 3)
    assert spread.deviation == pytest.approx(7.0**0.5)


def test_one_repeat_has_no_spread_and_none_has_nothing():
    assert spread_of([4.0]).deviation is None
    assert spread_of([]) is None


def test_differences_are_taken_seed_by_seed():
    first = Variant("a", ({"rmse": 10.0}, {"rmse": 20.0}))
    other = Variant("b", ({"rmse": 11.0}, {"rmse": 21.0}))
    less = other.difference("rmse", first)
    assert (less.mean, less.deviation) == (1.0, 0.0)  # though each alone scatters by 7
    assert other.difference("psnr", first) is None


def test_repeats_in_another_order_or_missing_are_paired_by_their_seeds():
    first = Variant("a", ({"rmse": 10.0}, {"rmse": 20.0}, {"rmse": 90.0}), seeds=(1, 2, 3))
    other = Variant("b", ({"rmse": 21.0}, {"rmse": 11.0}), seeds=(2, 1))
    less = other.difference("rmse", first)
    assert (less.mean, less.deviation, less.count) == (1.0, 0.0, 2)
    assert Variant("c", ({"rmse": 1.0},), seeds=(7,)).difference("rmse", first) is None


def test_without_seeds_only_as_many_repeats_are_paired():
    first = Variant("a", ({"rmse": 10.0}, {"rmse": 20.0}))
    assert Variant("b", ({"rmse": 21.0},)).difference("rmse", first) is None


def test_a_mean_curve_holds_the_steps_that_all_have():
    assert mean_curve([[(1, 2.0), (2, 4.0)], [(2, 6.0), (3, 1.0)]]) == ((2, 5.0),)
    assert mean_curve([]) == ()
