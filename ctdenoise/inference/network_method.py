"""A trained network as a method."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.model_card import ModelCard
from ctdenoise.config.networks import segmentation_classes, states_error, takes_noise
from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.neighbours import neighbour_indices
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.engine import Engine, Plan, plan_work, run
from ctdenoise.inference.gpu_engine import GPU_LANES, GpuEngine
from ctdenoise.inference.input_caution import input_caution
from ctdenoise.inference.method import Block, Estimates, Sample, SettledMethod, Taken, shown
from ctdenoise.inference.told_noise import (
    ToldNoise,
    told_noise,
    warn_beyond_training,
    with_caution,
)
from ctdenoise.networks.checkpoint import Checkpoint

_log = logging.getLogger(__name__)

SEEN_HU = (-2048.0, 4096.0)
"""What a network is shown at most: the 12 bits of usual CT, -1024 to 3071 HU, and room for the
noise of a low dose on both sides. Training shows values in network scale without a cut, so cutting
closer would show a network air that it has never met."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkMethod:
    """A checkpoint, and what runs it.

    Args:
        checkpoint: The trained network and its HU range.
        engine: Runs the network.
        settings: Batch, memory, what is told of the noise.
        card: Of a released model; None for others.
    """

    checkpoint: Checkpoint
    engine: Engine
    settings: InferSettings
    card: ModelCard | None = None

    @property
    def name(self) -> str:
        """The name of a released model; for others, the kind of network."""
        return self.checkpoint.network.name if self.card is None else self.card.name

    @property
    def description(self) -> str:
        """What computes, in a few words."""
        return self.engine.description

    @property
    def digest(self) -> str:
        """The digest of the checkpoint."""
        return self.checkpoint.digest

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """The HU range, and the version of a released model."""
        hu_range = self.checkpoint.hu_range
        params: dict[str, JsonValue] = {"hu_range": [hu_range.low, hu_range.high]}
        return params if self.card is None else {**params, "model_version": self.card.version}

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class of the segmentation head; empty without one.

        A checkpoint keeps the names that classes had in training; an older one, those of the labels
        that were given by name.
        """
        classes = segmentation_classes(self.checkpoint.network) or 0
        kept = self.checkpoint.training.get("class_names")
        if isinstance(kept, list) and len(kept) == classes:
            return tuple(map(str, kept))
        labels = self.checkpoint.training.get("labels")
        named = labels if isinstance(labels, dict) else {}
        names = ["background"]
        for number in range(1, classes):
            own = [key for key, value in named.items() if value == number and not key.isdigit()]
            names.append(" and ".join(own) or f"class {number}")
        return tuple(names[:classes])

    @property
    def states_error(self) -> bool:
        """Whether the network has an output for its error."""
        return states_error(self.checkpoint.network)

    @property
    def context(self) -> int:
        """Slices on either side that the network looks at."""
        return self.engine.constraints.context

    def block_slices(self, shape: tuple[int, int]) -> int:
        """Slices that go through the network together.

        Args:
            shape: Their size along (y, x).

        Raises:
            SettingsError: If the bound on memory is too small for one.
        """
        return plan_work(shape, self.engine, self.settings).batch

    def settle(self, sample: Sample, scan: Scan) -> SettledNetwork:
        """Measure the noise, if the network is told.

        Args:
            sample: Some slices of the scan.
            scan: What is known of all of them.
        """
        told = None
        if takes_noise(self.checkpoint.network):
            told = self._cautious(told_noise(sample, self.settings), sample, scan)
            warn_beyond_training(told, self.checkpoint.training)
        plan = plan_work(scan.shape[1:], self.engine, self.settings)
        return SettledNetwork(self, plan, told, _neighbours(scan.geometry, self.context))

    def _cautious(self, told: ToldNoise, sample: Sample, scan: Scan) -> ToldNoise:
        """Less than is measured, if the scan was denoised before."""
        record = self.checkpoint.training.get("trained_on")
        if not isinstance(record, Mapping):
            return told
        caution = input_caution(sample, scan, record, noise_hu=told.measured_hu)
        return with_caution(told, caution)


@dataclass(frozen=True, slots=True, eq=False)
class SettledNetwork:
    """A network that is ready for the blocks of one scan.

    Args:
        method: The network.
        plan: How its slices are batched or cut.
        told: The noise that it is told; None where it is not.
        neighbours: The slices of the scan that it is shown around each slice, [slice, channel].
    """

    method: NetworkMethod
    plan: Plan
    told: ToldNoise | None
    neighbours: npt.NDArray[np.int64]

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """The noise that is told."""
        return {} if self.told is None else self.told.params()

    def take(self, block: Block, *, labels: bool = False, error: bool = False) -> Taken:
        """What the network takes away; see `SettledMethod`.

        Args:
            block: Slices, with those around them that the network looks at.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
        """
        wanted = block.wanted
        removed = np.empty(wanted.shape, dtype=np.float32)
        found = Estimates(
            np.zeros(wanted.shape, dtype=np.uint8) if labels else None,
            np.zeros(wanted.shape, dtype=np.float32) if error else None,
        )
        for first in range(0, wanted.shape[0], self.plan.batch):
            some = slice(first, min(first + self.plan.batch, wanted.shape[0]))
            slices, places = wanted.select(some), block.places[some]
            noise = None if self.told is None else self.told.slices(places, slices)
            views = _some(found, some)
            removed[some] = self._taken(self._scaled(block, places), noise, slices, views)
        return Taken(removed, found)

    def _scaled(self, block: Block, places: range) -> Tensor:
        """Slices and their neighbours as the network sees them, [batch, slice, y, x]."""
        hu_range = self.method.checkpoint.hu_range
        limits = min(SEEN_HU[0], hu_range.low), max(SEEN_HU[1], hu_range.high)
        around = self.neighbours[places.start : places.stop] - block.first
        if block.alone:
            around = np.clip(around, 0, block.volume.shape[0] - 1)
        first, last = int(around[0, 0]), int(around[-1, -1])
        slab = block.volume.select(slice(first, last + 1))
        scaled = hu_range.to_network(torch.from_numpy(shown(slab, limits)))  # [z, y, x]
        if around.shape[1] == 1:
            return scaled.unsqueeze(1)
        return scaled[torch.from_numpy(around - first)]

    def _taken(
        self, scaled: Tensor, noise_hu: FloatArray | None, slices: CTVolume, found: Estimates
    ) -> HuArray:
        """What is taken away, HU; what the network says beside is written into `found`."""
        method = self.method
        width_hu = method.checkpoint.hu_range.width_hu
        image = scaled[:, method.context : method.context + 1]
        given = scaled  # [batch, channel, y, x]
        if noise_hu is not None:
            noise = torch.from_numpy(noise_hu).unsqueeze(1) * (1.0 / width_hu)
            given = torch.cat((scaled, noise), dim=1)
        wanted = found.labels is not None or found.error_hu is not None
        predicted = run(method.engine, given, self.plan, estimates=wanted)
        removed: HuArray = ((image - predicted[:, :1]).squeeze(1) * width_hu).numpy()
        padding = slices.padding
        if found.error_hu is not None:
            found.error_hu[:] = (torch.exp(predicted[:, 1]) * width_hu).numpy()
            if padding is not None:
                found.error_hu[padding] = 0
        if found.labels is not None:
            scores = predicted[:, 2 if method.states_error else 1 :]
            found.labels[:] = scores.argmax(dim=1).numpy()
            if padding is not None:
                found.labels[padding] = 0
        return removed


def lanes_of(method: SettledMethod | None) -> int:
    """Blocks that a method may be given at the same time, by threads of their own.

    Args:
        method: Of a scan; None where nothing is taken away.
    """
    if isinstance(method, SettledNetwork) and isinstance(method.method.engine, GpuEngine):
        return GPU_LANES
    return 1


def _neighbours(geometry: Geometry, context: int) -> npt.NDArray[np.int64]:
    """The slices that a network is shown around each slice; says so where there are none."""
    found = neighbour_indices(geometry, context)
    alone = int((found == found[:, [context]]).all(axis=1).sum())
    if context and alone:
        _log.warning(
            "This network looks at %d slices at once, and %d of the %d of this scan have no "
            "neighbour at an even spacing: such a slice is shown in their place, too.",
            2 * context + 1,
            alone,
            geometry.slices,
        )
    return found


def _some(found: Estimates, some: slice) -> Estimates:
    """Views of some slices, to be filled."""
    return Estimates(
        None if found.labels is None else found.labels[some],
        None if found.error_hu is None else found.error_hu[some],
    )
