"""Networks that see neighbouring slices."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save_file

from ctdenoise.config.networks import (
    CompactSettings,
    RedCnnSettings,
    UNetSettings,
    slices_seen,
)
from ctdenoise.core.intensity import HuRange
from ctdenoise.networks.build import build_network
from ctdenoise.networks.catalogue import facts_of
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ctdenoise.networks.prediction import LARGEST_CHANGE

HEAD = {"classes": 3}
SEVERAL = [
    RedCnnSettings(channels=4, slices=3, head=HEAD, predict_sigma=True),
    RedCnnSettings(channels=4, slices=5, noise_input=True),
    UNetSettings(features=(4, 4, 6, 8, 8, 4), slices=3, noise_input=True),
    UNetSettings(features=(4, 4, 6, 8, 8, 4), slices=5, head=HEAD, predict_sigma=True),
    CompactSettings(channels=4, pairs=2, slices=5, noise_input=True, head=HEAD),
]


def named(settings):
    return f"{settings.name}-{settings.slices}"


def awake(settings):
    """A network whose last layer is not zero."""
    generator = torch.Generator().manual_seed(3)
    net = build_network(settings, generator=generator).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return net


def given(settings, noise=0.02, size=32):
    generator = torch.Generator().manual_seed(0)
    slices = torch.rand(2, settings.slices, size, size, generator=generator)
    if not settings.noise_input:
        return slices
    return torch.cat((slices, torch.full_like(slices[:, :1], noise)), dim=1)


def middle(seen, settings):
    place = settings.slices // 2
    return seen[:, place : place + 1]


@pytest.mark.parametrize("settings", SEVERAL, ids=named)
class TestEach:
    def test_a_fresh_one_returns_the_middle_slice(self, settings):
        net = build_network(settings, generator=torch.Generator().manual_seed(1)).eval()
        seen = given(settings)
        with torch.no_grad():
            assert torch.equal(net(seen).image, middle(seen, settings))

    def test_it_says_how_many_slices_it_sees(self, settings):
        constraints = build_network(settings).constraints
        assert constraints.input_channels == settings.slices == slices_seen(settings)
        assert constraints.context == settings.slices // 2
        assert constraints.channels == settings.slices + settings.noise_input

    def test_every_output_has_the_size_of_one_slice(self, settings):
        prediction = awake(settings)(given(settings))
        assert prediction.image.shape == (2, 1, 32, 32)
        assert prediction.logits is None or prediction.logits.shape == (2, 3, 32, 32)
        assert prediction.log_sigma is None or prediction.log_sigma.shape == (2, 1, 32, 32)

    def test_every_neighbour_matters(self, settings):
        net, seen = awake(settings), given(settings)
        with torch.no_grad():
            before = net(seen).image
            for channel in range(settings.slices):
                other = seen.clone()
                other[:, channel] += 0.1
                assert not torch.equal(net(other).image, before)

    def test_gradients_reach_every_parameter(self, settings):
        net = awake(settings)
        outputs = net(given(settings))
        sum(
            (each.square().mean() for each in outputs if each is not None), torch.tensor(0.0)
        ).backward()
        assert all(p.grad is not None and p.grad.any() for p in net.parameters())

    def test_folding_changes_nothing_but_rounding(self, settings):
        net, seen = awake(settings), given(settings)
        with torch.no_grad():
            torch.testing.assert_close(net.folded()(seen).image, net(seen).image, rtol=0, atol=1e-4)

    def test_low_precision_touches_the_change_only(self, settings):
        net = build_network(settings).eval().to(torch.bfloat16)
        seen = given(settings)
        with torch.no_grad():
            image = net(seen).image
        assert image.dtype == torch.float32
        assert torch.equal(image, middle(seen, settings))

    def test_a_checkpoint_keeps_what_it_is(self, settings, tmp_path):
        net = awake(settings)
        file = save_checkpoint(
            tmp_path / "net.safetensors", Checkpoint(settings, net.state_dict(), HuRange())
        )
        built = load_checkpoint(file).build()
        with torch.no_grad():
            assert torch.equal(built(given(settings)).image, net(given(settings)).image)


def test_the_change_is_limited_around_the_middle_slice():
    settings = SEVERAL[1]
    net, seen = awake(settings), given(settings, noise=0.0005)
    with torch.no_grad():
        change = (net(seen).image - middle(seen, settings)).abs()
    assert change.max() == pytest.approx(LARGEST_CHANGE * 0.0005, rel=1e-3)


def test_the_only_new_weights_are_those_of_more_inputs():
    one, three = (facts_of(RedCnnSettings(slices=slices)).parameters for slices in (1, 3))
    assert three - one == 2 * 96 * 25


@pytest.mark.parametrize("slices", [0, 2, 4, 11])
def test_an_even_number_of_slices_is_refused(slices):
    with pytest.raises(ValidationError, match="slices"):
        RedCnnSettings(slices=slices)


@pytest.mark.parametrize("settings", [RedCnnSettings(channels=4), UNetSettings()], ids=named)
def test_a_checkpoint_from_before_the_setting_loads_and_keeps_its_digest(settings, tmp_path):
    weights = build_network(settings, generator=torch.Generator().manual_seed(0)).state_dict()
    file = save_checkpoint(tmp_path / "new.safetensors", Checkpoint(settings, weights, HuRange()))
    with safe_open(file, framework="pt") as opened:
        described = json.loads(opened.metadata()["ctdenoise"])
    del described["record"]["network"]["slices"]
    old = tmp_path / "old.safetensors"
    save_file(weights, old, {"ctdenoise": json.dumps(described)})
    assert load_checkpoint(old).digest == load_checkpoint(file).digest
    several = settings.replaced(slices=3)
    assert Checkpoint(several, weights, HuRange()).digest != load_checkpoint(file).digest
