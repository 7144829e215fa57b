"""What every network costs and reaches, found by building it and counting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ctdenoise.config.networks import (
    AutoencoderSettings,
    Cnn4Settings,
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
from ctdenoise.networks.build import build_network

SLICE = 512
"""Edge of the slice that operations are counted for, pixels."""

EVERY: tuple[tuple[NetworkSettings, str], ...] = (
    (RedCnnSettings(), "Chen et al., IEEE TMI 36(12):2524, 2017"),
    (RedNetSettings(layers=10), "Mao et al., NeurIPS 2016"),
    (RedNetSettings(layers=20), "Mao et al., NeurIPS 2016"),
    (RedNetSettings(layers=30), "Mao et al., NeurIPS 2016"),
    (Cnn4Settings(), "a teaching example"),
    (DscSettings(), "direct symmetric connections, gated"),
    (DenoiseNetSettings(), "Remez et al., SampTA 2017"),
    (WavResNetSettings(), "Kang et al., Medical Physics 44(10):e360, 2017"),
    (UNetSettings(), "Ronneberger et al., MICCAI 2015; BasicUNet of MONAI"),
    (CscSettings(), "Papyan et al., JMLR 18, 2017; Sulam et al., IEEE TPAMI 42(8), 2020"),
    (AutoencoderSettings(), "dense, on patches of 28 x 28"),
    (AutoencoderSettings(kind="convolutional", code=64, hidden=64), "convolutional"),
    (AutoencoderSettings(kind="variational", code=64, hidden=64), "Kingma and Welling, ICLR 2014"),
    (IdentitySettings(), "the baseline of every comparison"),
)
"""Every kind of network with its published sizes, and where it comes from."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One network.

    Args:
        settings: The network, as settings of `train` name it.
        source: Where it comes from.
        parameters: Weights and biases.
        operations: Multiplications with an addition for a slice of 512 x 512 pixels, or the next
            size that the network takes.
        receptive_field: Edge of the square of input pixels that one output pixel depends on; None
            where every pixel may matter.
        multiple_of: Sizes along y and x must be multiples of this.
    """

    settings: NetworkSettings
    source: str
    parameters: int
    operations: int
    receptive_field: int | None
    multiple_of: int


def every_network() -> tuple[NetworkFacts, ...]:
    """Facts of every kind of network with its default sizes."""
    return tuple(facts_of(settings, source) for settings, source in EVERY)


def facts_of(settings: NetworkSettings, source: str = "") -> NetworkFacts:
    """Facts of one network; nothing is computed, shapes alone go through it.

    Args:
        settings: Any network.
        source: Where it comes from.
    """
    network = build_network(settings).eval()
    step = network.constraints.multiple_of
    size = -(-SLICE // step) * step
    parameters = sum(parameter.numel() for parameter in network.parameters())
    network.to("meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.empty(1, network.constraints.channels, size, size, device="meta"))
    radius = network.constraints.receptive_field_radius
    return NetworkFacts(
        settings=settings,
        source=source,
        parameters=parameters,
        operations=counter.get_total_flops() // 2,
        receptive_field=None if radius is None else 2 * radius + 1,
        multiple_of=step,
    )
