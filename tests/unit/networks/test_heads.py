"""Segmentation heads: every network that has one labels, learns, and denoises as without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.losses import LossSettings
from ctdenoise.config.networks import (
    AutoencoderSettings,
    Cnn4Settings,
    CompactSettings,
    CscSettings,
    DenoiseNetSettings,
    DscSettings,
    IdentitySettings,
    RedCnnSettings,
    RedNetSettings,
    UNetSettings,
    WavResNetSettings,
)
from ctdenoise.core.intensity import HuRange
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.engine import TorchEngine
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.losses.build import Target, build_loss
from ctdenoise.networks.build import _BUILDERS, build_network
from ctdenoise.networks.checkpoint import Checkpoint
from tests.builders import water_disc

CLASSES = 3

HEADED = [
    RedCnnSettings(channels=8),
    RedNetSettings(layers=6, channels=8),
    DscSettings(channels=(8, 8, 8, 8, 8)),
    WavResNetSettings(channels=8, blocks=1),
    UNetSettings(features=(8, 8, 8, 8, 8, 8)),
    CompactSettings(channels=8, pairs=1),
    CscSettings(channels=(8, 8), kernel=5, steps=2),
    AutoencoderSettings(code=40, hidden=60),
    AutoencoderSettings(kind="convolutional", code=12, hidden=12),
    AutoencoderSettings(kind="variational", code=12, hidden=12),
]
HEADLESS = [Cnn4Settings, DenoiseNetSettings, IdentitySettings]


def named(settings):
    return f"{settings.name}-{getattr(settings, 'kind', '')}".rstrip("-")


def built(settings, *, head=True):
    settings = settings.replaced(head={"classes": CLASSES}) if head else settings
    return build_network(settings, generator=torch.Generator().manual_seed(3))


def discs(net, count=2):
    """Two discs of different brightness in noise, and their classes."""
    step = net.constraints.multiple_of
    size = max(24 // step, 1) * step
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    labels = torch.zeros(count, size, size, dtype=torch.long)
    for item in range(count):
        for number, (row, column) in enumerate(((0.35, 0.3), (0.6, 0.7)), start=1):
            away = (y - row * size - item) ** 2 + (x - column * size + item) ** 2
            labels[item][away < (0.2 * size) ** 2] = number
    full = torch.tensor([-1.0, 0.05, 0.4])[labels][:, None]
    noise = torch.randn(full.shape, generator=torch.Generator().manual_seed(0))
    return full + 0.1 * noise, Target(full, labels)


def hard_dice(logits, labels):
    """Of each class above background."""
    found = logits.argmax(dim=1)
    classes = range(1, logits.shape[1])
    both = torch.tensor([((found == n) & (labels == n)).sum() for n in classes])
    sizes = torch.tensor([(found == n).sum() + (labels == n).sum() for n in classes])
    return 2 * both / sizes


@torch.no_grad()
def learnt(net, low, target, *, least, most):
    """Whether Dice of every class and the mean squared error are good enough in prediction."""
    prediction = net.eval()(low)
    error = (prediction.image - target.image).square().mean()
    return bool((hard_dice(prediction.logits, target.labels) > least).all() and error < most)


def test_every_kind_of_network_is_here():
    assert {type(one) for one in HEADED} | set(HEADLESS) == set(_BUILDERS)


@pytest.mark.parametrize("settings", HEADLESS, ids=lambda one: one.__name__)
def test_networks_without_decoded_maps_refuse_a_head(settings):
    with pytest.raises(ValidationError, match="head"):
        settings.model_validate({"head": {"classes": 2}})


@pytest.mark.parametrize("settings", HEADED, ids=named)
class TestEach:
    def test_scores_lie_on_the_grid_of_the_image(self, settings):
        net = built(settings)
        low, _ = discs(net)
        prediction = net(low)
        assert prediction.logits.shape == (2, CLASSES, *low.shape[2:])
        assert prediction.image.shape == low.shape

    def test_the_image_is_that_of_the_network_without_a_head(self, settings):
        with_head, without = built(settings).eval(), built(settings, head=False).eval()
        low, _ = discs(without)
        with torch.no_grad():
            assert torch.equal(with_head(low).image, without(low).image)
        assert built(settings, head=False)(low).logits is None

    def test_gradients_of_the_scores_reach_the_head_and_the_trunk(self, settings):
        net = built(settings)
        low, target = discs(net)
        torch.nn.functional.cross_entropy(net(low).logits, target.labels).backward()
        reached = {n for n, p in net.named_parameters() if p.grad is not None and p.grad.any()}
        assert {name for name, _ in net.named_parameters() if name.startswith("head.")} <= reached
        trunk = {name for name, _ in net.named_parameters() if not name.startswith("head.")}
        # All of the trunk but the last layer, which makes the image: a weight and a bias.
        assert len(trunk - reached) <= 2

    def test_denoising_and_labelling_of_one_batch_are_learnt_together(self, settings):
        net = built(settings)
        low, target = discs(net)
        terms = [{"name": "mse", "weight": 20.0}, {"name": "cross_entropy"}, {"name": "dice"}]
        loss = build_loss(LossSettings.model_validate({"terms": terms}), HuRange())
        optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
        torch.manual_seed(0)
        first = loss(net(low), target).terms["mse"]
        for step in range(400):
            optimizer.zero_grad()
            loss(net.train()(low), target).total.backward()
            optimizer.step()
            if step % 20 == 19 and learnt(net, low, target, least=0.97, most=0.7 * first):
                break
        assert learnt(net, low, target, least=0.95, most=0.8 * first)

    def test_a_denoiser_labels_what_the_network_labels(self, settings):
        settings = settings.replaced(head={"classes": CLASSES})
        net = built(settings).eval()
        checkpoint = Checkpoint(settings, net.state_dict(), HuRange(0.0, 1000.0))
        engine = TorchEngine(net, torch.device("cpu"))
        volume = water_disc(slices=2, size=56)
        _, found = MethodDenoiser(
            NetworkMethod(checkpoint, engine, InferSettings()), InferSettings()
        ).with_estimates(volume, labels=True)
        step = net.constraints.multiple_of
        size = -(-56 // step) * step
        margin = (size - 56) // 2
        scaled = torch.from_numpy(volume.hu.copy())[:, None] / 1000
        with torch.no_grad():
            padded = torch.nn.functional.pad(scaled, [margin] * 4, mode="replicate")
            logits = net(padded).logits[..., margin : margin + 56, margin : margin + 56]
        top = logits.topk(2, dim=1).values
        clear = (top[:, 0] - top[:, 1] > 1e-4).numpy()  # folded layers round otherwise
        assert clear.mean() > 0.5
        np.testing.assert_array_equal(found.labels[clear], logits.argmax(1).numpy()[clear])


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        (CscSettings(channels=(2,), kernel=3), "9c52f4b18e29"),
        (AutoencoderSettings(kind="convolutional", code=2, hidden=2), "77b574047005"),
        (WavResNetSettings(channels=2, blocks=1), "1b1294e266be"),
        (RedNetSettings(channels=2), "d56d292a4fbf"),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_networks_without_a_head_keep_the_digest_they_had(settings, digest):
    net = build_network(settings)
    weights = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
    assert Checkpoint(settings, weights, HuRange()).digest == digest
    headed = settings.replaced(head={"classes": 2})
    assert Checkpoint(headed, weights, HuRange()).digest != digest
