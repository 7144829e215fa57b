"""What is printed for people."""

from __future__ import annotations

import pytest

from ctdenoise.cli import console


@pytest.mark.parametrize(
    ("after", "before", "text"),
    [(60.0, 100.0, " (-40 %)"), (99.9, 100.0, " (+0 %)"), (None, 100.0, ""), (1.0, 0.0, "")],
)
def test_a_change_is_a_whole_percentage_and_nothing_is_never_minus_nothing(after, before, text):
    assert console.share(after, before) == text
