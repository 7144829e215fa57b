"""RED-CNN, the reference network.

Chen et al., "Low-Dose CT With a Residual Encoder-Decoder Convolutional Neural Network", IEEE
Transactions on Medical Imaging 36(12):2524, 2017. Places of the ReLUs relative to the shortcuts
follow the public PyTorch implementations, and so do the names of the layers, so that their weights
fit.
"""

from __future__ import annotations

import copy
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.networks.blocks import (
    as_plain_convolution,
    clear_weights,
    convolution,
    draw_weights,
    transposed_convolution,
)
from ctdenoise.networks.prediction import (
    LOG_SIGMA_START,
    Constraints,
    DenoisingNetwork,
    Noisy,
    Prediction,
)

KERNEL = 5
"""Edge of every kernel, pixels."""

DEPTH = 5
"""Convolutions, and transposed convolutions."""

RADIUS = 2 * DEPTH * (KERNEL // 2)
"""Receptive-field radius: ten 5x5 layers reach 2 pixels each, so 20 (a field of 41)."""

SMALLEST_INPUT = DEPTH * (KERNEL - 1) + 1
"""Five valid 5x5 convolutions take 4 pixels each, and one must be left: 21."""


class RedCnn(DenoisingNetwork):
    """Five 5x5 convolutions down, five transposed ones up, with three sums across.

    With c1..c5 the convolutions (no padding), T1..T5 the transposed ones, r the ReLU and x the
    input::

        e1 = r(c1 x); e2 = r(c2 e1); e3 = r(c3 e2); e4 = r(c4 e3); e5 = r(c5 e4)
        d1 = T1 e5 + e4;  d2 = T2 r(d1);  d3 = T3 r(d2) + e2;  d4 = T4 r(d3)
        image = T5 r(d4) + x

    and, if asked for, a last ReLU. 1,848,865 parameters at 96 channels. The segmentation head is a
    sixth transposed convolution from r(d4) to one map per class; the logarithm of the stated error
    comes from a seventh. A network that is told the noise s sees it as one more channel of x, and
    ends with image = T5 r(d4) + x, or x + s T5 r(d4) where it states its change in units of the
    noise, the change cut to 5 s on both sides. One that sees several slices has them as channels of
    x, and the x that is added last is the middle one.

    Args:
        settings: Channels, last ReLU, first weights, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(
        self, settings: RedCnnSettings, *, generator: torch.Generator | None = None
    ) -> None:
        channels = settings.channels
        classes = 0 if settings.head is None else settings.head.classes
        super().__init__(
            Constraints(
                smallest_input=SMALLEST_INPUT,
                receptive_field_radius=RADIUS,
                input_channels=settings.slices,
                noise_input=settings.noise_input,
                # Two shortcuts wait while a layer reads one set of maps and writes another.
                peak_values_per_pixel=4 * channels + classes,
            )
        )
        self.final_relu = settings.final_relu
        self.change_in_noise = settings.change_in_noise
        self.conv1 = convolution(self.constraints.channels, channels, KERNEL)
        self.conv2 = convolution(channels, channels, KERNEL)
        self.conv3 = convolution(channels, channels, KERNEL)
        self.conv4 = convolution(channels, channels, KERNEL)
        self.conv5 = convolution(channels, channels, KERNEL)
        self.tconv1: nn.Module = transposed_convolution(channels, channels, KERNEL)
        self.tconv2: nn.Module = transposed_convolution(channels, channels, KERNEL)
        self.tconv3: nn.Module = transposed_convolution(channels, channels, KERNEL)
        self.tconv4: nn.Module = transposed_convolution(channels, channels, KERNEL)
        self.tconv5: nn.Module = transposed_convolution(channels, 1, KERNEL)
        self.head: nn.Module | None = (
            transposed_convolution(channels, classes, KERNEL) if classes else None
        )
        self.sigma: nn.Module | None = (
            transposed_convolution(channels, 1, KERNEL) if settings.predict_sigma else None
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                draw_weights(layer, settings.init, generator)
        if settings.start_as_identity and isinstance(self.tconv5, nn.ConvTranspose2d):
            clear_weights(self.tconv5)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch.

        Args:
            scaled: Low-dose slices in network scale, [batch, 1, y, x], at least 21 x 21; with
                neighbours as channels and noise as the last one where the settings say so.
        """
        given = Noisy.of(scaled, self.constraints)
        x = given.seen.to(self.conv1.weight.dtype)  # [batch, channel, y, x] from here on
        e2 = _relu(self.conv2(_relu(self.conv1(x))))
        e4 = _relu(self.conv4(_relu(self.conv3(e2))))
        maps = self.tconv1(_relu(self.conv5(e4)))
        maps += e4
        del e4  # what is not needed again is let go: this decides the peak memory
        maps = self.tconv3(_relu(self.tconv2(_relu(maps))))
        maps += e2
        del e2
        features = _relu(self.tconv4(_relu(maps)))
        change: Tensor = self.tconv5(features)
        if self.change_in_noise and given.noise is not None:
            change = change.float() * given.noise
        # The sum is made in the type of the input, so that low precision touches the change only.
        image = given.limited(change).to(scaled.dtype) + given.image
        if self.final_relu:
            image = F.relu(image)
        logits = None if self.head is None else self.head(features)
        log_sigma = None if self.sigma is None else self.sigma(features).float() + LOG_SIGMA_START
        return Prediction(image, logits, log_sigma)

    def folded(self) -> Self:
        """An equal network of plain convolutions, channels last: the fast form on CPUs and GPUs."""
        network = copy.deepcopy(self)
        for name, layer in list(network.named_children()):
            if isinstance(layer, nn.ConvTranspose2d):
                setattr(network, name, as_plain_convolution(layer))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it alone
        network.requires_grad_(requires_grad=False)
        return network


def _relu(maps: Tensor) -> Tensor:
    """ReLU in place: the layer before it does not need its own output for the gradient."""
    return F.relu(maps, inplace=True)
