"""A network put to work: device, precision, the memory it may take, slices in and slices out."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import SettingsError, UsageError
from ctdenoise.inference.tiling import Tiling, plan_tiles, predict_in_tiles, smallest_tile
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction

_log = logging.getLogger(__name__)

GPU_BATCH = 8
"""Slices computed together on a GPU unless the settings say otherwise."""

_BYTES = {"float32": 4, "bf16": 2}


class Engine(Protocol):
    """Something that runs a network.

    The contract:

    * `constraints` are those of the network.
    * `predict` takes slices [batch, channel, y, x] in network scale, float32, on the CPU, within
      the constraints, and returns images [batch, 1, y, x], float32, on the CPU.
    * The same input gives the same output, to the bit, on the same machine.
    """

    @property
    def constraints(self) -> Constraints:
        """What the network asks of its input."""
        ...

    @property
    def description(self) -> str:
        """What computes, in a few words, for records: "torch cpu float32"."""
        ...

    @property
    def bytes_per_value(self) -> int:
        """Size of one number of a feature map."""
        ...

    def predict(self, scaled: Tensor) -> Tensor:
        """Denoised images for a batch of slices."""
        ...

    def predict_with_estimates(self, scaled: Tensor) -> Tensor:
        """The same images, followed by what the network says about them, as further channels.

        These are one for the logarithm of the error that it states, if it states one, and one of
        scores for each class of a head.
        """
        ...


class TorchEngine:
    """Plain torch, with transposed convolutions folded to plain ones, channels last.

    Args:
        network: The network; it is copied, not changed.
        device: Where to compute.
        precision: Type of weights and feature maps. float32 means float32 on GPUs too (no TF32).
    """

    def __init__(
        self,
        network: DenoisingNetwork,
        device: torch.device,
        precision: Literal["float32", "bf16"] = "float32",
    ) -> None:
        self._device = device
        self._precision = precision
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._network = network.folded().eval().to(device=device, dtype=dtype)
        self.constraints = network.constraints

    @property
    def description(self) -> str:
        """What computes, in a few words."""
        return f"torch {self._device.type} {self._precision}"

    @property
    def bytes_per_value(self) -> int:
        """Size of one number of a feature map."""
        return _BYTES[self._precision]

    def predict(self, scaled: Tensor) -> Tensor:
        """Denoised images for a batch of slices.

        Args:
            scaled: Slices in network scale, [batch, channel, y, x], float32.
        """
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            on_device = scaled.to(self._device, memory_format=torch.channels_last)
            return outputs_of(self._network(on_device), estimates=False).cpu()

    def predict_with_estimates(self, scaled: Tensor) -> Tensor:
        """Denoised images and, as further channels, stated error and scores of every class.

        Args:
            scaled: Slices in network scale, [batch, channel, y, x], float32.
        """
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            on_device = scaled.to(self._device, memory_format=torch.channels_last)
            return outputs_of(self._network(on_device), estimates=True).cpu()


def outputs_of(predicted: Prediction, *, estimates: bool) -> Tensor:
    """What an engine returns, float32 [batch, channel, y, x]; see `Engine`.

    Args:
        predicted: By the network.
        estimates: Whether stated error and scores follow the image.
    """
    if not estimates:
        return predicted.image.float()
    channels = (predicted.image, predicted.log_sigma, predicted.logits)
    return torch.cat([one.float() for one in channels if one is not None], dim=1)


def choose_device(name: str) -> torch.device:
    """The device that a setting means on this machine.

    Args:
        name: "auto", "cpu", "cuda", or "cuda:1" for one of several GPUs.

    Raises:
        UsageError: If a GPU is asked for that is not there.
    """
    has_gpu = torch.cuda.is_available()
    _, _, number = name.partition(":")
    if number:
        found = torch.cuda.device_count() if has_gpu else 0
        if int(number) >= found:
            raise UsageError(
                f"torch finds {found} GPUs on this machine, and {name} would be one more.",
                where="device",
                fix="Use --device auto, or a smaller number; they are counted from 0.",
            )
        return torch.device("cuda", int(number))
    if name == "cuda" and not has_gpu:
        raise UsageError(
            "torch finds no GPU on this machine.",
            where="device",
            fix="Use --set device=cpu, or install a torch build for this GPU.",
        )
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def choose_precision(
    wanted: Literal["auto", "float32", "bf16"], device: torch.device
) -> Literal["float32", "bf16"]:
    """The precision that a setting means on a device: auto is bf16 on a GPU only.

    Args:
        wanted: The setting.
        device: Where to compute.
    """
    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" else "float32"


def lacks_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is known to be slow on a device: a processor that must imitate it.

    Imitated, RED-CNN takes more than ten times as long as in float32.
    """
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    found = torch.cpu.get_capabilities()
    return found.get("architecture") == "x86_64" and not any(
        found.get(name) for name in ("avx512_bf16", "amx_bf16")
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How slices of one size go through an engine.

    Args:
        batch: Slices handed over together.
        tiling: How they are cut; None for whole slices.
    """

    batch: int
    tiling: Tiling | None


def plan_work(shape: tuple[int, int], engine: Engine, settings: InferSettings) -> Plan:
    """Whole slices where they fit into memory, in batches as large as fit; tiles otherwise.

    Args:
        shape: Size of the slices along (y, x).
        engine: What computes.
        settings: Wanted batch, tile and the bound on memory.

    Raises:
        SettingsError: If not even the smallest tile fits, or a wanted tile is too small.
    """
    constraints = engine.constraints
    padded = padded_shape(shape, constraints)
    bytes_per_pixel = constraints.peak_values_per_pixel * engine.bytes_per_value
    pixels = pixels_at_once(engine, settings.memory_mb)
    on_gpu = " cuda " in engine.description
    wanted = settings.batch or (GPU_BATCH if on_gpu else 1)
    whole = padded[0] * padded[1]
    if settings.tile is None and whole <= pixels:
        return Plan(max(1, min(wanted, pixels // whole)), None)
    edge = settings.tile or math.isqrt(pixels)
    least = smallest_tile(constraints)
    if settings.tile is None and edge < least:
        needed = math.ceil(least**2 * bytes_per_pixel / 1_000_000)
        raise SettingsError(
            f"{settings.memory_mb} MB do not hold the feature maps of the smallest tile.",
            where="memory_mb",
            fix=f"Set memory_mb to {needed} or more.",
        )
    batch = max(1, min(wanted, pixels // edge**2))
    tiling = plan_tiles(padded, constraints, edge=edge, batch=batch)
    if tiling.halo is None:
        _log.warning(
            "Slices are cut into blended tiles, since this network has no bounded field; "
            "seams of about 1 HU are possible. Raise memory_mb to avoid them."
        )
    return Plan(1, tiling)


def pixels_at_once(engine: Engine, memory_mb: int) -> int:
    """Pixels whose feature maps fit into a bound on memory.

    Args:
        engine: What computes.
        memory_mb: The bound, MB.
    """
    per_pixel = engine.constraints.peak_values_per_pixel * engine.bytes_per_value
    return memory_mb * 1_000_000 // per_pixel


def run(engine: Engine, scaled: Tensor, plan: Plan, *, estimates: bool = False) -> Tensor:
    """Denoised images of the slices' own size, [batch, 1, y, x].

    Slices that are smaller than the network accepts, or no multiple of what it asks for, are
    continued with their edge pixels and cut back.

    Args:
        engine: What computes.
        scaled: Slices in network scale, [batch, channel, y, x], float32, on the CPU.
        plan: How they are cut.
        estimates: Whether stated error and scores of classes follow as further channels; tiles of
            them are put together like those of the image.
    """
    predict = engine.predict_with_estimates if estimates else engine.predict
    height, width = scaled.shape[2:]
    new_height, new_width = padded_shape((height, width), engine.constraints)
    top, left = (new_height - height) // 2, (new_width - width) // 2
    if (new_height, new_width) != (height, width):
        margins = (left, new_width - width - left, top, new_height - height - top)
        scaled = F.pad(scaled, margins, mode="replicate")
    if plan.tiling is None:
        image = predict(scaled)
    else:
        with torch.inference_mode():  # blending changes what was predicted in place
            image = predict_in_tiles(scaled, predict, plan.tiling)
    return image[..., top : top + height, left : left + width]


def padded_shape(shape: tuple[int, int], constraints: Constraints) -> tuple[int, int]:
    """The least size along (y, x) that a network accepts and that holds a slice."""
    step = constraints.multiple_of
    height, width = (-(-max(n, constraints.smallest_input) // step) * step for n in shape)
    return height, width
