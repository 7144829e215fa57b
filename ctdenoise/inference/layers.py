"""The convolutions of a network as kernels: which is computed how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.inference.direct import MOST_OUTPUTS, MOST_PRODUCTS, FewInputs, FewOutputs
from ctdenoise.inference.vector_code import VectorUnit
from ctdenoise.inference.winograd import TAPS, WinogradConvolution, best_outputs

Kernel = WinogradConvolution | FewInputs | FewOutputs


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution as the network asks for it.

    Args:
        weight: [output, input, y, x], or [input, output, y, x] where it is transposed.
        bias: [output]; None for none.
        stride: Along y and x, as are the next two.
        padding: Zeros around the image; pixels taken off again where it is transposed.
        dilation: Distance of the taps.
        groups: Independent convolutions side by side.
        transposed: Whether it spreads instead of gathering.
    """

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    transposed: bool = False

    @property
    def plain(self) -> bool:
        """Whether it gathers, or spreads, around every pixel, from all channels to all."""
        taps = self.weight.shape[2]
        return (
            self.stride == (1, 1)
            and self.dilation == (1, 1)
            and self.groups == 1
            and self.weight.shape[3] == taps
            and self.padding[0] == self.padding[1] < taps
            and self.weight.dtype == torch.float32
        )

    @property
    def channels(self) -> tuple[int, int]:
        """Of the input and of the output."""
        first, second = self.weight.shape[:2]
        return (first, second) if self.transposed else (second, first)

    @property
    def taps(self) -> int:
        """Edge of the kernel."""
        return int(self.weight.shape[2])

    def gathering(self) -> tuple[DoubleArray, int]:
        """Weights [output, input, y, x] and zeros around the image of the same without spreading.

        Spreading over a kernel is gathering with the kernel turned by 180 degrees.
        """
        weight = np.asarray(self.weight.detach().to(torch.float64).numpy())
        if not self.transposed:
            return weight, self.padding[0]
        return weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], self.taps - 1 - self.padding[0]

    def bias_values(self) -> DoubleArray:
        """The bias, zeros for none."""
        if self.bias is None:
            return np.zeros(self.channels[1])
        return np.asarray(self.bias.detach().to(torch.float64).numpy())


class Kernels:
    """The kernels of one network; weights are prepared when they are met first.

    Args:
        parameters: Those of the network, which are kept.
        unit: What computes.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], unit: VectorUnit) -> None:
        self._parameters = {id(one): one for one in parameters}
        self._kernels: dict[tuple[int, int, int, bool, bool, tuple[int, ...]], Kernel] = {}
        self._unit = unit

    def of(
        self,
        wanted: Convolution,
        parts: Sequence[int],
        size: tuple[int, int],
        *,
        planes: bool,
    ) -> Kernel | None:
        """The kernel of a convolution; None where torch is to compute it.

        Args:
            wanted: The convolution.
            parts: Channels of its inputs, which are one beside the other.
            size: Rows and columns of the input.
            planes: Whether the input is a plain tensor, not maps.
        """
        # Weights that are computed anew in every pass are none of the network's own.
        if not wanted.plain or id(wanted.weight) not in self._parameters:
            return None
        outputs = best_outputs(size, wanted.taps)
        key = (
            id(wanted.weight),
            wanted.padding[0],
            outputs,
            wanted.transposed,
            planes,
            tuple(parts),
        )
        if key not in self._kernels:
            made = self._made(wanted, parts, outputs, planes=planes)
            if made is None:
                return None
            self._kernels[key] = made
        return self._kernels[key]

    def _made(
        self, wanted: Convolution, parts: Sequence[int], tile: int, *, planes: bool
    ) -> Kernel | None:
        inputs, outputs = wanted.channels
        weight, padding = wanted.gathering()
        bias = wanted.bias_values()
        if planes and inputs * wanted.taps**2 <= MOST_PRODUCTS and outputs > MOST_OUTPUTS:
            return FewInputs(weight, bias, padding=padding, unit=self._unit)
        if len(parts) == 1 and outputs <= MOST_OUTPUTS < inputs:
            return FewOutputs(weight, bias, padding=padding, unit=self._unit)
        if wanted.taps in TAPS and outputs > MOST_OUTPUTS:
            return WinogradConvolution(
                weight, bias, padding=padding, unit=self._unit, outputs=tile, parts=tuple(parts)
            )
        return None


def without_normalisation(network: nn.Module) -> None:
    """Fold every batch normalisation that follows a convolution into its weights, in place.

    In prediction it multiplies and shifts every channel by fixed numbers.

    Args:
        network: In evaluation mode; a copy that is for prediction only.
    """
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for at in range(len(module) - 1):
            before, after = module[at], module[at + 1]
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                module[at] = nn.utils.fusion.fuse_conv_bn_eval(before, after)
                module[at + 1] = nn.Identity()
