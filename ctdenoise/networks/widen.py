"""Wider networks out of trained narrow ones, without changing what they compute.

After Net2WiderNet (Chen, Goodfellow, Shlens, "Net2Net: Accelerating Learning via Knowledge
Transfer", ICLR 2016): units are copied, and the layer that reads them divides its weights by the
number of copies. Copies that stay equal would learn nothing of their own. Net2Net adds noise to
the weights, which changes the output; here the noise of the weights that read the copies of one
unit sums to zero, so that they share the unit unevenly (as in Wang et al., "LEMON: Lossless Model
Expansion", ICLR 2024). Copies are equal at first and the output stays what it was, and yet they
get different gradients and part.

All layers are copied by one pattern. That is what the sums of maps need, in RED-CNN from encoder to
decoder and in the compact network around every pair: both summands have the same unit at the same
place.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ctdenoise.config.networks import CompactSettings, NetworkSettings, RedCnnSettings
from ctdenoise.networks.prediction import DenoisingNetwork

UNEVENNESS = 0.5
"""Standard deviation of the noise that parts copies, over the root mean square of the weights."""


class Ends(NamedTuple):
    """Layers of a network that touch something else than maps.

    Args:
        reads_image: The layer that reads the input.
        write_outputs: Those that write what the network gives.
    """

    reads_image: str
    write_outputs: tuple[str, ...]


ENDS: Mapping[str, Ends] = MappingProxyType(
    {
        "redcnn": Ends("conv1", ("tconv5", "head", "sigma")),
        "compact": Ends("enter", ("leave", "head", "sigma")),
    }
)
"""The networks that can be widened."""


def channels_of(network: NetworkSettings) -> int | None:
    """Channels of a network that can be widened; None for any other."""
    return network.channels if isinstance(network, RedCnnSettings | CompactSettings) else None


def can_widen(narrow: NetworkSettings, wide: NetworkSettings) -> bool:
    """Whether a network can be made out of a narrower one."""
    few, many = channels_of(narrow), channels_of(wide)
    same = narrow.name == wide.name
    return same and few is not None and many is not None and few < many


def widened(
    narrow: DenoisingNetwork, name: str, channels: int, *, generator: torch.Generator
) -> dict[str, Tensor]:
    """The weights of a network with more channels that computes the same up to rounding.

    Every unit becomes as many copies as every other, or one more: unit i of n is at i, n + i, ...

    Args:
        narrow: The trained network.
        name: Its kind, one of `ENDS`.
        channels: Of the wide one; more.
        generator: Source of the noise that parts copies.
    """
    ends = ENDS[name]
    wide = dict(narrow.state_dict())
    unit_of = torch.arange(channels) % len(wide[f"{ends.reads_image}.bias"])
    for place, layer in narrow.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            continue
        inputs, outputs = (0, 1) if isinstance(layer, nn.ConvTranspose2d) else (1, 0)
        weight, bias = f"{place}.weight", f"{place}.bias"
        if place not in ends.write_outputs:
            wide[weight] = wide[weight].index_select(outputs, unit_of)
            wide[bias] = wide[bias].index_select(0, unit_of)
        if place != ends.reads_image:
            wide[weight] = _shared_out(wide[weight], unit_of, inputs, generator)
    return wide


def _shared_out(weight: Tensor, unit_of: Tensor, axis: int, generator: torch.Generator) -> Tensor:
    """Weights that read copies, and sum over the copies of each unit to what they were.

    Args:
        weight: That reads the units themselves.
        unit_of: For each copy, its unit.
        axis: Of the weight, along which units are.
        generator: Source of the noise.
    """
    along = [1] * weight.ndim
    along[axis] = -1
    copies = torch.bincount(unit_of).to(weight.dtype).reshape(along)
    even = (weight / copies).index_select(axis, unit_of)
    size = UNEVENNESS * even.square().mean().sqrt()
    noise = torch.randn(even.shape, generator=generator, dtype=weight.dtype) * size
    mean = torch.zeros_like(weight).index_add(axis, unit_of, noise) / copies
    return even + noise - mean.index_select(axis, unit_of)
