"""Batches of patches through MONAI, and pairs for MONAI's own ways.

`BatchPlans`, `GatherPatches` and `ToNetworkScale` are the data and the transforms of a
`monai.data.Dataset`. Further transforms may follow: of whole batches, or with `EachPatch` MONAI's
dictionary transforms of single patches. For MONAI's own datasets and loaders, `slice_items` and
`ReadSliced` give dictionaries of slices.

This is the file by which MONAI enters training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, cast

import numpy as np
import torch
from monai.data import Dataset, MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose, Randomizable, Transform
from torch import Tensor

from ctdenoise.core.intensity import HuRange
from ctdenoise.core.units import AIR_HU
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.pairs import PairFiles
from ctdenoise.losses.build import Target
from ctdenoise.training.batches import PatchBatch, ToNetworkScale
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.indexing import IndexArray
from ctdenoise.training.kept import GatherOnDevice
from ctdenoise.training.plans import BatchPlans
from ctdenoise.training.shares import ShareOfPlans

Item = dict[str, Any]
"""What MONAI's dictionary transforms work on."""


class EachPatch:
    """A dictionary transform of MONAI, applied to every patch of a batch by itself.

    A patch is a dictionary of `low`, `full` and, where they are used, `labels`, `noise` and
    `weight` of each pixel, each [1, y, x], and `beside` of neighbouring slices [slice, y, x]:
    images and noise in the scale of the network, labels as classes. What moves pixels must be told
    all of them. Random transforms draw from a seed of the patch, so batches depend on the run's
    seed and the step alone.

    Args:
        transform: Gives a dictionary with the same keys and sizes.
    """

    def __init__(self, transform: Callable[[Item], Mapping[Any, Any]]) -> None:
        self._transform = transform
        self._lock = Lock()

    def __call__(self, batch: PatchBatch, seeds: IndexArray) -> PatchBatch:
        """The batch, transformed.

        Args:
            batch: Patches.
            seeds: One for each patch, int64 [batch], below 2^32.
        """
        target = batch.target
        labels = None if target.labels is None else target.labels[:, None]
        images = {
            "low": batch.low,
            "full": target.image,
            "labels": labels,
            "noise": batch.noise,
            "weight": target.weight,
            "beside": batch.beside,
        }
        used = {key: value for key, value in images.items() if value is not None}
        with self._lock:  # random transforms keep the state that they draw from
            done = [self._one(used, number, int(seed)) for number, seed in enumerate(seeds)]
        joined = {key: torch.stack([_plain(item[key]) for item in done]) for key in used}
        classes = joined["labels"][:, 0].long() if labels is not None else None
        low, noise = joined["low"], joined.get("noise")
        target = Target(joined["full"], classes, low, noise, joined.get("weight"))
        beside = joined.get("beside")
        return dataclasses.replace(batch, low=low, target=target, noise=noise, beside=beside)

    def _one(self, images: Mapping[str, Tensor], number: int, seed: int) -> Mapping[Any, Any]:
        if isinstance(self._transform, Randomizable):
            self._transform.set_random_state(seed=seed)
        return self._transform({key: value[number] for key, value in images.items()})


BatchTransform = Callable[[PatchBatch], PatchBatch] | EachPatch
"""What may follow: a function of whole batches that draws nothing, or `EachPatch`."""


class PatchBatches(Sequence[PatchBatch]):
    """One batch for every step, through a MONAI dataset.

    Args:
        plans: What to cut in each step.
        hu_range: The network's scale.
        device: Where the tensors go.
        transforms: Further transforms, applied in order.
        on_device: Keep the volumes on the device and cut patches there.
    """

    def __init__(
        self,
        plans: BatchPlans | ShareOfPlans,
        hu_range: HuRange,
        device: torch.device,
        transforms: Sequence[BatchTransform] = (),
        *,
        on_device: bool = False,
    ) -> None:
        self.transforms = tuple(transforms)
        self._plans = plans
        window, scale = plans.settings.window, ToNetworkScale(hu_range, device)
        if on_device:
            steps = Compose([GatherOnDevice(plans.sources, window, scale)])
        else:
            steps = Compose([GatherPatches(plans.sources, window), scale])
        self.dataset = Dataset(plans, steps)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, step: int) -> PatchBatch:  # type: ignore[override]  # no slices of batches
        with plain_tensors():
            batch = cast("PatchBatch", self.dataset[step])
            for transform in self.transforms:
                if isinstance(transform, EachPatch):
                    batch = transform(batch, self._plans.seeds(step))
                else:
                    batch = transform(batch)
            return batch


def slice_items(pairs: Sequence[PairFiles]) -> list[Item]:
    """One dictionary for every slice and low dose, the data of a MONAI dataset.

    Nothing is read yet; `ReadSliced` does. `patient` tells patients apart, to split by.

    Args:
        pairs: As found by `find_pairs`.
    """
    return [
        {"pair": files, "dose": dose, "z": z, "patient": files.patient_key}
        for files in pairs
        for dose in range(len(files.low))
        for z in range(files.shape[0])
    ]


class ReadSliced(Transform):  # type: ignore[misc]  # MONAI has no types
    """Reads a slice of a pair: the first transform on the items of `slice_items`.

    Gives `low` and `full`, HU, float32 [1, y, x], padding as air, `labels` where the pair has them,
    uint8 [1, y, x], and `dose_fraction`. It draws nothing, so `monai.data.CacheDataset` keeps what
    it gave.
    """

    def __call__(self, data: Mapping[str, Any]) -> Item:
        """The item with its images."""
        files: PairFiles = data["pair"]
        arrays, z = files.open(), data["z"]
        images = {"low": arrays.low[data["dose"]][z], "full": arrays.full[z]}
        item = {key: value for key, value in data.items() if key != "pair"}
        for key, stored in images.items():
            hu = np.where(stored == PADDING_HU, AIR_HU, stored).astype(np.float32)
            item[key] = torch.from_numpy(hu)[None]
        if arrays.labels is not None:
            item["labels"] = torch.from_numpy(np.array(arrays.labels[z]))[None]
        item["dose_fraction"] = files.low[data["dose"]].exposure.dose_fraction
        return item


def _plain(value: Tensor) -> Tensor:
    return value.as_tensor() if isinstance(value, MetaTensor) else value


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
