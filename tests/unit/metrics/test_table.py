"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from ctdenoise.metrics.table import Metric, SliceTable, number_text, unit_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.3456, "HU", "12.35"),
        (-0.7, "HU", "\N{MINUS SIGN}0.70"),
        (-0.0001, "HU", "0.00"),
        (0.98765, "", "0.9877"),
        (-23.61, "%", "\N{MINUS SIGN}23.6"),
        (math.inf, "dB", "\N{INFINITY}"),
        (None, "HU", "\N{EN DASH}"),
        (math.nan, "HU", "\N{EN DASH}"),
    ],
)
def test_numbers_are_written_with_the_decimals_of_their_unit(value, unit, text):
    assert number_text(value, unit) == text


def test_values_that_are_not_finite_become_null_with_a_note():
    metric = Metric("k", "t", math.inf, "dB", "none", "m", "r", "higher", "d")
    assert metric.as_json()["value"] is None
    assert "infinite" in metric.as_json()["note"]


def test_slices_without_a_value_are_never_the_worst():
    table = SliceTable((0.0, 1.0, 2.0), {"rmse": (None, 2.0, 1.0), "mae": (None, None, None)})
    assert table.worst("rmse") == 1
    assert table.worst("mae") is None


def test_columns_know_their_units():
    units = [unit_of(k) for k in ("rmse", "psnr[0,80]", "ssim[0,80]", "position_mm")]
    assert units == ["HU", "dB", "", "mm"]
