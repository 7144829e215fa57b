"""What every network takes and returns."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
from torch import Tensor, nn

LOG_SIGMA_START = -4.0
"""Logarithm of the error, in network scale, that a network with an output for it states at first:
18 HU in a range of 1000 HU."""

NOISE_UNIT = 0.1
"""Standard deviation, in network scale, that a network sees as 1 in its noise channel: 100 HU in a
range of 1000 HU."""

LARGEST_CHANGE = 5.0
"""Largest change of a pixel over the noise it is said to have, for networks that are told. Normal
noise is beyond in less than one pixel of a million; a stronger deviation is anatomy, or streaks."""


class Prediction(NamedTuple):
    """The output of a network.

    Args:
        image: The denoised image in network scale, [batch, 1, y, x].
        logits: Unnormalised class scores of the segmentation head, [batch, class, y, x]; None
            without a head.
        log_sigma: Logarithm of the predicted standard deviation of `image`, [batch, 1, y, x]; None
            for a network that does not estimate its error.
        penalty: What the network itself adds to the loss while it is trained, a scalar; None for
            nothing.
    """

    image: Tensor
    logits: Tensor | None = None
    log_sigma: Tensor | None = None
    penalty: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a network asks of its input; checked before any data is read.

    Args:
        smallest_input: Least size along y and x, pixels.
        multiple_of: Sizes along y and x must be multiples of this.
        receptive_field_radius: Farthest pixel along y or x, from the output pixel, that may change
            the output; None if every pixel may.
        input_channels: Neighbouring slices that form one input; 1 for a plain 2-D network. An odd
            number: the output is that of the middle one.
        noise_input: Whether one more channel follows them: the standard deviation of the noise to
            remove around each pixel, in network scale.
        peak_values_per_pixel: Numbers alive at once for each input pixel while predicting: what a
            bound on memory is computed from.
    """

    smallest_input: int = 1
    multiple_of: int = 1
    receptive_field_radius: int | None = None
    input_channels: int = 1
    noise_input: bool = False
    peak_values_per_pixel: int = 1

    @property
    def channels(self) -> int:
        """Channels of the input: slices, and noise where the network is told of it."""
        return self.input_channels + self.noise_input

    @property
    def context(self) -> int:
        """Slices before, and as many after, that the network sees beside the one it denoises."""
        return self.input_channels // 2


class DenoisingNetwork(nn.Module):
    """A network that maps a low-dose image to an estimate of the full-dose one.

    The contract of `forward`: input [batch, channel, y, x] in network scale, float32, within
    `constraints`; output a `Prediction` of the same y and x. The image is float32 whatever the
    type of the weights. Whoever calls it owns device, precision and gradient mode.

    With `constraints.input_channels` above 1 the first channels are neighbouring slices in order,
    and the image is that of the middle one; see `core.neighbours` for what the ends repeat.

    With `constraints.noise_input` the last channel is the standard deviation of the noise to be
    removed, not negative, and may differ from pixel to pixel. No pixel is changed by more than
    `LARGEST_CHANGE` times this, so that an image said to be without noise comes back as it is.

    Args:
        constraints: What the network asks of its input.
    """

    def __init__(self, constraints: Constraints) -> None:
        super().__init__()
        self.constraints = constraints

    @abstractmethod
    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch.

        Args:
            scaled: Low-dose images in network scale, and their noise where the network is told
                of it, [batch, channel, y, x].
        """

    def folded(self) -> Self:
        """An equal network, arranged for fast prediction; may be the network itself.

        Equal means the same image up to rounding. Its state dict may have other keys, so it is for
        prediction only, never for training or saving.
        """
        return self

    if TYPE_CHECKING:

        def __call__(self, scaled: Tensor) -> Prediction:
            """Denoise a batch; see `forward`."""
            ...


def with_change(scaled: Tensor | None, change: Tensor) -> Tensor:
    """The image of a network that computes the change of its input, in float32.

    The sum is made in the type of the input, so that low precision touches the change only.

    Args:
        scaled: The input, [batch, 1, y, x]; None where the network computes the image itself.
        change: What the network computed, of the same size, in any type.
    """
    return change.float() if scaled is None else change.to(scaled.dtype) + scaled


class Noisy(NamedTuple):
    """The input of a network, taken apart.

    Args:
        slices: Neighbouring low-dose slices in network scale, [batch, slice, y, x].
        noise: Standard deviation of the noise of the middle one in network scale, [batch, 1, y, x];
            None where the network is not told of it.
    """

    slices: Tensor
    noise: Tensor | None

    @classmethod
    def of(cls, scaled: Tensor, constraints: Constraints) -> Noisy:
        """Slices and noise of an input that fits the constraints."""
        if not constraints.noise_input:
            return cls(scaled, None)
        return cls(scaled[:, :-1], scaled[:, -1:])

    @property
    def image(self) -> Tensor:
        """The middle slice, which is denoised, [batch, 1, y, x]."""
        middle = self.slices.shape[1] // 2
        return self.slices[:, middle : middle + 1]

    @property
    def seen(self) -> Tensor:
        """What the first layer sees."""
        if self.noise is None:
            return self.slices
        return torch.cat((self.slices, self.noise * (1.0 / NOISE_UNIT)), dim=1)

    def limited(self, change: Tensor) -> Tensor:
        """A change of the image within what its noise explains; as it is where none is told."""
        if self.noise is None:
            return change
        limit = self.noise * LARGEST_CHANGE
        return change.to(limit.dtype).clamp(-limit, limit)
