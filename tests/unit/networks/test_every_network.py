"""Sizes, constraints and learning of every network in the registry."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from ctdenoise.config.networks import (
    AutoencoderSettings,
    Cnn4Settings,
    CompactSettings,
    CscSettings,
    DenoiseNetSettings,
    DscSettings,
    NetworkSettings,
    RedCnnSettings,
    RedNetSettings,
    UNetSettings,
    WavResNetSettings,
)
from ctdenoise.networks.build import _BUILDERS, build_network
from ctdenoise.networks.sub_bands import split

HEAD = {"classes": 3}

SMALL = [
    RedCnnSettings(channels=4, head=HEAD, predict_sigma=True),
    RedNetSettings(layers=10, channels=6, head=HEAD),
    RedNetSettings(layers=8, channels=6, skips=False, residual=False),
    Cnn4Settings(),
    Cnn4Settings(residual=True),
    DscSettings(channels=(4, 4, 6, 6, 8), head=HEAD),
    DscSettings(channels=(4, 4, 6, 6, 8), gated=False, residual=False),
    DenoiseNetSettings(layers=5, channels=6),
    WavResNetSettings(channels=6, blocks=2, head=HEAD),
    WavResNetSettings(channels=6, blocks=2, domain="image"),
    UNetSettings(features=(4, 4, 6, 8, 8, 4), head=HEAD, predict_sigma=True),
    CompactSettings(channels=8, pairs=2, head=HEAD, predict_sigma=True),
    CscSettings(channels=(6, 8), kernel=3, steps=2, head=HEAD),
    CscSettings(channels=(6,), kernel=3, steps=1),
    AutoencoderSettings(code=20, hidden=30, head=HEAD),
    AutoencoderSettings(kind="convolutional", code=6, hidden=6, head=HEAD),
    AutoencoderSettings(kind="variational", code=6, hidden=6, head=HEAD),
]


def named(settings):
    return getattr(settings, "name", str(settings))


def size_for(net, most=64):
    step = net.constraints.multiple_of
    return max(net.constraints.smallest_input, most // step * step, step)


def seeded(settings):
    return build_network(settings, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        (RedCnnSettings(), 1_848_865),
        (RedNetSettings(layers=10), 296_641),
        (RedNetSettings(layers=20), 665_921),
        (RedNetSettings(layers=30), 1_035_201),
        (Cnn4Settings(), 2_737),
        (DscSettings(), 4_444_743),
        (DenoiseNetSettings(), 655_544),
        (WavResNetSettings(), 4_172_175),
        (UNetSettings(), 1_975_361),
        (CompactSettings(), 300_100),
        (CscSettings(), 206_592),
        (AutoencoderSettings(), 1_646_084),
    ],
    ids=named,
)
def test_the_default_sizes_are_those_that_are_documented(settings, parameters):
    assert sum(p.numel() for p in build_network(settings).parameters()) == parameters


def test_wavresnet_has_24_convolutions_and_gathers_896_maps():
    layers = [m for m in build_network(WavResNetSettings()).modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 24
    assert max(layer.in_channels for layer in layers) == 896


def test_every_settings_class_has_a_network():
    union = get_args(get_args(NetworkSettings)[0])
    assert set(_BUILDERS) == set(union)


@pytest.mark.parametrize("settings", SMALL, ids=named)
class TestEach:
    def test_pixels_beyond_the_receptive_field_do_not_matter(self, settings):
        net = seeded(settings).eval()
        radius = net.constraints.receptive_field_radius
        if radius is None:
            pytest.skip("every pixel may matter")
        step = net.constraints.multiple_of
        width = (radius // step + 3) * step
        near = torch.rand(1, 1, size_for(net, 32), width)
        far = near.clone()
        far[..., 0] += 1.0
        _wake(net)
        with torch.no_grad():
            difference = (net(near).image - net(far).image).abs()
        assert difference.max() > 0
        assert difference[..., radius + 1 :].max() == 0

    def test_every_size_within_the_constraints_is_kept(self, settings):
        net = seeded(settings).eval()
        step, least = net.constraints.multiple_of, net.constraints.smallest_input
        least = -(-least // step) * step
        for shape in ((least, least), (least, least + step), (least + 3 * step, least)):
            with torch.no_grad():
                prediction = net(torch.rand(2, 1, *shape))
            assert prediction.image.shape == (2, 1, *shape)
            assert torch.isfinite(prediction.image).all()

    def test_gradients_reach_every_parameter(self, settings):
        net = seeded(settings)
        _wake(net)
        scaled = torch.rand(2, 1, size_for(net), size_for(net))
        prediction = net(scaled)
        loss = prediction.image.square().mean()
        if prediction.logits is not None:
            assert prediction.logits.shape == (2, 3, *scaled.shape[2:])
            loss = loss + prediction.logits.square().mean()
        if prediction.log_sigma is not None:
            assert prediction.log_sigma.shape == scaled.shape
            loss = loss + prediction.log_sigma.square().mean()
        loss.backward()
        still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        assert not still

    def test_one_batch_can_be_learnt(self, settings):
        net = seeded(settings)
        generator = torch.Generator().manual_seed(0)
        scaled = torch.rand(2, 1, size_for(net, 32), size_for(net, 32), generator=generator)
        smooth = torch.nn.functional.avg_pool2d(scaled, 5, 1, 2)
        optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
        torch.manual_seed(0)
        losses = []
        for _ in range(150):
            optimizer.zero_grad()
            loss = (net(scaled).image - smooth).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert min(losses[-5:]) < 0.5 * losses[0]

    def test_the_image_is_float32_whatever_the_weights(self, settings):
        net = seeded(settings).eval().to(torch.bfloat16)
        scaled = torch.rand(1, 1, size_for(net), size_for(net))
        with torch.no_grad():
            image = net(scaled).image
        assert image.dtype == torch.float32
        assert torch.isfinite(image).all()


def _wake(net):
    """Layers that start at zero hide what lies before them."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)


