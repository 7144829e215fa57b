"""WavResNet: residual learning in directional sub-bands.

Kang, Min and Ye, "A deep convolutional neural network using directional wavelets for low-dose X-ray
CT reconstruction", Medical Physics 44(10):e360, 2017. The paper splits by contourlets; here the
windows of `sub_bands` do, which have the same levels and directions and sum to the image exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ctdenoise.config.networks import WavResNetSettings
from ctdenoise.networks.blocks import clear_weights, draw_weights
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction, with_change
from ctdenoise.networks.sub_bands import split


class WavResNet(DenoisingNetwork):
    """Twenty-four 3x3 convolutions over fifteen sub-bands.

    Three convolutions with batch normalisation and ReLU, six residual blocks of three, then what
    the first stage and every block gave side by side (7 x 128 = 896 maps) into three convolutions
    to the change of each sub-band; their sum is the change of the image. The sub-bands are the
    encoder here, and every map is as large as the image: the segmentation head is one convolution
    more, from the maps that become the change.

    Args:
        settings: Maps, blocks, directions, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(
        self, settings: WavResNetSettings, *, generator: torch.Generator | None = None
    ) -> None:
        maps = settings.channels
        in_bands = settings.domain == "wavelet"
        bands = sum(settings.directions) if in_bands else 1
        layers = 3 + 3 * settings.blocks + 3
        classes = 0 if settings.head is None else settings.head.classes
        super().__init__(
            Constraints(
                smallest_input=2,
                receptive_field_radius=None if in_bands else layers,
                peak_values_per_pixel=(settings.blocks + 4) * maps + 8 * bands + classes,
            )
        )
        self._directions = settings.directions if in_bands else None
        self.first = nn.Sequential(_layer(bands, maps), _layer(maps, maps), _layer(maps, maps))
        self.blocks = nn.ModuleList(
            nn.Sequential(_layer(maps, maps), _layer(maps, maps), _layer(maps, maps))
            for _ in range(settings.blocks)
        )
        self.gather = nn.Sequential(_layer((settings.blocks + 1) * maps, maps), _layer(maps, maps))
        self.last = nn.Conv2d(maps, bands, 3, padding=1)
        self.head = nn.Conv2d(maps, classes, 3, padding=1) if classes else None
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                draw_weights(layer, "he", generator)
        clear_weights(self.last)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        bands = scaled if self._directions is None else split(scaled, self._directions)
        maps = self.first(bands.to(self.last.weight.dtype))
        kept = [maps]
        for block in self.blocks:
            maps = maps + block(maps)
            kept.append(maps)
        gathered = self.gather(torch.cat(kept, dim=1))
        change = self.last(gathered).sum(dim=1, keepdim=True)
        return Prediction(
            with_change(scaled, change), None if self.head is None else self.head(gathered)
        )


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
    )
