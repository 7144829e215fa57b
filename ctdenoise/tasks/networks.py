"""`networks`: which networks there are."""

from __future__ import annotations

from ctdenoise.networks.catalogue import NetworkFacts, every_network


def run() -> tuple[NetworkFacts, ...]:
    """Every kind of network with its default sizes."""
    return every_network()
