"""Tensors whose numbers are computed when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from ctdenoise.inference.feature_maps import Finish, Maps, Store


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
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
    finish: Finish = field(default_factory=Finish)


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Maps one beside the other.

    Args:
        parts: At least one; all of one size.
    """

    parts: tuple[Maps, ...]

    @property
    def channels(self) -> int:
        """Of all parts."""
        return sum(part.channels for part in self.parts)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.parts[0].size


Work = Waiting | Joined | Maps
"""What is to be done, or the maps that came of it."""


class Deferred(Tensor):
    """A tensor [1, channel, y, x] of float32 whose numbers are computed when they are needed.

    Args:
        work: What is to be done.
        store: Memory for maps.
    """

    work: Work
    _store: Store

    @staticmethod
    def __new__(cls, work: Work, store: Store) -> Self:
        """A tensor without memory of its own."""
        made: Self = Tensor._make_wrapper_subclass(  # noqa: SLF001 - torch's way
            cls, (1, work.channels, *work.size), dtype=torch.float32
        )
        made.work, made._store = work, store
        return made

    # What a tensor is asked about needs no numbers; all operations on it come to `Deferring`.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # noqa: SLF001

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # stubs have torch's internal signature
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What nobody took before: computed on the numbers."""
        del types
        return func(*numbers_of(args), **numbers_of(kwargs or {}))

    def maps(self) -> Maps:
        """The numbers, computed now unless they were before."""
        work = self.work
        if isinstance(work, Waiting):
            maps = self._store.empty(*work.size, work.channels)
            work.compute(maps, work.finish)
        elif isinstance(work, Joined):
            together = torch.cat([part.tensor for part in work.parts], dim=1)
            maps = self._store.maps_of(together)
        else:
            return work
        self.work = maps
        return maps


def numbers_of(value: Any) -> Any:
    """The same with numbers in place of what is deferred."""
    if isinstance(value, Deferred):
        return value.maps().tensor
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(numbers_of(one) for one in value)
    if isinstance(value, Mapping):
        return {key: numbers_of(one) for key, one in value.items()}
    return value


def maps_of(tensor: Tensor, store: Store) -> Maps:
    """The numbers of a tensor [1, channel, y, x] of float32 as maps.

    Args:
        tensor: Deferred or not.
        store: Memory for a copy where one is needed.
    """
    return tensor.maps() if isinstance(tensor, Deferred) else store.maps_of(tensor)
