"""What every network costs and reaches, found by building it and counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

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
    most_slices,
)
from ctdenoise.networks.build import build_network

SLICE = 512
"""Edge of the slice that operations are counted for, pixels."""


class Source(NamedTuple):
    """Where a network comes from.

    Args:
        cited: In two or three words: "Chen 2017".
        reference: Where that was published, or what else is known.
    """

    cited: str
    reference: str


_RED_NET = Source("Mao 2016", "Mao et al., NeurIPS 2016")
_UNKNOWN = "no paper known"

EVERY: tuple[tuple[NetworkSettings, Source], ...] = (
    (RedCnnSettings(), Source("Chen 2017", "Chen et al., IEEE TMI 36(12):2524, 2017")),
    (RedNetSettings(layers=10), _RED_NET),
    (RedNetSettings(layers=20), _RED_NET),
    (RedNetSettings(layers=30), _RED_NET),
    (Cnn4Settings(), Source("for teaching", "a public exercise without a paper")),
    (DscSettings(), Source(_UNKNOWN, "direct symmetric connections that gates share out")),
    (DenoiseNetSettings(), Source("Remez 2017", "Remez et al., SampTA 2017")),
    (WavResNetSettings(), Source("Kang 2017", "Kang et al., Medical Physics 44(10):e360, 2017")),
    (
        UNetSettings(),
        Source("Ronneberger 2015", "Ronneberger et al., MICCAI 2015; BasicUNet of MONAI"),
    ),
    (CompactSettings(), Source("our own", "our own design, with parts of FFDNet and EDSR")),
    (
        CscSettings(),
        Source("Papyan 2017", "Papyan et al., JMLR 18, 2017; Sulam et al., IEEE TPAMI 42(8), 2020"),
    ),
    (AutoencoderSettings(), Source(_UNKNOWN, "dense, on patches of 28 x 28")),
    (
        AutoencoderSettings(kind="convolutional", code=64, hidden=64),
        Source(_UNKNOWN, "strided convolutions"),
    ),
    (
        AutoencoderSettings(kind="variational", code=64, hidden=64),
        Source("Kingma 2014", "Kingma and Welling, ICLR 2014"),
    ),
    (IdentitySettings(), Source("the baseline", "the baseline of every comparison")),
)
"""Every kind of network with its published sizes, and where it comes from."""


UNSTATED = Source("", "")
"""The source of a network that is not of this list."""


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
        most_slices: Neighbouring slices that it can be set to see at once, at most.
    """

    settings: NetworkSettings
    source: Source
    parameters: int
    operations: int
    receptive_field: int | None
    multiple_of: int
    most_slices: int


def every_network() -> tuple[NetworkFacts, ...]:
    """Facts of every kind of network with its default sizes."""
    return tuple(facts_of(settings, source) for settings, source in EVERY)


def facts_of(settings: NetworkSettings, source: Source = UNSTATED) -> NetworkFacts:
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
        most_slices=most_slices(settings),
    )
