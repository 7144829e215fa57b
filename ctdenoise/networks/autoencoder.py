"""Autoencoders: the image through a narrow code and back."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import AutoencoderSettings
from ctdenoise.networks.blocks import draw_weights
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction

PATCH = 28
"""Edge of the patches of the dense autoencoder: 784 pixels."""

_HALVINGS = 2
_KERNEL = 4


class DenseAutoencoder(DenoisingNetwork):
    """784 - hidden - code - hidden - 784 units on patches of 28 x 28 that lie side by side.

    The project's source documents state five layers of units and a code of 500; the paper behind
    them could not be found, and the width between is ours. The segmentation head is another last
    layer, from the same units to every pixel and class.

    Args:
        settings: Units of the code and of the layers around it, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(
        self, settings: AutoencoderSettings, *, generator: torch.Generator | None = None
    ) -> None:
        classes = 0 if settings.head is None else settings.head.classes
        super().__init__(
            Constraints(
                smallest_input=PATCH,
                multiple_of=PATCH,
                receptive_field_radius=PATCH - 1,
                peak_values_per_pixel=4 + 2 * classes,
            )
        )
        widths = (PATCH**2, settings.hidden, settings.code, settings.hidden, PATCH**2)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.head = nn.Linear(settings.hidden, classes * PATCH**2) if classes else None
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
                nn.init.zeros_(layer.bias)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        values = F.unfold(scaled, PATCH, stride=PATCH).transpose(1, 2)  # [batch, patch, pixel]
        values = values.to(next(self.parameters()).dtype)
        for layer in self.layers[:-1]:
            values = F.relu(layer(values))
        image = _side_by_side(self.layers[-1](values), scaled).float()
        return Prediction(
            image, None if self.head is None else _side_by_side(self.head(values), scaled)
        )


class ConvolutionalAutoencoder(DenoisingNetwork):
    """Two strided convolutions to a code of maps, two transposed ones back.

    The variational one (Kingma and Welling, ICLR 2014) has a mean and a spread for every number of
    its code: in training the code is drawn, and how far it is from the standard normal distribution
    is a penalty; in prediction the code is the mean. The segmentation head is another transposed
    convolution, from the maps that become the image.

    Args:
        settings: Maps of the code and of the layer around it, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(
        self, settings: AutoencoderSettings, *, generator: torch.Generator | None = None
    ) -> None:
        classes = 0 if settings.head is None else settings.head.classes
        super().__init__(
            Constraints(
                smallest_input=2**_HALVINGS,
                multiple_of=2**_HALVINGS,
                receptive_field_radius=3 * 2 * (2**_HALVINGS),
                peak_values_per_pixel=settings.hidden + classes,
            )
        )
        self._varies = settings.kind == "variational"
        hidden, code = settings.hidden, settings.code
        self.down = nn.Conv2d(1, hidden, _KERNEL, stride=2, padding=1)
        self.encode = nn.Conv2d(hidden, 2 * code if self._varies else code, _KERNEL, 2, 1)
        self.decode = nn.ConvTranspose2d(code, hidden, _KERNEL, stride=2, padding=1)
        self.last = nn.ConvTranspose2d(hidden, 1, _KERNEL, stride=2, padding=1)
        self.head = (
            nn.ConvTranspose2d(hidden, classes, _KERNEL, stride=2, padding=1) if classes else None
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                draw_weights(layer, "he", generator)
        self._weight = settings.divergence

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        maps = F.relu(self.down(scaled.to(self.last.weight.dtype)))
        code = self.encode(maps)
        penalty = None
        if self._varies:
            code, log_variance = code.chunk(2, dim=1)
            if self.training:
                log_variance = log_variance.clamp(-20.0, 20.0)
                penalty = self._weight * _divergence(code, log_variance)
                code = code + torch.randn_like(code) * torch.exp(0.5 * log_variance)
        maps = F.relu(self.decode(F.relu(code)))
        logits = None if self.head is None else self.head(maps)
        return Prediction(self.last(maps).float(), logits, penalty=penalty)


def _side_by_side(patches: Tensor, like: Tensor) -> Tensor:
    """Patches [batch, patch, channel * pixel] put together to the size of an image."""
    return F.fold(patches.transpose(1, 2), like.shape[-2:], PATCH, stride=PATCH)


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of N(mean, variance) from N(0, 1)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).mean()


def autoencoder(
    settings: AutoencoderSettings, *, generator: torch.Generator | None = None
) -> DenoisingNetwork:
    """The autoencoder of a kind.

    Args:
        settings: Which, and its widths.
        generator: Source of randomness for the first weights; None for torch's global one.
    """
    kind = DenseAutoencoder if settings.kind == "dense" else ConvolutionalAutoencoder
    return kind(settings, generator=generator)
