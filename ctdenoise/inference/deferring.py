"""A network's own code, run so that convolutions wait for what follows them.

While `Deferring` is active, a convolution that has a kernel gives a `Deferred` tensor without
computing anything. A sum or a ReLU that follows is noted with it; only when the numbers are needed,
convolution, bias, sum and ReLU are computed in one pass. Every other operation, and every
convolution without a kernel, is torch's own, on tensors in channels-last memory. So any network
runs, whatever its code does, and the memory of maps lives as long as the network's code holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ctdenoise.inference.crew import Crew
from ctdenoise.inference.deferred import Deferred, Joined, Waiting, maps_of, numbers_of
from ctdenoise.inference.direct import FewInputs, FewOutputs
from ctdenoise.inference.feature_maps import Store
from ctdenoise.inference.layers import Convolution, Kernels
from ctdenoise.inference.operations import ABOUT, OWN


class Deferring(TorchFunctionMode):
    """Runs what torch is asked to do, convolutions by kernels.

    Args:
        kernels: Of the network.
        store: Memory for maps.
        crew: Threads.

    `products` and `left` count what direct convolutions would multiply, by kernels and by torch;
    `widest` is the largest number of channels that a kernel wrote.
    """

    def __init__(self, kernels: Kernels, store: Store, crew: Crew) -> None:
        super().__init__()
        self.kernels, self.store, self.crew = kernels, store, crew
        self.products, self.left = 0, 0
        self.widest = 1

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """One operation."""
        del types
        kwargs = kwargs or {}
        result: Any = NotImplemented
        if func in _CONVOLUTIONS:
            result = _CONVOLUTIONS[func](self, *args, **kwargs)
        elif func in OWN:
            result = OWN[func](self.store, *args, **kwargs)
        if result is not NotImplemented:
            return result
        if func in ABOUT:
            return func(*args, **kwargs)
        return func(*numbers_of(args), **numbers_of(kwargs))

    def convolved(self, given: Tensor, wanted: Convolution) -> Tensor | None:
        """A convolution by a kernel; None where there is none."""
        if given.dim() != 4 or given.shape[0] != 1 or given.dtype != torch.float32:
            return None
        work = given.work if isinstance(given, Deferred) else None
        parts = work.parts if isinstance(work, Joined) else ()
        counts = [part.channels for part in parts] or [given.shape[1]]
        planes = not isinstance(given, Deferred)
        kernel = self.kernels.of(wanted, counts, (given.shape[2], given.shape[3]), planes=planes)
        if kernel is None:
            return None
        self.products += _products(given, wanted)
        if isinstance(kernel, FewOutputs):
            return kernel(maps_of(given, self.store), self.crew)
        self.widest = max(self.widest, kernel.channels)
        crew, size = self.crew, kernel.size_after((given.shape[2], given.shape[3]))
        if isinstance(kernel, FewInputs):
            few, scaled = kernel, given
            return Deferred(
                Waiting(
                    lambda out, finish: few(scaled, out, finish, crew), kernel.channels, size, False
                ),
                self.store,
            )
        whole, inputs = kernel, parts or (maps_of(given, self.store),)
        return Deferred(
            Waiting(
                lambda out, finish: whole(inputs, out, finish, crew), kernel.channels, size, True
            ),
            self.store,
        )


def _products(given: Tensor, wanted: Convolution) -> int:
    """About how many products a direct convolution would make."""
    return wanted.weight.numel() * given.shape[2] * given.shape[3]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _conv2d(  # noqa: PLR0913, PLR0917 - torch's own arguments
    deferring: Deferring,
    input: Tensor,  # noqa: A002 - torch's name
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    if isinstance(padding, str):
        return NotImplemented
    wanted = Convolution(weight, bias, _pair(stride), _pair(padding), _pair(dilation), groups)
    result = deferring.convolved(input, wanted)
    if result is None:
        deferring.left += _products(input, wanted) // (wanted.stride[0] * wanted.stride[1])
    return NotImplemented if result is None else result


def _conv_transpose2d(  # noqa: PLR0913, PLR0917 - torch's own arguments
    deferring: Deferring,
    input: Tensor,  # noqa: A002 - torch's name
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Any:
    wanted = Convolution(
        weight, bias, _pair(stride), _pair(padding), _pair(dilation), groups, transposed=True
    )
    result = deferring.convolved(input, wanted) if _pair(output_padding) == (0, 0) else None
    if result is None:
        deferring.left += _products(input, wanted)
    return NotImplemented if result is None else result


_CONVOLUTIONS: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {torch.conv2d: _conv2d, torch.conv_transpose2d: _conv_transpose2d}
)
