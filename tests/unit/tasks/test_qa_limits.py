"""No phantom passes for want of a limit, or of room for what is measured."""

from __future__ import annotations

import pytest

from ctdenoise.config.qa import QaSettings
from ctdenoise.errors import InputError
from ctdenoise.metrics.limits import judged
from ctdenoise.tasks.qa_modules import ACR464, CATPHAN504
from ctdenoise.tasks.qa_uniform import inspected_water
from tests.builders import water_disc
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


def test_water_that_is_too_small_for_its_discs_is_refused():
    with pytest.raises(InputError, match="a phantom of 61 mm is too small for discs of 20 mm"):
        inspected_water(water_disc(radius_mm=30.0), QaSettings())
