"""A network's own code, run so that convolutions wait for what follows them.

While `Deferring` is active, a convolution that has a kernel gives a `Deferred` tensor without
computing anything. A sum or a ReLU that follows is noted with it; only when the numbers are needed,
convolution, bias, sum and ReLU are computed in one pass. Every other operation, and every
convolution without a kernel, is torch's own, on tensors in channels-last memory. So any network
runs, whatever its code does, and the memory of maps lives as long as the network's code holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ctdenoise.inference.crew import Crew
from ctdenoise.inference.direct import FewInputs, FewOutputs
from ctdenoise.inference.feature_maps import Maps, Store
from ctdenoise.inference.layers import Convolution, Kernels
from ctdenoise.inference.winograd import Finish, WinogradConvolution


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A convolution that was not computed yet.

    Args:
        compute: Writes the result into maps, with what follows.
        channels: Of the result.
        size: Rows and columns of the result.
        takes_shortcut: Whether the kernel can add maps.
        finish: What follows.
    """

    compute: Callable[[Maps, Finish], None]
    channels: int
    size: tuple[int, int]
    takes_shortcut: bool
    finish: Finish = Finish()


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    """Maps one beside the other."""

    parts: tuple[Maps, ...]

    @property
    def channels(self) -> int:
        return sum(part.channels for part in self.parts)

    @property
    def size(self) -> tuple[int, int]:
        return self.parts[0].size


