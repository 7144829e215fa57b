"""Axes of the charts."""

from __future__ import annotations

import pytest

from ctdenoise.report.charts import from_zero

pytest.importorskip("matplotlib")


def test_an_ordinate_from_zero_leaves_room_above_the_highest_point():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axes.plot([1, 2, 3], [10.0, 10.1, 10.2])
    from_zero(axes)
    low, high = axes.get_ylim()
    assert (low, high > 10.5) == (0.0, True)
    assert axes.get_xlim()[0] > 0.5
