"""A widened network computes what the narrow one did, and its copies part."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from ctdenoise.config.networks import (
    CompactSettings,
    NetworkSettings,
    RedCnnSettings,
    SegmentationHeadSettings,
    UNetSettings,
)
from ctdenoise.networks.build import build_network
from ctdenoise.networks.prediction import DenoisingNetwork, Prediction
from ctdenoise.networks.widen import ENDS, can_widen, widened

ALL = {
    "noise_input": True,
    "predict_sigma": True,
    "slices": 3,
    "head": SegmentationHeadSettings(classes=3),
}
NARROW: dict[str, NetworkSettings] = {
    "redcnn": RedCnnSettings(channels=4),
    "redcnn-with-all": RedCnnSettings(channels=4, change_in_noise=True, **ALL),
    "compact": CompactSettings(channels=4, pairs=2),
    "compact-with-all": CompactSettings(channels=4, pairs=2, **ALL),
}


def trained(name: str) -> DenoisingNetwork:
    """A network in which every weight and bias counts."""
    generator = torch.Generator().manual_seed(1)
    network = build_network(NARROW[name], generator=generator).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network


def wide(name: str, channels: int, seed: int = 2) -> DenoisingNetwork:
    settings = NARROW[name].replaced(channels=channels)
    network = build_network(settings).eval()
    generator = torch.Generator().manual_seed(seed)
    network.load_state_dict(widened(trained(name), settings.name, channels, generator=generator))
    return network


def outputs(network: DenoisingNetwork) -> Prediction:
    shape = 1, network.constraints.channels, 32, 32
    with torch.no_grad():
        return network(torch.rand(shape, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("channels", [5, 8, 11, 12])
@pytest.mark.parametrize("name", NARROW)
def test_every_output_is_what_it_was_up_to_rounding(name, channels):
    found, expected = outputs(wide(name, channels)), outputs(trained(name))
    for one, other in zip(found, expected, strict=True):
        if other is None:
            assert one is None
        else:
            size = float(other.abs().max())
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * max(size, 1.0))


@pytest.mark.parametrize("name", NARROW)
def test_copies_get_gradients_of_their_own(name):
    network = wide(name, 12)
    seen = torch.rand(1, network.constraints.channels, 32, 32, generator=torch.Generator())
    network(seen).image.square().mean().backward()
    gradient = network.get_parameter(f"{ENDS[NARROW[name].name].reads_image}.bias").grad
    assert gradient is not None
    living = [one for one in gradient.tolist() if one != 0]  # a ReLU may have cut a unit off
    assert len(living) > 4
    assert len(set(living)) == len(living)


def test_copies_are_as_many_of_each_unit_as_can_be():
    biases = wide("redcnn", 11).get_parameter("conv3.bias").tolist()
    assert sorted(Counter(biases).values()) == [2, 3, 3, 3]


def test_what_parts_the_copies_is_drawn_anew_with_another_seed():
    weights = [wide("redcnn", 8, seed).get_parameter("conv2.weight") for seed in (2, 2, 3)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("narrow", "other", "can"),
    [
        (RedCnnSettings(channels=8), RedCnnSettings(channels=9, noise_input=True), True),
        (RedCnnSettings(channels=8), RedCnnSettings(channels=8), False),
        (RedCnnSettings(channels=8), CompactSettings(channels=9), False),
        (UNetSettings(), UNetSettings(features=(64, 64, 128, 256, 512, 64)), False),
    ],
    ids=["wider", "as-wide", "another", "unet"],
)
def test_only_a_wider_network_of_the_same_kind_can_be_made(narrow, other, can):
    assert can_widen(narrow, other) == can
