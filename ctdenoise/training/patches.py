"""Batches of patches through MONAI: drawn first, gathered second, then made tensors.

`BatchPlans`, `GatherPatches` and `ToNetworkScale` are the data and the transforms of a
`monai.data.Dataset`, so further MONAI transforms on a `PatchBatch` can follow.

This is the file by which MONAI enters training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import cast

import torch
from monai.data import Dataset, get_track_meta, set_track_meta
from monai.transforms import Compose

from ctdenoise.core.intensity import HuRange
from ctdenoise.training.batches import PatchBatch, ToNetworkScale
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.kept import GatherOnDevice
from ctdenoise.training.plans import BatchPlans
from ctdenoise.training.shares import ShareOfPlans


class PatchBatches(Sequence[PatchBatch]):
    """One batch for every step, through a MONAI dataset.

    Args:
        plans: What to cut in each step.
        hu_range: The network's scale.
        device: Where the tensors go.
        transforms: Further transforms of a `PatchBatch`, MONAI's or others, applied in order.
        on_device: Keep the volumes on the device and cut patches there.
    """

    def __init__(
        self,
        plans: BatchPlans | ShareOfPlans,
        hu_range: HuRange,
        device: torch.device,
        transforms: Sequence[Callable[[PatchBatch], PatchBatch]] = (),
        *,
        on_device: bool = False,
    ) -> None:
        window, scale = plans.settings.window, ToNetworkScale(hu_range, device)
        if on_device:
            steps = Compose([GatherOnDevice(plans.sources, window, scale), *transforms])
        else:
            steps = Compose([GatherPatches(plans.sources, window), scale, *transforms])
        self.dataset = Dataset(plans, steps)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, step: int) -> PatchBatch:  # type: ignore[override]  # no slices of batches
        with plain_tensors():
            return cast("PatchBatch", self.dataset[step])


class _Users:
    """How many threads work without metadata, and what to restore after the last one."""

    lock = Lock()
    count = 0
    before = True


@contextmanager
def plain_tensors() -> Iterator[None]:
    """MONAI without metadata on its tensors, inside the block; several threads may be in it."""
    with _Users.lock:
        if _Users.count == 0:
            _Users.before = get_track_meta()
            set_track_meta(False)
        _Users.count += 1
    try:
        yield
    finally:
        with _Users.lock:
            _Users.count -= 1
            if _Users.count == 0:
                set_track_meta(_Users.before)
