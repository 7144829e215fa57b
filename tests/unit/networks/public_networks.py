"""Networks as public programs write them: the same functions under other names."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn


class NumberedRedCnn(nn.Module):
    """Layers conv1..5 and tconv1..5: SSinyu/RED-CNN with a last ReLU, ldct-benchmark without."""

    def __init__(self, channels: int, *, final_relu: bool) -> None:
        super().__init__()
        for number in range(1, 6):
            inputs, outputs = (1 if number == 1 else channels), (1 if number == 5 else channels)
            self.add_module(f"conv{number}", nn.Conv2d(inputs, channels, 5))
            self.add_module(f"tconv{number}", nn.ConvTranspose2d(channels, outputs, 5))
        self.final_relu = final_relu

    def forward(self, image: Tensor) -> Tensor:
        def layer(name: str) -> nn.Module:
            return self.get_submodule(name)

        return wired(
            image,
            [layer(f"conv{number}") for number in range(1, 6)],
            [layer(f"tconv{number}") for number in range(1, 6)],
            final_relu=self.final_relu,
        )


class SharedRedCnn(nn.Module):
    """Early RED-CNN of SSinyu: inner layers are one layer used four times."""

    def __init__(self, channels: int, *, up: str) -> None:
        super().__init__()
        self.up = up
        self.conv_first = nn.Conv2d(1, channels, 5)
        self.conv = nn.Conv2d(channels, channels, 5)
        self.add_module(up, nn.ConvTranspose2d(channels, channels, 5))
        self.add_module(f"{up}_last", nn.ConvTranspose2d(channels, 1, 5))

    def forward(self, image: Tensor) -> Tensor:
        inner, last = self.get_submodule(self.up), self.get_submodule(f"{self.up}_last")
        downs = [self.conv_first, *[self.conv] * 4]
        return wired(image, downs, [*[inner] * 4, last], final_relu=True)


def wired(
    image: Tensor, downs: list[nn.Module], ups: list[nn.Module], *, final_relu: bool
) -> Tensor:
    """The sums and ReLUs of Chen et al., step by step as the public programs have them."""
    kept = []
    out = image
    for index, down in enumerate(downs):
        if index in (0, 2, 4):
            kept.append(out)
        out = F.relu(down(out))
    for index, up in enumerate(ups):
        out = up(F.relu(out) if index else out)
        if index in (0, 2, 4):
            out = out + kept.pop()
    return F.relu(out) if final_relu else out


def drawn(network: nn.Module, seed: int = 4) -> nn.Module:
    """The network with weights of a fixed seed, large enough that every layer matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.normal_(std=fan**-0.5, generator=generator)
    return network.eval()
