"""Networks that are told how noisy their input is."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save_file

from ctdenoise.config.networks import CompactSettings, RedCnnSettings, UNetSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.networks.build import build_network
from ctdenoise.networks.catalogue import facts_of
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ctdenoise.networks.prediction import LARGEST_CHANGE, NOISE_UNIT

HEAD = {"classes": 3}
TOLD = [
    RedCnnSettings(channels=4, noise_input=True, head=HEAD, predict_sigma=True),
    RedCnnSettings(
        channels=4, noise_input=True, change_in_noise=True, head=HEAD, predict_sigma=True
    ),
    UNetSettings(features=(4, 4, 6, 8, 8, 4), noise_input=True, head=HEAD, predict_sigma=True),
    CompactSettings(channels=4, pairs=2, noise_input=True, head=HEAD, predict_sigma=True),
]


def awake(settings):
    """A network whose last layer is not zero."""
    generator = torch.Generator().manual_seed(3)
    net = build_network(settings, generator=generator).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return net


def given(noise=0.02, size=32):
    image = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0))
    return torch.cat((image, torch.full_like(image, noise)), dim=1)


@pytest.mark.parametrize("settings", TOLD, ids=["redcnn", "redcnn-in-noise", "unet", "compact"])
class TestEach:
    def test_a_fresh_one_returns_the_image_channel(self, settings):
        net = build_network(settings, generator=torch.Generator().manual_seed(1)).eval()
        with torch.no_grad():
            assert torch.equal(net(given()).image, given()[:, :1])

    def test_every_output_has_the_size_of_the_image(self, settings):
        prediction = awake(settings)(given())
        assert prediction.image.shape == prediction.log_sigma.shape == (2, 1, 32, 32)
        assert prediction.logits.shape == (2, 3, 32, 32)

    def test_an_image_said_to_be_without_noise_comes_back_as_it_is(self, settings):
        net = awake(settings)
        with torch.no_grad():
            assert torch.equal(net(given(0.0)).image, given()[:, :1])
            assert not torch.equal(net(given(NOISE_UNIT)).image, given()[:, :1])

    def test_no_pixel_changes_by_more_than_its_noise_explains(self, settings):
        net, seen = awake(settings), given(0.0005)
        seen[..., 1, 16:, :] = 1000.0
        with torch.no_grad():
            change = (net(seen).image - seen[:, :1]).abs()
        assert change[..., :16, :].max() == pytest.approx(LARGEST_CHANGE * 0.0005, rel=1e-3)
        assert change[..., 16:, :].max() > 10 * LARGEST_CHANGE * 0.0005

    def test_gradients_reach_every_parameter(self, settings):
        net = awake(settings)
        prediction = net(given())
        (
            prediction.image.square().mean()
            + prediction.logits.square().mean()
            + prediction.log_sigma.square().mean()
        ).backward()
        assert all(p.grad is not None and p.grad.any() for p in net.parameters())

    def test_the_noise_of_a_pixel_matters_within_the_receptive_field_only(self, settings):
        net = awake(settings)
        radius, step = net.constraints.receptive_field_radius, net.constraints.multiple_of
        width = (radius // step + 3) * step
        near = torch.full((1, 2, 32, width), 0.1)
        far = near.clone()
        far[:, 1, :, 0] = 0.2
        with torch.no_grad():
            difference = (net(near).image - net(far).image).abs()
        assert difference[..., 1:].max() > 0
        assert difference[..., radius + 1 :].max() == 0

    def test_folding_changes_nothing_but_rounding(self, settings):
        net = awake(settings)
        with torch.no_grad():
            torch.testing.assert_close(
                net.folded()(given()).image, net(given()).image, rtol=0, atol=1e-4
            )

    def test_low_precision_touches_the_change_only(self, settings):
        net = awake(settings).to(torch.bfloat16)
        with torch.no_grad():
            image = net(given(0.0)).image
        assert image.dtype == torch.float32
        assert torch.equal(image, given()[:, :1])

    def test_a_checkpoint_keeps_what_it_is(self, settings, tmp_path):
        net = awake(settings)
        file = save_checkpoint(
            tmp_path / "net.safetensors", Checkpoint(settings, net.state_dict(), HuRange())
        )
        built = load_checkpoint(file).build()
        assert built.constraints.noise_input
        with torch.no_grad():
            assert torch.equal(built(given()).image, net(given()).image)


def test_the_only_new_weights_are_those_of_one_more_input():
    plain, told = (facts_of(RedCnnSettings(noise_input=told)).parameters for told in (False, True))
    assert told - plain == 96 * 25


def test_a_checkpoint_from_before_the_setting_loads_and_keeps_its_digest(tmp_path):
    settings = RedCnnSettings(channels=4)
    weights = build_network(settings, generator=torch.Generator().manual_seed(0)).state_dict()
    file = save_checkpoint(tmp_path / "new.safetensors", Checkpoint(settings, weights, HuRange()))
    with safe_open(file, framework="pt") as opened:
        described = json.loads(opened.metadata()["ctdenoise"])
    for later in ("noise_input", "change_in_noise"):
        del described["record"]["network"][later]
    old = tmp_path / "old.safetensors"
    save_file(weights, old, {"ctdenoise": json.dumps(described)})
    assert load_checkpoint(old).digest == load_checkpoint(file).digest
    # As computed by the version before the setting.
    fixed = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    assert Checkpoint(settings, fixed, HuRange()).digest == "5df4b22be98e"


def test_a_change_in_units_of_the_noise_is_the_same_network_times_the_noise():
    plain = awake(RedCnnSettings(channels=4, noise_input=True))
    in_noise = awake(RedCnnSettings(channels=4, noise_input=True, change_in_noise=True))
    seen = given(1.0)  # so much that nothing is cut
    seen[:, 1, :, 16:] = 2.0
    with torch.no_grad():
        change, times_noise = (net(seen).image - seen[:, :1] for net in (plain, in_noise))
    torch.testing.assert_close(times_noise, change * seen[:, 1:], rtol=0, atol=1e-5)


def test_a_change_in_units_of_the_noise_needs_the_noise():
    with pytest.raises(ValidationError, match="needs noise_input=true"):
        RedCnnSettings(change_in_noise=True)
