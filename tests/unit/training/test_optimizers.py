from __future__ import annotations

import math

import pytest

from ctdenoise.config.optimizers import (
    ConstantScheduleSettings,
    CosineScheduleSettings,
    ExponentialScheduleSettings,
    StepScheduleSettings,
)
from ctdenoise.training.optimizers import learning_rate_at


def _rates(schedule, steps=101):
    return [
        learning_rate_at(step, first=1e-4, schedule=schedule, steps=steps) for step in range(steps)
    ]


def test_a_constant_rate_stays():
    assert set(_rates(ConstantScheduleSettings())) == {1e-4}


def test_the_exponential_rate_falls_by_one_factor_from_first_to_last():
    rates = _rates(ExponentialScheduleSettings(final_learning_rate=1e-5))
    assert rates[0] == 1e-4
    assert rates[-1] == pytest.approx(1e-5)
    assert rates[50] == pytest.approx((1e-4 * 1e-5) ** 0.5)


def test_the_cosine_rate_is_half_way_at_half_time():
    rates = _rates(CosineScheduleSettings(final_learning_rate=2e-5))
    assert rates[0] == 1e-4
    assert rates[50] == pytest.approx(6e-5)
    assert rates[-1] == pytest.approx(2e-5)


def test_a_warm_up_rises_in_a_straight_line_and_then_the_schedule_starts():
    rates = _rates(CosineScheduleSettings(warmup_steps=4))
    assert rates[:5] == pytest.approx([2e-5, 4e-5, 6e-5, 8e-5, 1e-4])
    assert rates[-1] == pytest.approx(0.0)
    assert rates[5] < rates[4]


def test_the_step_rate_falls_by_its_factor_at_its_places():
    rates = _rates(StepScheduleSettings(every=30, factor=0.1, warmup_steps=1))
    assert rates[:2] == [5e-5, 1e-4]
    assert (rates[30], rates[31], rates[61]) == pytest.approx((1e-4, 1e-5, 1e-6))
    assert rates[-1] == pytest.approx(1e-4 * 0.1**3)


def test_the_cosine_rate_after_a_warm_up_is_that_of_the_formula():
    rates = _rates(CosineScheduleSettings(warmup_steps=20, final_learning_rate=1e-6))
    for step in (20, 37, 99):
        half = 0.5 * (1 + math.cos(math.pi * (step - 20) / 80))
        assert rates[step] == pytest.approx(1e-6 + (1e-4 - 1e-6) * half)


@pytest.mark.parametrize("steps", [1, 2])
def test_very_short_runs_have_a_rate(steps):
    assert all(rate > 0 for rate in _rates(ExponentialScheduleSettings(warmup_steps=1), steps))
