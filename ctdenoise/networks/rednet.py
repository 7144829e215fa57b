"""RED-Net: residual encoder-decoders of 10, 20 and 30 layers.

Mao, Shen and Yang, "Image Restoration Using Very Deep Convolutional Encoder-Decoder Networks with
Symmetric Skip Connections", NeurIPS 2016. The paper shows the shortcuts every two layers in a
figure; here the output of every second convolution is added to the output of the transposed
convolution that restores its level, which for ten layers are the places of RED-CNN.
"""

from __future__ import annotations

import copy
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import RedNetSettings
from ctdenoise.networks.blocks import (
    as_plain_convolution,
    clear_weights,
    convolution,
    draw_weights,
    transposed_convolution,
)
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction, with_change

_KERNEL, _PADDING = 3, 1


class RedNet(DenoisingNetwork):
    """Half of the layers are 3x3 convolutions, half transposed ones, all of one size of image.

    With c1..cn the outputs of the convolutions and Tj the transposed ones, each followed by a ReLU
    but the last: `dj = relu(Tj d(j-1) + c(n-j))` where n - j is even and not zero, else
    `dj = relu(Tj d(j-1))`, and `image = Tn d(n-1) + x`. Parameters at 64 channels: 296,641 for 10
    layers, 665,921 for 20, 1,035,201 for 30.

    Args:
        settings: Layers, channels, shortcuts, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(
        self, settings: RedNetSettings, *, generator: torch.Generator | None = None
    ) -> None:
        channels, half = settings.channels, settings.layers // 2
        classes = 0 if settings.head is None else settings.head.classes
        kept = half // 2 if settings.skips else 0
        super().__init__(
            Constraints(
                receptive_field_radius=settings.layers * _PADDING,
                peak_values_per_pixel=(kept + 2) * channels + classes,
            )
        )
        self._skips, self._residual = settings.skips, settings.residual
        inputs = [1, *[channels] * (half - 1)]
        self.down = nn.ModuleList(
            convolution(count, channels, _KERNEL, padding=_PADDING) for count in inputs
        )
        self.up = nn.ModuleList(
            transposed_convolution(channels, channels, _KERNEL, padding=_PADDING)
            for _ in range(half - 1)
        )
        self.last: nn.Module = transposed_convolution(channels, 1, _KERNEL, padding=_PADDING)
        self.head: nn.Module | None = (
            transposed_convolution(channels, classes, _KERNEL, padding=_PADDING)
            if classes
            else None
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                draw_weights(layer, "he", generator)
        if settings.residual and isinstance(self.last, nn.ConvTranspose2d):
            clear_weights(self.last)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        half = len(self.down)
        maps, waiting = scaled.to(next(self.parameters()).dtype), {}
        for level, layer in enumerate(self.down, start=1):
            maps = F.relu(layer(maps))
            if self._skips and level % 2 == 0 and level < half:
                waiting[level] = maps
        for level, layer in zip(range(half - 1, 0, -1), self.up, strict=True):
            maps = layer(maps)
            if level in waiting:
                maps = maps + waiting.pop(level)
            maps = F.relu(maps)
        image = with_change(scaled if self._residual else None, self.last(maps))
        return Prediction(image, None if self.head is None else self.head(maps))

    def folded(self) -> Self:
        """An equal network of plain convolutions, channels last."""
        network = copy.deepcopy(self)
        for holder in (network, network.up):
            for name, layer in list(holder.named_children()):
                if isinstance(layer, nn.ConvTranspose2d):
                    setattr(holder, name, as_plain_convolution(layer))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it alone
        network.requires_grad_(requires_grad=False)
        return network
