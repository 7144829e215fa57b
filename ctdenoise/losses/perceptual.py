"""Distance of two images in the features of a frozen encoder of our own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

_RANDOM_MAPS = 32
_RANDOM_KERNEL = 5
_RANDOM_SEED = 20171212


class FrozenEncoder(nn.Module):
    """Convolutions without padding, each followed by a ReLU, that are never trained.

    Args:
        filters: Weight [out, in, y, x] and bias [out] of each convolution.
    """

    def __init__(self, filters: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self._layers = len(filters)
        for index, (weight, bias) in enumerate(filters):
            self.register_buffer(f"weight{index}", weight.detach().clone())
            self.register_buffer(f"bias{index}", bias.detach().clone())

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features after each layer.

        Args:
            images: [batch, 1, y, x] in network scale.
        """
        maps, features = images.float(), []
        for index in range(self._layers):
            weight, bias = (getattr(self, f"{name}{index}") for name in ("weight", "bias"))
            maps = F.relu(F.conv2d(maps, weight.float(), bias.float()))
            features.append(maps)
        return features


def random_encoder(layers: int) -> FrozenEncoder:
    """Fixed random filters; the first do not see a shift of all values, since they sum to zero.

    Args:
        layers: How many convolutions.
    """
    generator = torch.Generator().manual_seed(_RANDOM_SEED)
    filters = []
    for index in range(layers):
        inputs = 1 if index == 0 else _RANDOM_MAPS
        shape = (_RANDOM_MAPS, inputs, _RANDOM_KERNEL, _RANDOM_KERNEL)
        weight = torch.randn(shape, generator=generator)
        weight -= weight.mean(dim=(1, 2, 3), keepdim=True)
        weight *= (2.0 / weight[0].numel()) ** 0.5
        filters.append((weight, torch.zeros(_RANDOM_MAPS)))
    return FrozenEncoder(filters)


def feature_distance(encoder: FrozenEncoder, image: Tensor, full: Tensor) -> Tensor:
    """Mean squared difference of the features, mean over the layers.

    The features of each layer are in units of their mean square in the full-dose image.

    Args:
        encoder: What finds the features; moved to where the images are.
        image: Denoised images in network scale, [batch, 1, y, x].
        full: Full-dose images in network scale, of the same shape.
    """
    encoder = encoder.to(image.device)
    with torch.no_grad():
        wanted = encoder(full)
    distances = [
        (found - want).square().mean() / want.square().mean().clamp(min=1e-12)
        for found, want in zip(encoder(image), wanted, strict=True)
    ]
    return torch.stack(distances).mean()
