"""The compact network: near RED-CNN in quality for a twentieth of its operations.

Our own design out of known parts. Layers that work on the four phases of the image side by side, at
half its size, and a map of the noise as a further input are those of FFDNet (Zhang et al., IEEE TIP
27(9):4608, 2018), as is putting the phases back in their places at the end. Pairs of convolutions
with a sum around them and no normalisation are those of EDSR (Lim et al., CVPR Workshops 2017).
That the last layer states the change in units of the noise is what makes it learn fast.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import CompactSettings
from ctdenoise.networks.blocks import clear_weights, convolution, draw_weights
from ctdenoise.networks.prediction import (
    LOG_SIGMA_START,
    NOISE_UNIT,
    Constraints,
    DenoisingNetwork,
    Noisy,
    Prediction,
    with_change,
)

HALVED = 2
"""The image is taken apart into this many phases along y and along x."""

_PHASES = HALVED**2
_FIRST_STEP = 0.1
"""Size of what a pair of layers adds before it is trained, over what He's weights would give."""


class Compact(DenoisingNetwork):
    """Pairs of 3x3 convolutions at half the size of the image, a sum around each pair.

    With u taking 2 x 2 pixels apart into channels and s putting them back, r the ReLU, n the noise
    that the network is told::

        h = enter(u(x, n));  h = h + second_i(r(first_i(h))) for every pair i
        image = x + n s(leave(h))

    so that `leave` states the change in units of the noise, and the same values serve every dose; a
    network that is not told the noise has a fixed unit in its place. The change is cut to 5 n on
    both sides. Segmentation head and stated error are further layers beside `leave`.

    Args:
        settings: Channels, pairs, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(
        self, settings: CompactSettings, *, generator: torch.Generator | None = None
    ) -> None:
        classes = 0 if settings.head is None else settings.head.classes
        channels = settings.channels
        super().__init__(
            Constraints(
                smallest_input=HALVED,
                multiple_of=HALVED,
                receptive_field_radius=reach(settings.pairs),
                input_channels=settings.slices,
                noise_input=settings.noise_input,
                # Three sets of maps at half the size: before a pair, between its layers, after it.
                peak_values_per_pixel=-(-3 * channels // _PHASES) + 3 * (1 + classes),
            )
        )
        self.enter = convolution(_PHASES * self.constraints.channels, channels, 3, padding=1)
        pairs = [Pair(channels) for _ in range(settings.pairs)]
        self.pairs = nn.Sequential(*pairs)
        self.leave = convolution(channels, _PHASES, 3, padding=1)
        self.head = convolution(channels, _PHASES * classes, 3, padding=1) if classes else None
        self.sigma = (
            convolution(channels, _PHASES, 3, padding=1) if settings.predict_sigma else None
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                draw_weights(layer, "he", generator)
        for pair in pairs:
            pair.begin_small()
        clear_weights(self.leave)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        given = Noisy.of(scaled, self.constraints)
        phases = F.pixel_unshuffle(given.seen, HALVED)
        maps = self.pairs(self.enter(phases.to(self.enter.weight.dtype)))
        unit = NOISE_UNIT if given.noise is None else given.noise
        change = F.pixel_shuffle(self.leave(maps), HALVED).float() * unit
        logits = None if self.head is None else F.pixel_shuffle(self.head(maps), HALVED)
        log_sigma = None
        if self.sigma is not None:
            log_sigma = F.pixel_shuffle(self.sigma(maps), HALVED).float() + LOG_SIGMA_START
        return Prediction(with_change(given.image, given.limited(change)), logits, log_sigma)


class Pair(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, and a sum around both.

    Args:
        channels: Maps that go in and come out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 3, padding=1)
        self.second = convolution(channels, channels, 3, padding=1)

    def begin_small(self) -> None:
        """Let the pair add little before it is trained: many of them begin as a few do."""
        with torch.no_grad():
            self.second.weight *= _FIRST_STEP

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the same size, [batch, channel, y, x]."""
        added: Tensor = self.second(F.relu(self.first(maps), inplace=True))
        return added + maps


def reach(pairs: int) -> int:
    """Receptive-field radius: a step of each 3x3 layer is two pixels, and the phase is one more.

    Args:
        pairs: Pairs of layers between the first and the last one.
    """
    layers = 2 + 2 * pairs
    return HALVED * layers + HALVED - 1
