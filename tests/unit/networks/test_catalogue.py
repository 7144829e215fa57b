"""Facts of the networks are those of their papers."""

from __future__ import annotations

import pytest

from ctdenoise.config.networks import RedCnnSettings, RedNetSettings
from ctdenoise.networks.build import _BUILDERS
from ctdenoise.networks.catalogue import EVERY, every_network, facts_of


def test_every_kind_is_listed_with_its_source():
    assert {type(settings) for settings, _ in EVERY} == set(_BUILDERS)
    assert all(facts.source for facts in every_network())


def test_redcnn_takes_458_billion_operations_for_a_slice():
    facts = facts_of(RedCnnSettings())
    assert facts.operations == pytest.approx(458.4e9, rel=1e-3)
    assert facts.parameters == 1_848_865
    assert facts.receptive_field == 41


def test_operations_of_a_network_that_keeps_its_size_are_its_weights_at_every_pixel():
    weights = 64 * 9 + 8 * 64 * 64 * 9 + 64 * 9  # without the biases
    assert facts_of(RedNetSettings(layers=10)).operations == weights * 512 * 512
