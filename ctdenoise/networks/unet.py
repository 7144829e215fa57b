"""The U-Net of MONAI, made to compute the change of the image."""

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

from ctdenoise.config.networks import UNetSettings
from ctdenoise.networks.blocks import clear_weights, convolution, draw_weights
from ctdenoise.networks.prediction import (
    LOG_SIGMA_START,
    Constraints,
    DenoisingNetwork,
    Noisy,
    Prediction,
    with_change,
)

_POOLED = 4  # times that the image is halved


class UNet(DenoisingNetwork):
    """BasicUNet (Ronneberger et al., MICCAI 2015, as MONAI has it) without normalisation.

    Normalising by the statistics of a patch would make Hounsfield units depend on what else is in
    it, so there is none. The last layer of MONAI is replaced by ours, which starts at zero.

    Args:
        settings: Widths and head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(self, settings: UNetSettings, *, generator: torch.Generator | None = None) -> None:
        classes = 0 if settings.head is None else settings.head.classes
        first, last = settings.features[0], settings.features[-1]
        super().__init__(
            Constraints(
                smallest_input=2**_POOLED,
                multiple_of=2**_POOLED,
                receptive_field_radius=_reach(),
                input_channels=settings.slices,
                noise_input=settings.noise_input,
                peak_values_per_pixel=2 * first + 2 * last + classes,
            )
        )
        self.trunk = BasicUNet(
            spatial_dims=2,
            in_channels=self.constraints.channels,
            features=settings.features,
            norm=None,
            upsample="deconv",
        )
        self.trunk.final_conv = nn.Identity()
        self.last = convolution(last, 1, 1)
        self.head = convolution(last, classes, 1) if classes else None
        self.sigma = convolution(last, 1, 1) if settings.predict_sigma else None
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                draw_weights(layer, "he", generator)
        clear_weights(self.last)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        given = Noisy.of(scaled, self.constraints)
        features = self.trunk(given.seen.to(self.last.weight.dtype))
        logits = None if self.head is None else self.head(features)
        image = with_change(given.image, given.limited(self.last(features)))
        log_sigma = None if self.sigma is None else self.sigma(features).float() + LOG_SIGMA_START
        return Prediction(image, logits, log_sigma)


def _reach() -> int:
    """Receptive-field radius: two 3x3 layers on each level, down and up, and the steps between."""
    down = 2 + sum(2 * 2**level + 2 ** (level - 1) for level in range(1, _POOLED + 1))
    up = sum(2 * 2**level + 2**level for level in range(_POOLED))
    return int(down + up)
