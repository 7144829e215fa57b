"""From settings to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from ctdenoise.config.base import Settings
from ctdenoise.config.networks import (
    AutoencoderSettings,
    Cnn4Settings,
    CompactSettings,
    CscSettings,
    DenoiseNetSettings,
    DscSettings,
    IdentitySettings,
    NetworkSettings,
    RedCnnSettings,
    RedNetSettings,
    UNetSettings,
    WavResNetSettings,
)
from ctdenoise.networks.autoencoder import autoencoder
from ctdenoise.networks.cnn4 import Cnn4
from ctdenoise.networks.compact import Compact
from ctdenoise.networks.csc import Csc
from ctdenoise.networks.denoisenet import DenoiseNet
from ctdenoise.networks.dsc import Dsc
from ctdenoise.networks.identity import Identity
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.networks.redcnn import RedCnn
from ctdenoise.networks.rednet import RedNet
from ctdenoise.networks.unet import UNet
from ctdenoise.networks.wavresnet import WavResNet

Builder = Callable[..., DenoisingNetwork]

_BUILDERS: Mapping[type[Settings], Builder] = MappingProxyType(
    {
        RedCnnSettings: RedCnn,
        RedNetSettings: RedNet,
        Cnn4Settings: Cnn4,
        DscSettings: Dsc,
        DenoiseNetSettings: DenoiseNet,
        WavResNetSettings: WavResNet,
        UNetSettings: UNet,
        CompactSettings: Compact,
        CscSettings: Csc,
        AutoencoderSettings: autoencoder,
        IdentitySettings: Identity,
    }
)
"""What makes the network of each settings class; a test holds it against `NetworkSettings`."""


def build_network(
    settings: NetworkSettings, *, generator: torch.Generator | None = None
) -> DenoisingNetwork:
    """The network a settings file asks for, with fresh weights, on the CPU.

    Args:
        settings: Which network, and its own settings.
        generator: Source of randomness for the first weights; None for torch's global one.
    """
    return _BUILDERS[type(settings)](settings, generator=generator)
