"""DenoiseNet: an estimate of the noise to which every layer adds.

Remez, Litany, Giryes and Bronstein, "Deep Class-Aware Image Denoising", SampTA 2017, made for
Poisson noise. Layers and maps were taken from summaries of the paper; that the added map passes no
ReLU, and how weights are drawn, could not be confirmed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import DenoiseNetSettings
from ctdenoise.networks.blocks import convolution, draw_weights
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction, with_change


class DenoiseNet(DenoisingNetwork):
    """Convolutions 3x3 of 64 maps: 63 go on through a ReLU, one is added to the estimate as it is.

    The image is the input plus the estimate. The last layer has the one map only. 655,544
    parameters with 20 layers of 64 maps.

    Args:
        settings: Layers and maps.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(
        self, settings: DenoiseNetSettings, *, generator: torch.Generator | None = None
    ) -> None:
        maps, layers = settings.channels, settings.layers
        super().__init__(
            Constraints(receptive_field_radius=layers, peak_values_per_pixel=2 * maps + 1)
        )
        inputs = (1, *[maps - 1] * (layers - 1))
        outputs = (*[maps] * (layers - 1), 1)
        self.layers = nn.ModuleList(
            convolution(before, after, 3, padding=1)
            for before, after in zip(inputs, outputs, strict=True)
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                draw_weights(layer, "he", generator)
                with torch.no_grad():  # nothing is added until it is trained
                    layer.weight[-1].zero_()

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        maps = scaled.to(next(self.parameters()).dtype)
        estimate = torch.zeros_like(scaled)
        for layer in self.layers:
            out = layer(maps)
            estimate = estimate + out[:, -1:].to(scaled.dtype)
            maps = F.relu(out[:, :-1])
        return Prediction(with_change(scaled, estimate))
