"""From settings to a network."""

from __future__ import annotations

from typing import assert_never

import torch

from ctdenoise.config.networks import IdentitySettings, NetworkSettings, RedCnnSettings
from ctdenoise.networks.identity import Identity
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.networks.redcnn import RedCnn


def build_network(
    settings: NetworkSettings, *, generator: torch.Generator | None = None
) -> DenoisingNetwork:
    """The network a settings file asks for, with fresh weights, on the CPU.

    Args:
        settings: Which network, and its own settings.
        generator: Source of randomness for the first weights; None for torch's global one.
    """
    match settings:
        case RedCnnSettings():
            return RedCnn(settings, generator=generator)
        case IdentitySettings():
            return Identity()
        case _:
            assert_never(settings)
