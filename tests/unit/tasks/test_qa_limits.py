"""Every insert of a phantom has a limit: one without would pass whatever it shows."""

from __future__ import annotations

import pytest

from ctdenoise.config.qa import QaSettings
from ctdenoise.metrics.limits import judged
from ctdenoise.tasks.qa_modules import ACR464, CATPHAN504
from tests.judgements import figure


@pytest.mark.parametrize(
    ("phantom", "layout"),
    [("acr464", ACR464), ("catphan504", CATPHAN504)],
    ids=["acr464", "catphan504"],
)
def test_every_insert_has_a_limit_that_its_nominal_number_meets(phantom, layout):
    figures = [figure(f"insert_hu[{one.name}]", one.hu, "HU") for one in layout.inserts]
    verdicts = judged(figures, QaSettings(phantom=phantom).limits_or_default)
    assert [one.outcome for one in verdicts] == ["pass"] * len(layout.inserts)
