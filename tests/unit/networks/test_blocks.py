"""Layers fold only where folding is exact."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ctdenoise.networks.blocks import as_plain_convolution, draw_weights, transposed_convolution


@pytest.mark.parametrize(("inputs", "outputs", "size"), [(1, 3, 3), (4, 2, 5), (3, 1, 2)])
def test_a_folded_layer_gives_the_same_maps(inputs, outputs, size):
    layer = transposed_convolution(inputs, outputs, size)
    draw_weights(layer, "scaled", torch.Generator().manual_seed(0))
    nn.init.constant_(layer.bias, 0.3)
    maps = torch.rand(2, inputs, 9, 11, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(as_plain_convolution(layer)(maps), layer(maps))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(2, 2, 3, stride=2),
        nn.ConvTranspose2d(2, 2, (3, 5)),
        nn.ConvTranspose2d(2, 2, 3, padding=3),
        nn.ConvTranspose2d(2, 2, 3, groups=2),
    ],
)
def test_other_layers_are_not_folded(layer):
    with pytest.raises(ValueError, match="stride 1"):
        as_plain_convolution(layer)


def test_a_layer_that_keeps_the_size_folds():
    layer = nn.ConvTranspose2d(2, 3, 3, padding=1)
    maps = torch.rand(1, 2, 6, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(as_plain_convolution(layer)(maps), layer(maps))


def test_a_layer_without_bias_folds():
    layer = nn.ConvTranspose2d(2, 3, 3, bias=False)
    maps = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(as_plain_convolution(layer)(maps), layer(maps))
