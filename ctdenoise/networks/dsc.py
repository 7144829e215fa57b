"""A strided encoder-decoder with direct symmetric connections whose gates share out the signal."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import DscSettings
from ctdenoise.networks.blocks import clear_weights, draw_weights
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction, with_change

LEVELS = 5
"""Convolutions of stride 2; sizes are multiples of 2**5."""


class Dsc(DenoisingNetwork):
    """Five convolutions of stride 2, five transposed ones, connected across by gates.

    With the gates g1..g4 and x0 the input: `xi = relu(conv_i(g_i x(i-1)))` for i = 1..4 and
    `x5 = relu(conv_5(x4))`; decoding goes from x5 by `d = relu(up_i(d)) + (1 - g_i) x_i` for
    i = 4..1 and a last transposed convolution to the image. Ungated, every g_i and every 1 - g_i is
    1. Widths and gates are those of the project's source documents; the paper behind them could
    not be found. Kernels of 3 (down) and 4 (up) pixels are ours.
    4,444,743 parameters with the published widths.

    Args:
        settings: Widths, gates, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(self, settings: DscSettings, *, generator: torch.Generator | None = None) -> None:
        widths = settings.channels
        classes = 0 if settings.head is None else settings.head.classes
        super().__init__(
            Constraints(
                smallest_input=2**LEVELS,
                multiple_of=2**LEVELS,
                # Each of the layers of a level reaches one pixel of that level's grid, and the
                # transposed ones one more, of sizes 1, 2, 4, ... 16.
                receptive_field_radius=3 * (2**LEVELS - 1),
                peak_values_per_pixel=widths[0] + classes,
            )
        )
        self._down = settings.gates if settings.gated else (1.0,) * 4
        self._across = (
            tuple(1.0 - gate for gate in settings.gates) if settings.gated else (1.0,) * 4
        )
        self._residual = settings.residual
        inputs = (1, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip(inputs, widths, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(widths[level], widths[level - 1], 4, stride=2, padding=1)
            for level in range(LEVELS - 1, 0, -1)
        )
        self.last = nn.ConvTranspose2d(widths[0], 1, 4, stride=2, padding=1)
        self.head = (
            nn.ConvTranspose2d(widths[0], classes, 4, stride=2, padding=1) if classes else None
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                draw_weights(layer, "he", generator)
        if settings.residual:
            clear_weights(self.last)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        maps = scaled.to(self.last.weight.dtype)
        waiting: list[Tensor] = []
        for gate, layer in zip((*self._down, 1.0), self.down, strict=True):
            maps = F.relu(layer(maps * gate))
            waiting.append(maps)
        waiting.pop()
        for share, layer in zip(reversed(self._across), self.up, strict=True):
            maps = F.relu(layer(maps)) + share * waiting.pop()
        image = with_change(scaled if self._residual else None, self.last(maps))
        return Prediction(image, None if self.head is None else self.head(maps))
