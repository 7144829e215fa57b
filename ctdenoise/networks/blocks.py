"""Layers that the networks are made of, and how their weights are drawn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.utils import skip_init

GAUSSIAN_STD = 0.01
"""Standard deviation of the initial weights in Chen et al. 2017."""


def convolution(inputs: int, outputs: int, size: int, *, padding: int = 0) -> nn.Conv2d:
    """A 2-D convolution of stride 1 whose weights are not drawn yet.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        size: Edge of the square kernel, pixels.
        padding: Zeros added on every side.
    """
    layer: nn.Conv2d = skip_init(  # type: ignore[no-untyped-call]  # torch annotates it in part
        nn.Conv2d, inputs, outputs, size, padding=padding
    )
    return layer


def transposed_convolution(
    inputs: int, outputs: int, size: int, *, padding: int = 0
) -> nn.ConvTranspose2d:
    """A 2-D transposed convolution of stride 1 whose weights are not drawn yet; it grows its input.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        size: Edge of the square kernel; the output is size - 1 pixels larger along y and x.
        padding: Pixels taken off again on every side.
    """
    layer: nn.ConvTranspose2d = skip_init(  # type: ignore[no-untyped-call]  # torch annotates it in part
        nn.ConvTranspose2d, inputs, outputs, size, padding=padding
    )
    return layer


def draw_weights(
    layer: nn.Conv2d | nn.ConvTranspose2d,
    kind: Literal["scaled", "gaussian", "he"],
    generator: torch.Generator | None,
) -> None:
    """Draw the initial weights of a layer; biases become zero.

    Args:
        layer: A convolution, plain or transposed.
        kind: "gaussian" is N(0, 0.01^2), as in Chen et al. 2017. "scaled" is N(0, 1 / (3 n)) with n
            the products summed in one output pixel: the variance that torch's own default draws
            with, and nearly the paper's at 96 channels, but right for any width. "he" is
            N(0, 2 / n) (He et al., ICCV 2015), which keeps the size of the maps through many
            layers with ReLUs.
        generator: Source of randomness; None for torch's global one.
    """
    summed = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
    if kind == "gaussian":
        std = GAUSSIAN_STD
    else:
        std = float((2.0 if kind == "he" else 1 / 3) / summed) ** 0.5
    nn.init.normal_(layer.weight, std=std, generator=generator)
    _clear_bias(layer)


def clear_weights(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Set weights and biases to zero, so that the layer adds nothing until it is trained."""
    nn.init.zeros_(layer.weight)
    _clear_bias(layer)


def _clear_bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def as_plain_convolution(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """The plain convolution that equals a transposed one of stride 1.

    Spreading each input over a kernel is the same as gathering, around each output, with the
    kernel turned by 180 degrees and the image padded with size - 1 zeros. Plain convolutions run
    faster on CPUs.

    Args:
        layer: Transposed convolution of stride 1 and square kernel, without dilation or groups.

    Raises:
        ValueError: If the layer is of another kind.
    """
    size = layer.kernel_size[0]
    plain_kind = (
        layer.kernel_size == (size, size)
        and layer.stride == (1, 1)
        and _padding(layer) < size
        and layer.output_padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
    )
    if not plain_kind:
        raise ValueError("Only transposed convolutions of stride 1 and square kernels fold.")
    padding = size - 1 - _padding(layer)
    folded = convolution(layer.in_channels, layer.out_channels, size, padding=padding)
    with torch.no_grad():
        # [in, out, y, x] -> [out, in, y, x]
        folded.weight = nn.Parameter(layer.weight.flip(2, 3).transpose(0, 1).contiguous())
        bias = layer.bias
        folded.bias = (
            nn.Parameter(torch.zeros(layer.out_channels).to(layer.weight))
            if bias is None
            else nn.Parameter(bias.clone())
        )
    return folded


def _padding(layer: nn.ConvTranspose2d) -> int:
    """The same on every side in all layers of ours."""
    return int(layer.padding[0])
