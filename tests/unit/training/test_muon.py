"""Muon's steps, and Adam's for the layers that are none of Muon's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ctdenoise.config.optimizers import AdamSettings, MuonSettings
from ctdenoise.training.muon import even
from ctdenoise.training.optimizers import build_optimizer


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def moved(layer: nn.Module, settings: AdamSettings | MuonSettings, steps: int) -> torch.Tensor:
    optimizer = build_optimizer(settings, layer)
    before = layer.weight.detach().clone()
    for step in range(steps):
        layer.weight.grad = drawn(*layer.weight.shape, seed=step)
        optimizer.step()
    return layer.weight.detach() - before


@pytest.mark.parametrize("shape", [(24, 200), (200, 24), (32, 32)], ids=str)
def test_a_matrix_is_made_even_without_turning_its_singular_vectors(shape):
    left, _, right = torch.linalg.svd(drawn(*shape), full_matrices=False)
    sizes = torch.logspace(-2, 2, min(shape))
    found = torch.linalg.svdvals(even(left * sizes @ right))
    # As stated by Jordan et al. for singular values that are not tiny beside the largest.
    within = (left.T @ even(left * sizes @ right) @ right.T).diagonal()[sizes > 1]
    assert within.min() > 0.6
    assert within.max() < 1.3
    assert found.max() < 1.3


def test_the_scale_of_the_gradient_does_not_matter():
    torch.testing.assert_close(even(drawn(16, 40)), even(1e-4 * drawn(16, 40)))


@pytest.mark.parametrize("width", [16, 32])
def test_a_step_is_as_long_as_one_of_adam(width):
    layer = nn.Conv2d(width, width, 5)
    change = moved(layer, MuonSettings(learning_rate=0.01), steps=1)
    assert float(change.square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.3)


@pytest.mark.parametrize("maps", [(2, 32), (32, 1)], ids=str)
def test_layers_that_touch_the_image_follow_adam(maps):
    torch.manual_seed(0)
    layers = [nn.Conv2d(*maps, 5, bias=False) for _ in range(2)]
    changes = [
        moved(layer, settings, steps=4)
        for layer, settings in zip(
            layers, (AdamSettings(learning_rate=0.1), MuonSettings(learning_rate=0.1)), strict=True
        )
    ]
    torch.testing.assert_close(*changes)


def test_the_running_mean_outlives_a_single_gradient():
    layer = nn.Conv2d(16, 16, 3, bias=False)
    optimizer = build_optimizer(MuonSettings(learning_rate=0.1), layer)
    layer.weight.grad = drawn(16, 16, 3, 3)
    optimizer.step()
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.zeros_like(layer.weight)
    optimizer.step()
    assert not torch.equal(layer.weight, before)
