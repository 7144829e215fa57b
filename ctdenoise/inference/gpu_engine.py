"""A network on a GPU that is kept busy.

What a GPU waits for is the processor: values that must be copied, kernels that must be launched one
by one. So slices lie in pinned memory and are copied by streams of their own, beside the work on
others; predictions of several threads may be in flight; and a batch whose shape was met before is
replayed as one CUDA graph instead of launched kernel by kernel.

In bfloat16 the layers that give a single map, as the last one does, compute in float32, and the
input is added in float32: low precision touches the change only.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

import torch
from torch import Tensor, nn

from ctdenoise.inference.engine import GPU_BATCH, outputs_of, pixels_at_once
from ctdenoise.networks.prediction import DenoisingNetwork

_log = logging.getLogger(__name__)

GPU_LANES = 3
"""Predictions that may be in flight: one on its way in, one at work, one on its way out."""

_BYTES = {"float32": 4, "bf16": 2}
_WARM_UP = 2
"""Batches of a shape that are launched kernel by kernel before they are kept as a graph."""


class GpuEngine:
    """Plain torch on a CUDA device, with transposed convolutions folded to plain ones.

    Safe to call from several threads. A batch smaller than the engine's own is filled up with
    zeros, so that a slice does not depend on how many come with it.

    Args:
        network: The network; it is copied, not changed.
        device: A CUDA device.
        precision: Type of weights and feature maps. float32 means float32 (no TF32); bf16 has the
            layers that give single maps in float32.
        batch: Slices that are computed together.
        memory_mb: What their feature maps may take, MB.
    """

    def __init__(
        self,
        network: DenoisingNetwork,
        device: torch.device,
        precision: Literal["float32", "bf16"] = "bf16",
        *,
        batch: int = GPU_BATCH,
        memory_mb: int = 2048,
    ) -> None:
        self._device, self._precision = device, precision
        self._batch, self._memory_mb = batch, memory_mb
        self.constraints = network.constraints
        folded = copy.deepcopy(network.folded()).eval().to(device)
        self._network = in_bfloat16(folded) if precision == "bf16" else folded
        self._lock = Lock()
        self._copy_in = _stream(device)
        self._compute = _stream(device)
        self._copy_out = _stream(device)
        self._known: dict[tuple[torch.Size, bool], _Known] = {}

    @property
    def description(self) -> str:
        """What computes, in a few words."""
        return f"torch cuda {self._precision}"

    @property
    def bytes_per_value(self) -> int:
        """Size of one number of a feature map."""
        return _BYTES[self._precision]

    def predict(self, scaled: Tensor) -> Tensor:
        """Denoised images for a batch of slices.

        Args:
            scaled: Slices in network scale, [batch, channel, y, x], float32.
        """
        return self._predicted(scaled, estimates=False)

    def predict_with_estimates(self, scaled: Tensor) -> Tensor:
        """Denoised images and, as further channels, stated error and scores of every class.

        Args:
            scaled: Slices in network scale, [batch, channel, y, x], float32.
        """
        return self._predicted(scaled, estimates=True)

    def _predicted(self, scaled: Tensor, *, estimates: bool) -> Tensor:
        count = scaled.shape[0]
        pinned = filled_up(scaled, self._batch_of(scaled)).pin_memory()
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch's own stubs
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        # What is set for cudnn belongs to the process, so one thread launches at a time.
        with self._lock, torch.inference_mode(), torch.cuda.device(self._device), exact:
            host = self._launch(pinned, done, estimates=estimates)
        done.synchronize()
        return host[:count].clone()  # pinned memory goes back

    def _batch_of(self, scaled: Tensor) -> int:
        """Slices of this size that are computed together, as `plan_work` counts them."""
        fitting = pixels_at_once(self, self._memory_mb) // (scaled.shape[2] * scaled.shape[3])
        return max(1, min(self._batch, fitting))

    def _launch(self, pinned: Tensor, done: torch.cuda.Event, *, estimates: bool) -> Tensor:
        """Ask for everything; it is there when `done` has happened."""
        with torch.cuda.stream(self._copy_in):
            given = pinned.to(self._device, non_blocking=True)
        self._compute.wait_stream(self._copy_in)
        with torch.cuda.stream(self._compute):
            given.record_stream(self._compute)
            outputs = self._computed(given, estimates=estimates)
        self._copy_out.wait_stream(self._compute)
        with torch.cuda.stream(self._copy_out):
            outputs.record_stream(self._copy_out)
            host = pinned_like(outputs)
            host.copy_(outputs, non_blocking=True)
            done.record(self._copy_out)
        return host

    def _computed(self, given: Tensor, *, estimates: bool) -> Tensor:
        """The outputs for a batch on the device, in the present stream."""
        known = self._known.setdefault((given.shape, estimates), _Known())
        if known.graph is None:
            known.met += 1
            if known.met > _WARM_UP and known.may_be_kept:
                self._keep(known, given, estimates=estimates)
        if known.graph is None or known.given is None or known.outputs is None:
            return self._outputs(given, estimates=estimates)
        known.given.copy_(given)
        known.graph.replay()
        return known.outputs.clone()  # the next replay writes there again

    def _outputs(self, given: Tensor, *, estimates: bool) -> Tensor:
        channels_last = given.contiguous(memory_format=torch.channels_last)
        return outputs_of(self._network(channels_last), estimates=estimates)

    def _keep(self, known: _Known, given: Tensor, *, estimates: bool) -> None:
        """Keep the kernels for a shape as a graph; what cannot be kept stays as it is."""
        known.may_be_kept = False
        graph, static = torch.cuda.CUDAGraph(), given.clone()
        self._compute.synchronize()
        try:
            # Other threads may copy and wait meanwhile.
            with torch.cuda.graph(graph, stream=self._compute, capture_error_mode="thread_local"):
                outputs = self._outputs(static, estimates=estimates)
        except RuntimeError as error:
            _log.info("No CUDA graph of this network: %s", type(error).__name__)
            return
        known.graph, known.given, known.outputs = graph, static, outputs


@dataclass(slots=True)
class _Known:
    """Batches of one shape.

    Args:
        met: How many there were.
        may_be_kept: Whether a graph may still be tried.
        graph: Their kernels; None before they are kept.
        given: Where a graph reads.
        outputs: Where it writes.
    """

    met: int = 0
    may_be_kept: bool = True
    graph: torch.cuda.CUDAGraph | None = None
    given: Tensor | None = field(default=None, repr=False)
    outputs: Tensor | None = field(default=None, repr=False)


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own stubs


def pinned_like(tensor: Tensor) -> Tensor:
    """Pinned memory of the processor for what is on a device; torch keeps what is given back."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)


def in_bfloat16(network: DenoisingNetwork) -> DenoisingNetwork:
    """A network in bfloat16 whose layers that give a single map compute in float32.

    The last layer of most networks gives the change of the image, and one beside it the stated
    error: each a single map, and a small part of the work. What they are given is exact in
    float32, so their sums lose nothing.

    Args:
        network: Folded, so that its convolutions are plain; it is changed.
    """
    network.to(dtype=torch.bfloat16)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.out_channels == 1:
            layer.to(dtype=torch.float32)
        if isinstance(getattr(layer, "weight", None), Tensor):
            layer.register_forward_pre_hook(_in_type_of_weights)
    return network


def _in_type_of_weights(layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    weight = layer.weight
    if not isinstance(weight, Tensor):
        return given
    return tuple(one.to(weight.dtype) for one in given)


def filled_up(scaled: Tensor, batch: int) -> Tensor:
    """A batch of at least so many slices; those that are added are zero.

    Args:
        scaled: Slices [batch, channel, y, x].
        batch: How many there shall be.
    """
    missing = batch - scaled.shape[0]
    if missing <= 0:
        return scaled
    return torch.cat((scaled, scaled.new_zeros((missing, *scaled.shape[1:]))))
