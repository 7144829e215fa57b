"""What passes a limit, what fails it, and what nobody can tell."""

from __future__ import annotations

import pytest

from ctdenoise.config.limits import DENOISER_LIMITS, AcceptanceSettings
from ctdenoise.metrics.limits import judged
from ctdenoise.metrics.table import Interval, Metric


def metric(key="drift[soft]", value=0.5, *, interval=None, at=(), unit="HU"):
    ends = None if interval is None else Interval(*interval, method="of the test")
    return Metric(
        key, "t", value, unit, "none", "m", "r", "near zero", "d", interval=ends, at=tuple(at)
    )


LIMIT = AcceptanceSettings(metrics="drift[soft]", low=-1.0, high=1.0)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(0.5, "pass"), (1.0, "pass"), (-1.01, "fail"), (None, "not measured")],
)
def test_a_number_without_an_interval_is_held_against_the_limit_itself(value, outcome):
    (verdict,) = judged([metric(value=value)], [LIMIT])
    assert verdict.outcome == outcome


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [((0.2, 0.9), "pass"), ((0.8, 1.4), "unclear"), ((1.1, 1.9), "fail"), ((-2, 2), "unclear")],
)
def test_an_interval_across_the_limit_is_neither_passed_nor_failed(interval, outcome):
    (verdict,) = judged([metric(value=0.9, interval=interval)], [LIMIT])
    assert verdict.outcome == outcome


def test_brackets_in_keys_are_meant_literally_and_stars_stand_for_anything():
    limit = AcceptanceSettings(metrics="fav_shift[*]", high=20)
    keys = ["fav_shift[water]", "fav_shift", "fav_shift_water", "xfav_shift[water]"]
    verdicts = judged([metric(key) for key in keys], [limit])
    assert [verdict.metric.key for verdict in verdicts] == ["fav_shift[water]"]


@pytest.mark.parametrize(
    ("contrast", "diameter", "meant"),
    [
        (15, 7, True),
        (200, 15, True),
        (10, 7, False),
        (15, 5, False),
        (-20, 7, True),
        (-10, 7, False),
    ],
)
def test_recovery_is_asked_of_lesions_that_can_be_seen(contrast, diameter, meant):
    at = (("contrast_hu", float(contrast)), ("diameter_mm", float(diameter)))
    cell = metric("contrast_recovery[x]", 0.5, unit="", at=at)
    verdicts = judged([cell], DENOISER_LIMITS)
    assert [verdict.outcome for verdict in verdicts] == (["fail"] if meant else [])


def test_the_first_limit_that_is_meant_decides():
    wide = AcceptanceSettings(metrics="drift[*]", low=-5, high=5, source="mine")
    (verdict,) = judged([metric(value=3.0)], [wide, *DENOISER_LIMITS])
    assert (verdict.outcome, verdict.limit.source) == ("pass", "mine")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-1, 1, "\N{MINUS SIGN}1 to 1 HU"),
        (0.9, None, "at least 0.9 HU"),
        (None, 2.5, "at most 2.5 HU"),
    ],
)
def test_limits_read_as_people_write_them(low, high, text):
    limit = AcceptanceSettings(metrics="*", low=low, high=high)
    assert judged([metric()], [limit])[0].limit_text == text


def test_a_limit_that_nothing_can_meet_is_refused():
    with pytest.raises(ValueError, match="no value lies"):
        AcceptanceSettings(metrics="*", low=2, high=1)
    with pytest.raises(ValueError, match="a `low`, a `high`, or both"):
        AcceptanceSettings(metrics="*")
