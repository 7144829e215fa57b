"""From a CT volume to a denoised CT volume.

How Hounsfield units are kept safe, whatever the method:

* What a method *takes away* is subtracted from the image; its own image never replaces voxels.
  Strength 0 returns the same values, bit for bit.
* A method sees no values beyond its limits (`Method`). A metal implant at 8000 HU may be seen at
  4096 and stays near 8000 HU, moved only by what is taken away there.
* Padding outside the reconstruction circle is shown to the method as air, so that a padding value
  such as -3024 cannot leak into the image, and comes back untouched.

A scan is denoised in blocks of slices, so that one larger than memory can be; a volume in memory
goes the same way, and gives the same voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ctdenoise import __version__
from ctdenoise.config.controls import NOTHING_RECOMMENDED, Recommended
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.arrays import HuArray
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, Step, digest
from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import CheckpointError, UsageError
from ctdenoise.inference.controls import SettledControls, settle_controls
from ctdenoise.inference.method import (
    BLOCK_SLICES,
    Block,
    Estimates,
    Method,
    Sample,
    SettledMethod,
    plan_blocks,
)
from ctdenoise.inference.region import Region


class Denoiser(Protocol):
    """A function from CT volume to CT volume.

    The contract:

    * The result is on the same grid, with one more line of history, named "denoise".
    * Padding is untouched, to the bit.
    * The volume that was given is not changed.
    """

    @property
    def name(self) -> str:
        """What it is, for people: "redcnn"."""
        ...

    @property
    def description(self) -> str:
        """What computes, in a few words: "torch cpu float32"."""
        ...

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that change with whatever decides the output."""
        ...

    @property
    def recommended(self) -> Recommended:
        """Controls that it recommends: taken where settings name none."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class that it labels, background first; empty if it labels nothing."""
        ...

    @property
    def states_error(self) -> bool:
        """Whether it says how far its image may be off."""
        ...

    @property
    def context(self) -> int:
        """Slices on either side of a block that must be given with it."""
        ...

    def settle(
        self,
        sample: Sample,
        scan: Scan,
        *,
        labels: bool = False,
        error: bool = False,
        region: Region | None = None,
    ) -> Denoising:
        """Get ready for the blocks of one scan.

        Args:
            sample: The slices of it that `sample_places` names; nothing is measured elsewhere.
            scan: What is known of it.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
            region: Where anything may be changed; None for everywhere.

        Raises:
            UsageError: If it labels nothing, or states no error.
            InputError: If the controls need a noise that cannot be measured.
            SettingsError: If the bound on memory is too small for the network.
        """
        ...

    def __call__(self, volume: CTVolume, *, progress: Progress = SILENT) -> CTVolume:
        """Denoise a volume.

        Args:
            volume: Any stack of slices.
            progress: Told about every slice.
        """
        ...

    def with_estimates(
        self,
        volume: CTVolume,
        *,
        labels: bool = False,
        error: bool = False,
        region: Region | None = None,
        progress: Progress = SILENT,
    ) -> tuple[CTVolume, Estimates]:
        """The same volume, and what is asked for beside it, computed in the same pass.

        Args:
            volume: Any stack of slices.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
            region: Where anything may be changed; None for everywhere.
            progress: Told about every slice.

        Raises:
            UsageError: If it labels nothing, or states no error.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Denoised:
    """Some slices without noise.

    Args:
        volume: The slices that a block means, with the line of history.
        estimates: What is said beside, as asked for.
    """

    volume: CTVolume
    estimates: Estimates


@dataclass(frozen=True, slots=True, eq=False)
class Denoising:
    """A denoiser that is ready for the blocks of one scan.

    Args:
        step: Line of history of the result.
        block_slices: Slices that are to be given together.
        method: Has measured the scan; None where nothing is taken away nor asked for.
        settled: What becomes of what the method takes away.
        labels: Whether every voxel is to be labelled.
        error: Whether the error of every voxel is to be stated.
        preset: Name of the rule that chose the controls; None where none did.
    """

    step: Step
    block_slices: int
    method: SettledMethod | None
    settled: SettledControls
    labels: bool
    error: bool
    preset: str | None = None

    @property
    def strength(self) -> float:
        """Share of what the method takes away that is taken."""
        return self.settled.controls.strength

    @property
    def region(self) -> Region | None:
        """Where anything may be changed; None for everywhere."""
        return self.settled.controls.region

    @property
    def record(self) -> dict[str, JsonValue]:
        """How much is taken, at which frequencies, where, and who said so: for `run.json`."""
        return {"preset": self.preset, **self.settled.record}

    def denoise(self, block: Block) -> Denoised:
        """Denoise the slices that a block means.

        Args:
            block: Slices, with the denoiser's `context` around them where the scan has so many.

        Raises:
            CheckpointError: If a network returns something that is not a number.
        """
        before = block.wanted
        if self.method is None:
            return Denoised(before.with_step(self.step), Estimates())
        controls = self.settled.controls
        touched = [n for n, place in enumerate(block.places) if controls.touches(place)]
        if self.labels or self.error:
            touched = list(range(len(block.places)))
        if not touched:
            return Denoised(before.with_step(self.step), Estimates())
        some = slice(touched[0], touched[-1] + 1)
        start = block.inner.start
        part = replace(block, inner=slice(start + some.start, start + some.stop))
        taken = self.method.take(part, labels=self.labels, error=self.error)
        _require_numbers(taken.removed_hu)
        if taken.estimates.error_hu is not None:
            _require_numbers(taken.estimates.error_hu)
        hu = before.hu.copy()
        hu[some] = controls.applied(part.wanted, taken.removed_hu, part.places)
        return Denoised(before.with_hu(hu, self.step), taken.estimates)


@dataclass(frozen=True, slots=True, eq=False)
class MethodDenoiser:
    """A method, and how much of what it takes away is taken.

    Args:
        method: A network or a classical filter.
        settings: Strength and the other controls.
        recommended: Controls that are used where settings name none.
    """

    method: Method
    settings: InferSettings
    recommended: Recommended = NOTHING_RECOMMENDED

    @property
    def name(self) -> str:
        """The kind of network, or the filter."""
        return self.method.name

    @property
    def description(self) -> str:
        """What computes, in a few words."""
        return self.method.description

    @property
    def digest(self) -> str:
        """The digest of the method."""
        return self.method.digest

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class that it labels; empty if it labels nothing."""
        return self.method.class_names

    @property
    def states_error(self) -> bool:
        """Whether the method says how far its image may be off."""
        return self.method.states_error

    @property
    def context(self) -> int:
        """Slices on either side of a block that must be given with it."""
        return self.method.context

    def settle(
        self,
        sample: Sample,
        scan: Scan,
        *,
        labels: bool = False,
        error: bool = False,
        region: Region | None = None,
    ) -> Denoising:
        """Get ready for the blocks of one scan; see `Denoiser`.

        Args:
            sample: Some of its slices.
            scan: What is known of all of them.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
            region: Where anything may be changed; None for everywhere.

        Raises:
            UsageError: If it labels nothing, or states no error.
            InputError: If the controls need a noise that cannot be measured.
            SettingsError: If the bound on memory is too small for the network.
        """
        if labels and not self.class_names:
            raise UsageError("this network has no segmentation head, so it labels nothing.")
        if error and not self.states_error:
            raise UsageError("this network does not state its error.")
        wanted = self.method.block_slices(scan.shape[1:])
        size = -(-BLOCK_SLICES // wanted) * wanted
        chosen, preset = self.settings.with_recommended(self.recommended).for_scan(scan.acquisition)
        idle = chosen.strength == 0 and not (labels or error)
        method = None if idle else self.method.settle(sample, scan)
        settled = settle_controls(chosen, method, sample, context=self.context, region=region)
        return Denoising(
            step=self._step(chosen, method, settled),
            block_slices=size,
            method=method if settled.controls.strength or labels or error else None,
            settled=settled,
            labels=labels,
            error=error,
            preset=preset,
        )

    def __call__(self, volume: CTVolume, *, progress: Progress = SILENT) -> CTVolume:
        """Denoise a volume, block by block.

        Args:
            volume: Any stack of slices.
            progress: Told about every slice.

        Raises:
            CheckpointError: If a network returns something that is not a number.
            SettingsError: If the bound on memory is too small for the network.
        """
        return self.with_estimates(volume, progress=progress)[0]

    def with_estimates(
        self,
        volume: CTVolume,
        *,
        labels: bool = False,
        error: bool = False,
        region: Region | None = None,
        progress: Progress = SILENT,
    ) -> tuple[CTVolume, Estimates]:
        """Denoise a volume, label its voxels, state their error; see `Denoiser`.

        Args:
            volume: Any stack of slices.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
            region: Where anything may be changed; None for everywhere.
            progress: Told about every slice.

        Raises:
            UsageError: If the method has no segmentation head, or states no error.
            CheckpointError: If a network returns something that is not a number.
            SettingsError: If the bound on memory is too small for the network.
        """
        sample = Sample.of(volume, self.context)
        denoising = self.settle(sample, volume, labels=labels, error=error, region=region)
        found = Estimates(
            np.zeros(volume.shape, dtype=np.uint8) if labels else None,
            np.zeros(volume.shape, dtype=np.float32) if error else None,
        )
        slices = volume.shape[0]
        with progress.stage("Denoising", slices) as advance:
            if denoising.method is None:
                advance(slices)
                return volume.with_step(denoising.step), found
            hu = np.empty_like(volume.hu)
            for plan in plan_blocks(slices, size=denoising.block_slices, context=self.context):
                block = Block(volume.select(plan.outer), plan.outer.start, plan.inner)
                denoised = denoising.denoise(block)
                some = slice(block.places.start, block.places.stop)
                hu[some] = denoised.volume.hu
                _keep(found, some, denoised.estimates)
                advance(len(block.places))
        return volume.with_hu(hu, denoising.step), found

    def _step(
        self, chosen: InferSettings, method: SettledMethod | None, settled: SettledControls
    ) -> Step:
        params: dict[str, JsonValue] = {
            "model": self.name,
            "model_digest": self.digest,
            "version": __version__,
            **settled.params,
            "precision": self.settings.precision,
            "engine": self.description,
            **self.method.params,
            "settings_digest": digest(chosen.deciding()),
            **({} if method is None else method.params),
        }
        return Step("denoise", params)


def _keep(found: Estimates, some: slice, estimates: Estimates) -> None:
    if found.labels is not None and estimates.labels is not None:
        found.labels[some] = estimates.labels
    if found.error_hu is not None and estimates.error_hu is not None:
        found.error_hu[some] = estimates.error_hu


def _require_numbers(values: HuArray) -> None:
    if not np.isfinite(values).all():
        raise CheckpointError(
            "the network returned values that are not numbers.",
            fix="Train again, or use precision float32 if it was bf16.",
        )
