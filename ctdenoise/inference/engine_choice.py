"""Which engine runs a network on this machine."""

from __future__ import annotations

import logging

import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import UsageError
from ctdenoise.inference.engine import (
    GPU_BATCH,
    Engine,
    TorchEngine,
    choose_device,
    choose_precision,
)
from ctdenoise.inference.gpu_engine import GpuEngine
from ctdenoise.inference.vector_code import host_vector_unit
from ctdenoise.inference.winograd_engine import WinogradEngine, trial_edge
from ctdenoise.networks.prediction import DenoisingNetwork

_log = logging.getLogger(__name__)

LEAST_SHARE = 0.5
"""Share of a network's products in convolutions that have kernels, from which on these are faster
than torch as a whole: of the networks here it is 0 or above 0.9."""

TRIAL_TOLERANCE = 1e-3
"""How far the two engines may differ on noise, as a share of the largest output. Rounding is a
hundred times smaller; a network that does something unforeseen differs by more."""


def choose_engine(network: DenoisingNetwork, settings: InferSettings) -> Engine:
    """The engine that the settings ask for; the faster one for `auto`.

    The choice follows a rule, not a timing, so that it is the same in every run on a machine:
    Winograd convolutions on a CPU with AVX2 or AVX-512, in float32, for networks most of whose work
    is in convolutions that they take; torch for all else.

    Args:
        network: With its weights.
        settings: Engine, device, precision.

    Raises:
        UsageError: If a GPU is asked for and there is none, or the Winograd engine and it cannot
            run here.
    """
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    if device.type == "cuda" and settings.engine != "winograd":
        batch = settings.batch or GPU_BATCH
        return GpuEngine(network, device, precision, batch=batch, memory_mb=settings.memory_mb)
    plain = TorchEngine(network, device, precision)
    if settings.engine == "torch":
        return plain
    unit = host_vector_unit()
    if device.type != "cpu" or precision != "float32" or unit is None:
        if settings.engine == "winograd":
            raise UsageError(
                "the Winograd engine computes in float32 on a CPU with AVX2 only.",
                where="engine",
                fix="Use --device cpu --precision float32, or leave the engine out.",
            )
        return plain
    engine = WinogradEngine(network, unit)
    if settings.engine == "auto" and engine.share < LEAST_SHARE:
        return plain
    if not _agree(engine, plain):
        _log.warning(
            "The Winograd engine does not give what torch gives for this network: torch is used."
        )
        return plain
    return engine


def _agree(engine: Engine, reference: Engine) -> bool:
    """Whether two engines give the same for a small image of noise."""
    constraints = engine.constraints
    edge = trial_edge(constraints.smallest_input, constraints.multiple_of)
    shape = (1, constraints.channels, edge, edge)
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    one, other = (some.predict_with_estimates(image) for some in (engine, reference))
    for channel in range(one.shape[1]):
        largest = max(1.0, float(other[:, channel].abs().max()))
        if not (one[:, channel] - other[:, channel]).abs().max() <= TRIAL_TOLERANCE * largest:
            return False
    return True
