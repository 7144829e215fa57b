"""Volumes kept in memory, or on the device of the network, from where patches are cut there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ctdenoise.config.training import DataSettings
from ctdenoise.core.memory import available_bytes
from ctdenoise.errors import SettingsError
from ctdenoise.training.batches import PatchBatch, ToNetworkScale
from ctdenoise.training.changes import PatchImages
from ctdenoise.training.distributed import ALONE, Peers
from ctdenoise.training.indexing import IndexArray, patch_steps
from ctdenoise.training.labels import ClassTable
from ctdenoise.training.plans import BatchPlan, PatchSource

Place = Literal["disk", "memory", "device"]
"""Where volumes are read from."""

_LEFT_TO_THE_NETWORK = 0.5
"""Share of the free memory of a GPU that volumes are not put into unless asked for."""


def choose_place(
    settings: DataSettings,
    sources: Sequence[PatchSource],
    device: torch.device,
    peers: Peers = ALONE,
) -> Place:
    """Where to keep the volumes.

    Args:
        settings: What was asked for.
        sources: The volumes, not yet in memory.
        device: Where the network is.
        peers: The processes of the run: each keeps volumes of its own.

    Raises:
        SettingsError: If they do not fit there, or cannot be used there.
    """
    wanted, size = settings.keep_on, _bytes(sources)
    if wanted == "disk" or (wanted == "auto" and device.type == "cpu"):
        return "disk"
    stored = all(source.is_stored for source in sources)
    if wanted == "device" and not stored:
        raise SettingsError(
            "only stored pairs are cut into patches on the device, and these patches get noise or "
            "a noise level that is computed for each.",
            where="data.keep_on",
            fix="Set data.keep_on=memory, or leave it to auto.",
        )
    on_gpu = wanted != "memory" and device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else available_bytes()
    if wanted == "auto":
        fits = free is not None and size <= (1 - _LEFT_TO_THE_NETWORK) * free
        return "device" if stored and fits else "disk"
    needed = size if on_gpu else size * peers.local_world
    if free is not None and needed > free:
        raise SettingsError(
            f"the volumes need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free.",
            where="data.keep_on",
            fix="Set data.keep_on=disk: the system keeps in memory what is used.",
        )
    return wanted


def in_memory(sources: Sequence[PatchSource]) -> tuple[PatchSource, ...]:
    """The same volumes, read into memory."""
    return tuple(
        dataclasses.replace(
            source,
            full=np.array(source.full),
            low=tuple(np.array(each) for each in source.low),
            labels=None if source.labels is None else np.array(source.labels),
        )
        for source in sources
    )


class GatherOnDevice:
    """Cuts patches out of volumes on a device: all volumes are one row of pixels there.

    The patches are those of `GatherPatches`, bit for bit.

    Args:
        sources: The series that the plans count.
        size: Edge of what is cut out, pixels (`PatchSettings.window`).
        scale: Brings patches to the scale of the network, on the device.
    """

    def __init__(self, sources: Sequence[PatchSource], size: int, scale: ToNetworkScale) -> None:
        self.size = size
        self.scale = scale
        self._shapes = np.array([source.full.shape for source in sources], dtype=np.int64)
        pixels = self._shapes.prod(axis=1)
        self._first = np.cumsum(pixels) - pixels
        self._full = self._joined([source.full for source in sources])
        doses = np.array([len(source.low) for source in sources], dtype=np.int64)
        self._first_low = np.cumsum(doses * pixels) - doses * pixels
        self._low = self._joined([each for source in sources for each in source.low])
        slices = self._shapes[:, 0]
        self._slices_before = np.cumsum(slices) - slices
        around = [source.around for source in sources if source.around is not None]
        self._around = np.concatenate(around) if around else None
        self._labels: Tensor | None = None
        if sources[0].labels is not None:
            labels = [source.labels for source in sources if source.labels is not None]
            self._labels = self._joined(labels, [source.classes for source in sources])

    def __call__(self, plan: BatchPlan) -> PatchBatch:
        """The patches of a plan, in its order, ready for the network."""
        slices, rows, columns = self._shapes[plan.source].T
        inside = (plan.z * rows + plan.row) * columns + plan.column
        index = self._index(self._first[plan.source] + inside, columns, plan.symmetry)
        of_dose = self._first_low[plan.source] + plan.dose * slices * rows * columns
        low_index = self._index(of_dose + inside, columns, plan.symmetry)
        images = PatchImages(
            full=self.scale.hu(self._full[index]),
            low=self.scale.hu(self._low[low_index]),
            labels=None if self._labels is None else self._labels[index].long(),
            noise=None,
            beside=self._beside(plan, of_dose + inside, rows * columns, columns),
        )
        return self.scale.finished(images, plan.changes)

    def _beside(
        self, plan: BatchPlan, first: IndexArray, pixels: IndexArray, columns: IndexArray
    ) -> Tensor | None:
        """The low dose in neighbouring slices, HU, [batch, slice, y, x]; None without them.

        Args:
            plan: Of the batch.
            first: Place of the first pixel of each window in the slice itself, [batch].
            pixels: Of a slice.
            columns: Of a slice.
        """
        if self._around is None:
            return None
        around = self._around[self._slices_before[plan.source] + plan.z]
        others = np.delete(around, around.shape[1] // 2, axis=1)
        starts = first[:, None] + (others - plan.z[:, None]) * pixels[:, None]
        count = others.shape[1]
        of_each = (np.repeat(each, count) for each in (columns, plan.symmetry))
        found: Tensor = self._low[self._index(starts.reshape(-1), *of_each)]
        return self.scale.hu(found.reshape(-1, count, *found.shape[1:]))

    def _index(self, first: IndexArray, columns: IndexArray, symmetry: IndexArray) -> Tensor:
        """Place of every pixel, [batch, y, x]; few numbers travel, the rest is done there."""
        found = np.stack(patch_steps(first, columns, symmetry, self.size))
        start, along_y, along_x = self.scale.moved(found)[:, :, None, None]
        steps = torch.arange(self.size, device=self.scale.device)
        index: Tensor = start + along_y * steps[:, None] + along_x * steps
        return index

    def _joined(
        self,
        volumes: Sequence[npt.NDArray[np.generic]],
        tables: Sequence[ClassTable | None] = (),
    ) -> Tensor:
        """Volumes one after the other, copied slice by slice; labels become classes by tables."""
        dtype = torch.from_numpy(np.empty(0, volumes[0].dtype)).dtype
        count = sum(volume.size for volume in volumes)
        joined = torch.empty(count, dtype=dtype, device=self.scale.device)
        start = 0
        for volume, table in zip_longest(volumes, tables):
            for plane in volume:
                pixels = np.array(plane) if table is None else table[plane]
                joined[start : start + plane.size] = torch.from_numpy(pixels.reshape(-1))
                start += plane.size
        return joined


def _bytes(sources: Sequence[PatchSource]) -> int:
    """What the volumes take."""
    return sum(
        volume.nbytes
        for source in sources
        for volume in (source.full, *source.low, source.labels)
        if volume is not None
    )
