"""What it costs to store weights with half the digits: the largest change of the output."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import slices_seen
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.engine_choice import choose_engine
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.networks.checkpoint import Checkpoint

ROUNDING_MOST_HU = 0.05
"""A change of the output that nobody sees: a twentieth of what DICOM rounds to."""

_SIZE = 256
_NOISE_HU = 30.0
_SETTINGS = InferSettings(device="cpu", precision="float32")


def rounding_hu(checkpoint: Checkpoint) -> float:
    """The largest change of a voxel by rounding the weights to float16, HU.

    It is measured on a body of soft tissue, bone and lung with white noise of 30 HU.

    Args:
        checkpoint: A network with weights in float32.

    Raises:
        CheckpointError: If a weight is too large for float16.
    """
    half = checkpoint.halved()
    weights = {name: tensor.float() for name, tensor in half.weights.items()}
    rounded = Checkpoint(checkpoint.network, weights, checkpoint.hu_range)
    volume = _noisy_body(slices_seen(checkpoint.network))
    before, after = (_denoiser(one)(volume).hu for one in (checkpoint, rounded))
    return float(np.abs(before - after).max())


def _denoiser(checkpoint: Checkpoint) -> MethodDenoiser:
    engine = choose_engine(checkpoint.build(), _SETTINGS)
    return MethodDenoiser(NetworkMethod(checkpoint, engine, _SETTINGS), _SETTINGS)


def _noisy_body(slices: int) -> CTVolume:
    """An ellipse of soft tissue with lungs and a spine, and white noise."""
    axis = np.linspace(-1, 1, _SIZE)
    y, x = axis[:, None], axis[None, :]
    image = np.full((_SIZE, _SIZE), -1000.0)
    image[(x / 0.9) ** 2 + (y / 0.7) ** 2 <= 1] = 40.0
    for side in (-1, 1):
        image[((x - 0.45 * side) / 0.3) ** 2 + (y / 0.4) ** 2 <= 1] = -850.0
    image[(x / 0.12) ** 2 + ((y - 0.5) / 0.12) ** 2 <= 1] = 600.0
    shape = (slices, _SIZE, _SIZE)
    noise = np.random.default_rng(0).normal(0.0, _NOISE_HU, shape)
    geometry = Geometry.axial(shape, pixel_spacing_mm=1.5, slice_spacing_mm=3.0)
    return CTVolume((image + noise).astype(np.float32), geometry)