@pytest.mark.parametrize("shape", [(16, 24), (17, 31), (28, 28)])
@pytest.mark.parametrize("directions", [(8, 4, 2, 1), (4, 1), (1,)])
def test_sub_bands_sum_to_the_image(shape, directions):
    images = torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(0))
    bands = split(images, directions)
    assert bands.shape == (2, sum(directions), *shape)
    torch.testing.assert_close(bands.sum(dim=1, keepdim=True), images, rtol=0, atol=1e-5)


def test_a_grating_lies_in_the_sub_band_of_its_direction():
    x = torch.arange(64.0)
    along_x = torch.cos(2 * torch.pi * 0.3 * (x + 0.5))[None, :].expand(64, 64)
    energy = split(along_x[None, None], (4, 1)).square().sum(dim=(0, 2, 3))
    assert energy[0] > 0.9 * energy.sum()
    turned = split(along_x.T[None, None], (4, 1)).square().sum(dim=(0, 2, 3))
    assert turned[2] > 0.9 * turned.sum()


def test_sparse_codes_are_never_negative():
    net = seeded(CscSettings(channels=(6, 8), kernel=3, steps=3)).eval()
    with torch.no_grad():
        codes = net.codes(torch.randn(1, 1, 20, 20))
    assert all((code >= 0).all() for code in codes)


def test_each_step_brings_the_image_of_sparse_codes_nearer_to_the_input():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 1, 40, 40, generator=generator)
    scaled = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    errors = []
    for steps in (1, 2, 4, 8):
        net = seeded(CscSettings(channels=(32,), kernel=5, steps=steps)).eval()
        with torch.no_grad():
            errors.append(float((net(scaled).image - scaled).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * errors[0]


def test_gates_share_out_what_goes_down_and_across():
    """By hand, level by level, from the formula of the class."""
    net = seeded(DscSettings(channels=(4, 4, 6, 6, 8)))
    _wake(net)
    x = torch.rand(1, 1, 32, 32)
    relu = torch.relu
    with torch.no_grad():
        x1 = relu(net.down[0](0.1 * x))
        x2 = relu(net.down[1](0.2 * x1))
        x3 = relu(net.down[2](0.3 * x2))
        x4 = relu(net.down[3](0.4 * x3))
        d = relu(net.down[4](x4))
        for up, share, across in zip(net.up, (0.6, 0.7, 0.8, 0.9), (x4, x3, x2, x1), strict=True):
            d = relu(up(d)) + share * across
        torch.testing.assert_close(net(x).image, net.last(d) + x)


def test_a_variational_code_is_drawn_in_training_only():
    net = seeded(AutoencoderSettings(kind="variational", code=6, hidden=6))
    scaled = torch.rand(1, 1, 16, 16)
    torch.manual_seed(0)
    assert not torch.equal(net(scaled).image, net(scaled).image)
    assert net(scaled).penalty > 0
    net.eval()
    assert torch.equal(net(scaled).image, net(scaled).image)
    assert net(scaled).penalty is None
