from __future__ import annotations

import pytest

from ctdenoise.config.optimizers import (
    ConstantScheduleSettings,
    CosineScheduleSettings,
    ExponentialScheduleSettings,
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


@pytest.mark.parametrize("steps", [1, 2])
def test_very_short_runs_have_a_rate(steps):
    assert all(rate > 0 for rate in _rates(ExponentialScheduleSettings(warmup_steps=1), steps))
