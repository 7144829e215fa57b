"""From a CT volume to a denoised CT volume.

How Hounsfield units are kept safe:

* The network's *change* is added to the image, `hu + strength * (network - what it saw)`; its image
  never replaces voxels. Strength 0 returns the same values, bit for bit.
* The network sees values no farther out than networks meet in training (`SEEN_HU`, or the HU range
  where it is wider). A metal implant at 8000 HU is seen at 4096 and stays near 8000 HU, moved only
  by the change predicted there. The noise of air below -1024 HU is seen as it is.
* Padding outside the reconstruction circle is shown to the network as air, so that a padding value
  such as -3024 cannot leak into the image, and comes back untouched.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ctdenoise import __version__
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import (
    IdentitySettings,
    segmentation_classes,
    states_error,
    takes_noise,
)
from ctdenoise.core.arrays import BoolArray, FloatArray, HuArray, LabelArray
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, Step, digest
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import CheckpointError, UsageError
from ctdenoise.inference.engine import (
    Engine,
    Plan,
    TorchEngine,
    choose_device,
    lacks_bf16,
    plan_work,
    run,
)
from ctdenoise.inference.told_noise import (
    ToldNoise,
    require_told,
    told_noise,
    warn_beyond_training,
)
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint

_log = logging.getLogger(__name__)

REGISTERED = ("identity",)
"""Names that `load_denoiser` knows without a file."""

SEEN_HU = (-2048.0, 4096.0)
"""What a network is shown at most: the 12 bits of usual CT, -1024 to 3071 HU, and room for the
noise of a low dose on both sides. Training shows values in network scale without a cut, so cutting
closer would show a network air that it has never met."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """What a network says about a volume beside its image.

    Args:
        labels: Class of every voxel, uint8 [z, y, x]: 0 is background, and so is padding; None
            unless asked for.
        error_hu: Standard deviation of the error that the network states for its own image,
            float32 [z, y, x], HU, 0 at padding; None unless asked for. The strength with which
            the image was applied does not change it.
    """

    labels: LabelArray | None = None
    error_hu: HuArray | None = None


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
    def class_names(self) -> tuple[str, ...]:
        """A name for each class that it labels, background first; empty if it labels nothing."""
        ...

    @property
    def states_error(self) -> bool:
        """Whether it says how far its image may be off."""
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
        progress: Progress = SILENT,
    ) -> tuple[CTVolume, Estimates]:
        """The same volume, and what is asked for beside it, computed in the same pass.

        Args:
            volume: Any stack of slices.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
            progress: Told about every slice.

        Raises:
            UsageError: If it labels nothing, or states no error.
        """
        ...


def load_denoiser(name_or_path: str | Path, settings: InferSettings | None = None) -> Denoiser:
    """A denoiser ready to be called.

    Args:
        name_or_path: A registered name ("identity"), a checkpoint file, or the output folder of a
            training run.
        settings: Strength, device, precision, memory; defaults if None.

    Raises:
        CheckpointError: If the file is no checkpoint.
        UsageError: If a GPU is asked for and there is none, or a noise is stated for a network that
            is told none.

    Example:
        >>> denoiser = load_denoiser("identity")
        >>> denoiser.name
        'identity'
    """
    settings = settings or InferSettings()
    device = choose_device(settings.device)
    checkpoint = _checkpoint_of(name_or_path)
    require_told(checkpoint.network, settings)
    if settings.precision == "bf16" and lacks_bf16(device):
        _log.warning(
            "This processor does not compute in bfloat16: precision bf16 will be far slower than "
            "float32 here. Leave it out."
        )
    engine = TorchEngine(checkpoint.build(), device, settings.precision)
    return NetworkDenoiser(checkpoint, engine, settings)


def _checkpoint_of(name_or_path: str | Path) -> Checkpoint:
    if str(name_or_path) in REGISTERED:
        return Checkpoint(IdentitySettings(), {}, HuRange())
    path = Path(name_or_path)
    if not path.exists():
        raise CheckpointError(
            "there is no such model.",
            where=path,
            fix="Give a .safetensors file, the output folder of `ctdenoise train`, or one of: "
            f"{', '.join(REGISTERED)}.",
        )
    return load_checkpoint(path)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkDenoiser:
    """A checkpoint, what runs it, and how much of its change is applied.

    Args:
        checkpoint: The trained network and its HU range.
        engine: Runs the network.
        settings: Strength, batch, memory.
    """

    checkpoint: Checkpoint
    engine: Engine
    settings: InferSettings

    @property
    def name(self) -> str:
        """The kind of network."""
        return self.checkpoint.network.name

    @property
    def description(self) -> str:
        """What computes, in a few words."""
        return self.engine.description

    @property
    def digest(self) -> str:
        """The digest of the checkpoint."""
        return self.checkpoint.digest

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

    def __call__(self, volume: CTVolume, *, progress: Progress = SILENT) -> CTVolume:
        """Denoise a volume, slice by slice.

        Args:
            volume: Any stack of slices.
            progress: Told about every slice.

        Raises:
            CheckpointError: If the network returns something that is not a number.
            SettingsError: If the bound on memory is too small for the network.
        """
        return self.with_estimates(volume, progress=progress)[0]

    def with_estimates(
        self,
        volume: CTVolume,
        *,
        labels: bool = False,
        error: bool = False,
        progress: Progress = SILENT,
    ) -> tuple[CTVolume, Estimates]:
        """Denoise a volume, label its voxels, state their error; see `Denoiser`.

        Args:
            volume: Any stack of slices.
            labels: Whether every voxel is to be labelled.
            error: Whether the error of every voxel is to be stated.
            progress: Told about every slice.

        Raises:
            UsageError: If the network has no segmentation head, or states no error.
            CheckpointError: If the network returns something that is not a number.
            SettingsError: If the bound on memory is too small for the network.
        """
        if labels and not self.class_names:
            raise UsageError("this network has no segmentation head, so it labels nothing.")
        if error and not self.states_error:
            raise UsageError("this network does not state its error.")
        found = Estimates(
            np.zeros(volume.shape, dtype=np.uint8) if labels else None,
            np.zeros(volume.shape, dtype=np.float32) if error else None,
        )
        slices, height, width = volume.shape
        plan = plan_work((height, width), self.engine, self.settings)
        unchanged = self.settings.strength == 0 and not (labels or error)
        told = None
        if takes_noise(self.checkpoint.network) and not unchanged:
            told = told_noise(volume, self.settings)
            warn_beyond_training(told, self.checkpoint.training)
        step = self._step(told)
        with progress.stage("Denoising", slices) as advance:
            if unchanged:
                advance(slices)
                return volume.with_step(step), found
            hu = np.empty_like(volume.hu)
            for first in range(0, slices, plan.batch):
                some = slice(first, min(first + plan.batch, slices))
                padding = None if volume.padding is None else volume.padding[some]
                noise = None if told is None else told.slices(some, (height, width))
                views = _some(found, some)
                hu[some] = self._denoised(volume.hu[some], padding, noise, plan, views)
                advance(some.stop - some.start)
        return volume.with_hu(hu, step), found

    def _denoised(
        self,
        hu: HuArray,
        padding: BoolArray | None,
        noise_hu: FloatArray | None,
        plan: Plan,
        found: Estimates,
    ) -> HuArray:
        """Slices without noise; what the network says beside is written into `found`."""
        hu_range = self.checkpoint.hu_range
        seen = np.clip(hu, min(SEEN_HU[0], hu_range.low), max(SEEN_HU[1], hu_range.high))
        if padding is not None:
            seen[padding] = AIR_HU
        scaled = hu_range.to_network(torch.from_numpy(seen)).unsqueeze(1)  # [batch, 1, y, x]
        given = scaled
        if noise_hu is not None:
            noise = torch.from_numpy(noise_hu).unsqueeze(1) * (1.0 / hu_range.width_hu)
            given = torch.cat((scaled, noise), dim=1)
        wanted = found.labels is not None or found.error_hu is not None
        predicted = run(self.engine, given, plan, estimates=wanted)  # [batch, channel, y, x]
        # What is taken away, not what is added: x - (+0) is x to the bit, even for -0.
        removed = (scaled - predicted[:, :1]).squeeze(1)
        removed_hu = (removed * (self.settings.strength * hu_range.width_hu)).numpy()
        _require_numbers(removed_hu)
        denoised: HuArray = np.subtract(hu, removed_hu, dtype=np.float32)
        if found.error_hu is not None:
            found.error_hu[:] = (torch.exp(predicted[:, 1]) * hu_range.width_hu).numpy()
            _require_numbers(found.error_hu)
            if padding is not None:
                found.error_hu[padding] = 0
        if found.labels is not None:
            scores = predicted[:, 2 if self.states_error else 1 :]
            found.labels[:] = scores.argmax(dim=1).numpy()
            if padding is not None:
                found.labels[padding] = 0
        return denoised

    def _step(self, told: ToldNoise | None) -> Step:
        hu_range = self.checkpoint.hu_range
        params: dict[str, JsonValue] = {
            "model": self.name,
            "model_digest": self.digest,
            "version": __version__,
            "strength": self.settings.strength,
            "precision": self.settings.precision,
            "engine": self.engine.description,
            "hu_range": [hu_range.low, hu_range.high],
            "settings_digest": digest(self.settings.deciding()),
            **({} if told is None else told.params()),
        }
        return Step("denoise", params)


def _some(found: Estimates, some: slice) -> Estimates:
    """Views of some slices, to be filled."""
    return Estimates(
        None if found.labels is None else found.labels[some],
        None if found.error_hu is None else found.error_hu[some],
    )


def _require_numbers(values: HuArray) -> None:
    if not np.isfinite(values).all():
        raise CheckpointError(
            "the network returned values that are not numbers.",
            fix="Train again, or use precision float32 if it was bf16.",
        )