class Deferred(Tensor):
    """A tensor [1, channel, y, x] of float32 whose numbers are computed when they are needed.

    Args:
        work: What is to be done, or the maps that came of it.
        deferring: Who does it.
    """

    work: _Waiting | _Joined | Maps
    deferring: Deferring

    @staticmethod
    def __new__(cls, work: _Waiting | _Joined | Maps, deferring: Deferring) -> Deferred:
        """A tensor without memory of its own."""
        made: Deferred = Tensor._make_wrapper_subclass(  # noqa: SLF001 - torch's way to make one
            cls, (1, work.channels, *work.size), dtype=torch.float32
        )
        made.work, made.deferring = work, deferring
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # noqa: SLF001 - as torch documents

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What nobody took before: computed on the numbers."""
        del types
        return func(*_plain(args), **_plain(kwargs or {}))

    def maps(self) -> Maps:
        """The numbers, computed now unless they were before."""
        if not isinstance(self.work, Maps):
            self.work = self.deferring.computed(self.work)
        return self.work


class Deferring(TorchFunctionMode):
    """Runs what torch is asked to do, convolutions by kernels.

    Args:
        kernels: Of the network.
        store: Memory for maps.
        crew: Threads.
    """

    def __init__(self, kernels: Kernels, store: Store, crew: Crew) -> None:
        super().__init__()
        self.kernels, self.store, self.crew = kernels, store, crew
        self.products, self.left = 0, 0

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
        own = _OWN.get(func)
        if own is not None:
            result = own(self, *args, **kwargs)
            if result is not NotImplemented:
                return result
        if func in _ABOUT:
            return func(*args, **kwargs)
        return func(*_plain(args), **_plain(kwargs))

    def computed(self, work: _Waiting | _Joined) -> Maps:
        """Maps of what was waiting."""
        if isinstance(work, _Joined):
            return self.store.maps_of(torch.cat([part.tensor for part in work.parts], dim=1))
        out = self.store.empty(*work.size, work.channels)
        work.compute(out, work.finish)
        return out

    def maps_of(self, tensor: Tensor) -> Maps:
        """The numbers of any tensor [1, channel, y, x] of float32 as maps."""
        return tensor.maps() if isinstance(tensor, Deferred) else self.store.maps_of(tensor)

    def convolved(self, given: Tensor, wanted: Convolution) -> Tensor | None:
        """A convolution by a kernel; None where there is none."""
        if given.dim() != 4 or given.shape[0] != 1 or given.dtype != torch.float32:
            return None
        joined = isinstance(given, Deferred) and isinstance(given.work, _Joined)
        parts = given.work.parts if joined else ()
        counts = [part.channels for part in parts] or [given.shape[1]]
        planes = not isinstance(given, Deferred)
        kernel = self.kernels.of(wanted, counts, planes=planes)
        if kernel is None:
            return None
        self.products += _products(given, wanted)
        if isinstance(kernel, FewOutputs):
            return kernel(self.maps_of(given), self.crew)
        crew, size = self.crew, kernel.size_after((given.shape[2], given.shape[3]))
        if isinstance(kernel, FewInputs):
            few, scaled = kernel, given
            return Deferred(
                _Waiting(
                    lambda out, finish: few(scaled, out, finish, crew), kernel.channels, size, False
                ),
                self,
            )
        whole, inputs = kernel, parts or (self.maps_of(given),)
        return Deferred(
            _Waiting(
                lambda out, finish: whole(inputs, out, finish, crew), kernel.channels, size, True
            ),
            self,
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
    wanted = Convolution(
        weight, bias, _pair(stride), _pair(padding), _pair(dilation), groups
    )
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


def _relu(deferring: Deferring, input: Tensor, inplace: bool = False) -> Any:  # noqa: A002, FBT001, FBT002
    return _bent(deferring, input, 0.0, in_place=inplace)


def _relu_in_place(deferring: Deferring, input: Tensor) -> Any:  # noqa: A002 - torch's name
    return _bent(deferring, input, 0.0, in_place=True)


def _leaky_relu(
    deferring: Deferring,
    input: Tensor,  # noqa: A002 - torch's name
    negative_slope: float = 0.01,
    inplace: bool = False,  # noqa: FBT001, FBT002 - torch's own arguments
) -> Any:
    return _bent(deferring, input, negative_slope, in_place=inplace)


def _bent(deferring: Deferring, given: Tensor, slope: float, *, in_place: bool) -> Any:
    """Values below 0 multiplied by a number between 0 and 1."""
    if not isinstance(given, Deferred) or not 0 <= slope <= 1:
        return NotImplemented
    work = given.work
    if isinstance(work, _Waiting) and work.finish.slope == 1 and not work.finish.shortcut_last:
        new: _Waiting | Maps = replace(work, finish=replace(work.finish, slope=slope))
    else:
        maps = given.maps()
        new = deferring.store.like(maps)
        torch.maximum(maps.data, slope * maps.data, out=new.data) if slope else torch.clamp_min(
            maps.data, 0.0, out=new.data
        )
    return _replaced(deferring, given, new, in_place=in_place)


def _replaced(
    deferring: Deferring, given: Deferred, work: _Waiting | Maps, *, in_place: bool
) -> Deferred:
    if not in_place:
        return Deferred(work, deferring)
    given.work = work
    return given


def _add(deferring: Deferring, input: Tensor, other: Any, *, alpha: float = 1) -> Any:  # noqa: A002
    return _sum(deferring, input, other, in_place=False) if alpha == 1 else NotImplemented


def _add_in_place(deferring: Deferring, input: Tensor, other: Any, *, alpha: float = 1) -> Any:  # noqa: A002
    return _sum(deferring, input, other, in_place=True) if alpha == 1 else NotImplemented


def _sum(deferring: Deferring, one: Any, other: Any, *, in_place: bool) -> Any:
    if not _alike(one, other) or (in_place and not isinstance(one, Deferred)):
        return NotImplemented
    for first, second in ((one, other), (other, one)):
        work = first.work if isinstance(first, Deferred) else None
        if not isinstance(work, _Waiting) or not work.takes_shortcut or first is second:
            continue
        finish = work.finish
        if finish.shortcut is None:
            added = replace(
                finish, shortcut=deferring.maps_of(second), shortcut_last=finish.slope != 1
            )
            new = replace(work, finish=added)
            return _replaced(deferring, one if in_place else first, new, in_place=in_place)
    maps = deferring.maps_of(one)
    new_maps = deferring.store.like(maps)
    torch.add(maps.data, deferring.maps_of(other).data, out=new_maps.data)
    return _replaced(deferring, one, new_maps, in_place=in_place)


def _alike(one: Any, other: Any) -> bool:
    """Whether two tensors are maps of one size, one of them deferred."""
    return (
        isinstance(one, Tensor)
        and isinstance(other, Tensor)
        and (isinstance(one, Deferred) or isinstance(other, Deferred))
        and one.shape == other.shape
        and one.dtype == other.dtype == torch.float32
    )


def _subtract(deferring: Deferring, input: Tensor, other: Any, *, alpha: float = 1) -> Any:  # noqa: A002
    """A number for each channel goes with the bias."""
    work = input.work if isinstance(input, Deferred) else None
    if (
        alpha != 1
        or not isinstance(work, _Waiting)
        or work.finish.slope != 1
        or not isinstance(other, Tensor)
        or isinstance(other, Deferred)
        or other.shape != (1, work.channels, 1, 1)
    ):
        return NotImplemented
    shift = -other.detach().reshape(-1).numpy()
    if work.finish.shift is not None:
        shift = shift + work.finish.shift
    return Deferred(replace(work, finish=replace(work.finish, shift=shift)), deferring)


def _cat(deferring: Deferring, tensors: Sequence[Tensor], dim: int = 0) -> Any:
    maps = all(
        tensor.dim() == 4 and tensor.shape[0] == 1 and tensor.dtype == torch.float32
        for tensor in tensors
    )
    if dim != 1 or not maps or not any(isinstance(tensor, Deferred) for tensor in tensors):
        return NotImplemented
    return Deferred(_Joined(tuple(deferring.maps_of(tensor) for tensor in tensors)), deferring)


def _first_channels(deferring: Deferring, input: Tensor, index: Any) -> Any:  # noqa: A002
    """`maps[:, :count]` shares the memory."""
    whole = slice(None)
    if (
        not isinstance(input, Deferred)
        or not isinstance(index, tuple)
        or len(index) != 2
        or index[0] != whole
        or not isinstance(index[1], slice)
        or index[1].start not in {None, 0}
        or index[1].step not in {None, 1}
    ):
        return NotImplemented
    maps = input.maps()
    count = len(range(maps.channels)[index[1]])
    return Deferred(Maps(maps.data, count), deferring) if count else NotImplemented


def _as_float32(deferring: Deferring, input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
    """It is of this type already."""
    del deferring
    same = isinstance(input, Deferred) and not kwargs and args in {(), (torch.float32,)}
    return input if same else NotImplemented


_OWN: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        torch.conv2d: _conv2d,
        torch.conv_transpose2d: _conv_transpose2d,
        F.relu: _relu,
        torch.relu: _relu,
        Tensor.relu: _relu,
        torch.relu_: _relu_in_place,
        Tensor.relu_: _relu_in_place,
        F.leaky_relu: _leaky_relu,
        torch.add: _add,
        Tensor.add: _add,
        Tensor.__add__: _add,
        Tensor.__radd__: _add,
        Tensor.add_: _add_in_place,
        Tensor.__iadd__: _add_in_place,
        torch.sub: _subtract,
        Tensor.sub: _subtract,
        Tensor.__sub__: _subtract,
        torch.cat: _cat,
        Tensor.__getitem__: _first_channels,
        Tensor.to: _as_float32,
        Tensor.float: _as_float32,
    }
)
"""What is done otherwise than torch does it."""

_ABOUT = frozenset(
    {
        Tensor.shape.__get__,  # type: ignore[attr-defined]  # a property of the C class
        Tensor.dtype.__get__,  # type: ignore[attr-defined]
        Tensor.device.__get__,  # type: ignore[attr-defined]
        Tensor.ndim.__get__,  # type: ignore[attr-defined]
        Tensor.size,
        Tensor.dim,
        Tensor.is_floating_point,
    }
)
"""What can be asked without the numbers."""


def _plain(value: Any) -> Any:
    """The same with numbers in place of what is deferred."""
    if isinstance(value, Deferred):
        return value.maps().tensor
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_plain(one) for one in value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value
