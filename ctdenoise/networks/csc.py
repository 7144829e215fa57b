"""Multi-layer convolutional sparse coding, its iteration unrolled into a network.

Papyan, Romano and Elad, "Convolutional Neural Networks Analyzed via Convolutional Sparse Coding",
JMLR 18, 2017 (one step: a feed-forward network), and Sulam et al., "On Multi-Layer Basis Pursuit",
IEEE TPAMI 42(8), 2020 (several steps: ML-ISTA).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn

from ctdenoise.config.networks import CscSettings
from ctdenoise.networks.blocks import draw_weights, transposed_convolution
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction


class Csc(DenoisingNetwork):
    """Non-negative codes of several layers, and the image that their dictionary makes of them.

    With dictionaries P1..PK, thresholds l1..lK and x the input, the first step is
    `ck = relu(Pk' c(k-1) - lk)` with c0 = x. Every further step replaces each code in turn,
    `ck = relu(ck + Pk' (c(k-1) - Pk ck) - lk)`, from the
    shallowest on. The image is `P1 P2 ... PK cK`. Steps share their weights
    and are of size one: with one layer each brings the image nearer to the input, with several that
    holds for the first few only, until the dictionaries are trained. The segmentation head
    is one more dictionary beside P1: it makes class scores of the maps `P2 ... PK cK`.

    Args:
        settings: Atoms, their size, steps, head.
        generator: Source of randomness for the first weights; None for torch's global one.
    """

    def __init__(self, settings: CscSettings, *, generator: torch.Generator | None = None) -> None:
        reach = settings.kernel // 2
        depth = len(settings.channels)
        classes = 0 if settings.head is None else settings.head.classes
        super().__init__(
            Constraints(
                smallest_input=settings.kernel,
                # Analysis and synthesis through all layers, and one pair more for every layer that
                # a further step corrects.
                receptive_field_radius=reach * depth * (2 + 2 * (settings.steps - 1) * 2),
                peak_values_per_pixel=3 * sum(settings.channels) + classes,
            )
        )
        self._steps, self._padding = settings.steps, reach
        inputs = (1, *settings.channels[:-1])
        self.atoms = nn.ParameterList()
        self.thresholds = nn.ParameterList()
        for before, after in zip(inputs, settings.channels, strict=True):
            atoms = torch.empty(after, before, settings.kernel, settings.kernel)
            # Analysis followed by synthesis then gives back what it got, on average.
            nn.init.normal_(atoms, std=(settings.kernel**2 * after) ** -0.5, generator=generator)
            self.atoms.append(nn.Parameter(atoms))
            self.thresholds.append(nn.Parameter(torch.zeros(1, after, 1, 1)))
        self.head: nn.ConvTranspose2d | None = None
        if classes:
            size = settings.kernel
            self.head = transposed_convolution(settings.channels[0], classes, size, padding=reach)
            draw_weights(self.head, "he", generator)

    def forward(self, scaled: Tensor) -> Prediction:
        """Denoise a batch; see `DenoisingNetwork`."""
        maps = self.codes(scaled)[-1]
        for level in reversed(range(1, len(self.atoms))):
            maps = self._synthesised_once(maps, level)
        logits = None if self.head is None else self.head(maps)
        return Prediction(self._synthesised_once(maps, 0).float(), logits)

    def codes(self, scaled: Tensor) -> list[Tensor]:
        """Codes of every layer, none below zero.

        Args:
            scaled: [batch, 1, y, x] in network scale.
        """
        image = scaled.to(self.atoms[0].dtype)
        codes: list[Tensor] = []
        for level in range(len(self.atoms)):
            below = image if level == 0 else codes[-1]
            codes.append(self._shrunk(self._analysed(below, level), level))
        for _ in range(self._steps - 1):
            below = image
            for level, code in enumerate(codes):
                left = below - self._synthesised_once(code, level)
                codes[level] = below = self._shrunk(code + self._analysed(left, level), level)
        return codes

    def _analysed(self, maps: Tensor, level: int) -> Tensor:
        return F.conv2d(maps, self.atoms[level], padding=self._padding)

    def _shrunk(self, maps: Tensor, level: int) -> Tensor:
        return F.relu(maps - self.thresholds[level])

    def _synthesised_once(self, code: Tensor, level: int) -> Tensor:
        return F.conv_transpose2d(code, self.atoms[level], padding=self._padding)
