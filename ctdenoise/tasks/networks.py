"""`networks`: which networks there are."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ctdenoise.networks.catalogue import NetworkFacts, every_network


def run() -> tuple[NetworkFacts, ...]:
    """Every kind of network with its default sizes."""
    return every_network()


def as_json(networks: Sequence[NetworkFacts]) -> str:
    """What was found, for other programs.

    Args:
        networks: Facts of each.
    """
    return json.dumps(
        [
            {
                "network": facts.settings.as_json(),
                "parameters": facts.parameters,
                "operations": facts.operations,
                "receptive_field": facts.receptive_field,
                "multiple_of": facts.multiple_of,
                "most_slices": facts.most_slices,
                "source": facts.source.reference,
            }
            for facts in networks
        ],
        indent=2,
    )
