"""What follows a convolution, noted with it instead of being computed on its own.

Every function here takes the memory for maps and the arguments of a function of torch, and gives
its result, or `NotImplemented` where torch is to compute it. An operation "in place" gives the
tensor new work; maps that others hold stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from ctdenoise.inference.deferred import Deferred, Joined, Waiting, maps_of
from ctdenoise.inference.feature_maps import Maps, Store


def _relu(store: Store, input: Tensor, inplace: bool = False) -> Any:  # noqa: A002
    return _bent(store, input, 0.0, in_place=inplace)


def _relu_in_place(store: Store, input: Tensor) -> Any:  # noqa: A002 - torch's name
    return _bent(store, input, 0.0, in_place=True)


def _leaky_relu(
    store: Store,
    input: Tensor,  # noqa: A002 - torch's name
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> Any:
    return _bent(store, input, negative_slope, in_place=inplace)


def _bent(store: Store, given: Tensor, slope: float, *, in_place: bool) -> Any:
    """Values below 0 multiplied by a number between 0 and 1."""
    if not isinstance(given, Deferred) or not 0 <= slope <= 1:
        return NotImplemented
    work = given.work
    if isinstance(work, Waiting) and work.finish.slope == 1 and not work.finish.shortcut_last:
        new: Waiting | Maps = replace(work, finish=replace(work.finish, slope=slope))
    else:
        maps = given.maps()
        new = store.like(maps)
        torch.maximum(maps.data, slope * maps.data, out=new.data) if slope else torch.clamp_min(
            maps.data, 0.0, out=new.data
        )
    return _replaced(store, given, new, in_place=in_place)


def _replaced(store: Store, given: Deferred, work: Waiting | Maps, *, in_place: bool) -> Deferred:
    if not in_place:
        return Deferred(work, store)
    given.work = work
    return given


def _add(store: Store, input: Tensor, other: Any, *, alpha: float = 1) -> Any:  # noqa: A002
    return _sum(store, input, other, in_place=False) if alpha == 1 else NotImplemented


def _add_in_place(store: Store, input: Tensor, other: Any, *, alpha: float = 1) -> Any:  # noqa: A002
    return _sum(store, input, other, in_place=True) if alpha == 1 else NotImplemented


def _sum(store: Store, one: Any, other: Any, *, in_place: bool) -> Any:
    if not _alike(one, other) or (in_place and not isinstance(one, Deferred)):
        return NotImplemented
    for first, second in ((one, other), (other, one)):
        work = first.work if isinstance(first, Deferred) else None
        if not isinstance(work, Waiting) or not work.takes_shortcut or first is second:
            continue
        finish = work.finish
        if finish.shortcut is None:
            added = replace(
                finish, shortcut=maps_of(second, store), shortcut_last=finish.slope != 1
            )
            new = replace(work, finish=added)
            return _replaced(store, one if in_place else first, new, in_place=in_place)
    summands = maps_of(one, store), maps_of(other, store)
    width = min(maps.data.shape[2] for maps in summands)  # the first channels of more are stored so
    made = store.empty(*summands[0].size, width)
    torch.add(*(maps.data[..., :width] for maps in summands), out=made.data)
    new_maps = Maps(made.data, summands[0].channels)
    return _replaced(store, one, new_maps, in_place=in_place)


def _alike(one: Any, other: Any) -> bool:
    """Whether two tensors are maps of one size, one of them deferred."""
    return (
        isinstance(one, Tensor)
        and isinstance(other, Tensor)
        and (isinstance(one, Deferred) or isinstance(other, Deferred))
        and one.shape == other.shape
        and one.dtype == other.dtype == torch.float32
    )


def _subtract(store: Store, input: Tensor, other: Any, *, alpha: float = 1) -> Any:  # noqa: A002
    """A number for each channel goes with the bias."""
    work = input.work if isinstance(input, Deferred) else None
    if (
        alpha != 1
        or not isinstance(work, Waiting)
        or work.finish.slope != 1
        or not isinstance(other, Tensor)
        or isinstance(other, Deferred)
        or other.shape != (1, work.channels, 1, 1)
    ):
        return NotImplemented
    shift = -other.detach().reshape(-1).numpy()
    if work.finish.shift is not None:
        shift = shift + work.finish.shift
    return Deferred(replace(work, finish=replace(work.finish, shift=shift)), store)


def _cat(store: Store, tensors: Sequence[Tensor], dim: int = 0) -> Any:
    maps = all(
        tensor.dim() == 4 and tensor.shape[0] == 1 and tensor.dtype == torch.float32
        for tensor in tensors
    )
    if dim != 1 or not maps or not any(isinstance(tensor, Deferred) for tensor in tensors):
        return NotImplemented
    return Deferred(Joined(tuple(maps_of(tensor, store) for tensor in tensors)), store)


def _first_channels(store: Store, input: Tensor, index: Any) -> Any:  # noqa: A002
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
    return Deferred(Maps(maps.data, count), store) if count else NotImplemented


def _dropout(
    store: Store,
    input: Tensor,  # noqa: A002 - torch's name
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Any:
    """In prediction nothing is dropped."""
    del store, p, inplace
    return input if isinstance(input, Deferred) and not training else NotImplemented


def _as_float32(store: Store, input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
    """It is of this type already."""
    del store
    same = isinstance(input, Deferred) and not kwargs and args in {(), (torch.float32,)}
    return input if same else NotImplemented


OWN: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        F.relu: _relu,
        torch.relu: _relu,
        Tensor.relu: _relu,
        torch.relu_: _relu_in_place,
        Tensor.relu_: _relu_in_place,
        F.leaky_relu: _leaky_relu,
        F.dropout: _dropout,
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
"""Which function of torch is done by which."""


ABOUT = frozenset(
    {
        Tensor.shape.__get__,  # type: ignore[attr-defined]  # a property of the C class
        Tensor.dtype.__get__,  # type: ignore[attr-defined]
        Tensor.device.__get__,
        Tensor.ndim.__get__,  # type: ignore[attr-defined]
        Tensor.size,
        Tensor.dim,
        Tensor.is_floating_point,
    }
)
"""What can be asked without the numbers."""
