"""What studies find, added up and stored."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.measured import Axis, Curve, HeatMap, Measured
from ctdenoise.metrics.table import Interval, Metric

X = Axis("Spatial frequency", "1/mm")
Y = Axis("NPS", "HU^2 mm^2")


def metric(key, interval=None):
    at = (("contrast_hu", 15.0),)
    return Metric(key, "t", 1.5, "HU", "none", "m", "r", "lower", "d", interval=interval, at=at)


def curve(key="nps", points=3, **changes):
    return Curve(key, "input", np.arange(points), np.ones(points), X, Y, **changes)


def table(values):
    return HeatMap("recovery", "Recovery", X, ("a", "b"), Y, ("c",), np.array(values))


def test_what_two_studies_found_is_found_in_their_sum():
    both = Measured((metric("a"),), (curve("nps"),), (), (("scan", 1),)) + Measured(
        (metric("b"),), (curve("ttf"), curve("nps")), (table([[1.0], [2.0]]),), (("lcd", 2),)
    )
    assert both["b"].key == "b"
    assert len(both.chart("nps")) == 2
    assert both.as_json()["conditions"] == {"scan": 1, "lcd": 2}
    with pytest.raises(KeyError):
        both["c"]


def test_everything_becomes_json_without_nan_or_infinity():
    measured = Measured(
        (metric("a", Interval(0.5, np.inf, "exact")),),
        (curve(low=np.array([0.0, np.nan, 1.0]), high=np.full(3, np.inf)),),
        (table([[np.nan], [2.0]]),),
    )
    record = json.loads(json.dumps(measured.as_json(), allow_nan=False))
    (first,) = record["metrics"]
    assert first["interval"] == {"low": 0.5, "high": None, "level": 0.95, "method": "exact"}
    assert first["at"] == {"contrast_hu": 15.0}
    assert record["curves"][0]["low"] == [0.0, None, 1.0]
    assert record["heat_maps"][0]["values"] == [[None], [2.0]]


@pytest.mark.parametrize(
    "changes", [{"low": np.zeros(3)}, {"low": np.zeros(2), "high": np.zeros(2)}]
)
def test_a_band_that_does_not_fit_its_curve_is_refused(changes):
    with pytest.raises(InputError):
        curve(**changes)


def test_a_table_that_does_not_fit_its_names_is_refused():
    with pytest.raises(InputError):
        table([[1.0, 2.0]])


def test_an_interval_that_holds_nothing_is_refused():
    with pytest.raises(ValueError, match="holds nothing"):
        Interval(2.0, 1.0, "exact")


def test_the_ends_of_an_interval_are_columns_of_a_row():
    row = metric("a", Interval(0.5, 2.0, "exact")).as_row()
    assert (row["interval_low"], row["interval_high"], row["interval_level"]) == (0.5, 2.0, 0.95)
    assert metric("b").as_row()["interval_low"] is None
    assert "at" not in row
