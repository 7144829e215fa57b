"""A very small network: four convolutions and a linear one."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import Cnn4Settings
from ctdenoise.networks.blocks import clear_weights, convolution, draw_weights
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction, with_change

CHANNELS = (1, 8, 16, 8, 4, 1)
"""Maps before and after each of the five 3x3 convolutions."""


class Cnn4(DenoisingNetwork):
    """Convolutions to 8, 16, 8 and 4 maps with ReLUs and a linear one to the image, all 3x3.

    2,737 parameters. A system of a public denoising exercise without a paper of its own.

    Args:
        settings: Whether the image or its change is computed.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(self, settings: Cnn4Settings, *, generator: torch.Generator | None = None) -> None:
        layers = len(CHANNELS) - 1
        super().__init__(Constraints(receptive_field_radius=layers, peak_values_per_pixel=8 + 16))
        self._residual = settings.residual
        self.layers = nn.ModuleList(
            convolution(CHANNELS[index], CHANNELS[index + 1], 3, padding=1)
            for index in range(layers)
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                draw_weights(layer, "he", generator)
        last = self.layers[-1]
        if settings.residual and isinstance(last, nn.Conv2d):
            clear_weights(last)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        maps = scaled.to(next(self.parameters()).dtype)
        for layer in self.layers[:-1]:
            maps = F.relu(layer(maps))
        image = with_change(scaled if self._residual else None, self.layers[-1](maps))
        return Prediction(image)
