"""Parts of a batch: the share of one process, and pieces that are computed one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from ctdenoise.training.indexing import IndexArray
    from ctdenoise.training.plans import BatchPlan, BatchPlans

T = TypeVar("T")


class ShareOfPlans(Sequence["BatchPlan"]):
    """The plans of all steps, of each only the rows that belong to one process.

    Args:
        plans: Of all processes.
        rank: Number of the process, from 0.
        world: Processes in all; divides the batch.
    """

    def __init__(self, plans: BatchPlans, *, rank: int, world: int) -> None:
        self.plans = plans
        self.rank = rank
        self.world = world
        self.sources = plans.sources
        self.settings = plans.settings

    def __len__(self) -> int:
        return len(self.plans)

    def __getitem__(self, step: int) -> BatchPlan:  # type: ignore[override]  # no slices of plans
        return piece_of(self.plans[step], self.rank, self.world)

    def seeds(self, step: int) -> IndexArray:
        """Seeds of the rows of this process, see `BatchPlans.seeds`."""
        return piece_of(self.plans.seeds(step), self.rank, self.world)


def piece_of(batch: T, number: int, pieces: int) -> T:
    """One of equal pieces of a batch.

    Args:
        batch: A dataclass or tuple of arrays or tensors [batch, ...], or of such; None is left.
        number: Which piece, from 0.
        pieces: How many there are.
    """
    return batch if pieces == 1 else _piece(batch, number, pieces)


def _piece(value: Any, number: int, pieces: int) -> Any:
    match value:
        case Tensor() | np.ndarray():
            rows = len(value) // pieces
            return value[number * rows : (number + 1) * rows]
        case tuple():
            parts = [_piece(item, number, pieces) for item in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            parts = [_piece(getattr(value, name), number, pieces) for name in names]
            return dataclasses.replace(value, **dict(zip(names, parts, strict=True)))
        case _:
            return value
