"""Denoisers whose faults are known, and a scan whose truth is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ctdenoise.config.inference import InferSettings
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.method import Estimates, Taken


@dataclass
class FunctionMethod:
    """Makes of every slice what a function makes of it."""

    function: Callable[[np.ndarray], np.ndarray]
    name: str = "function"
    description: str = "numpy cpu float64"
    digest: str = "0123456789ab"
    params: dict = field(default_factory=dict)
    class_names: tuple = ()
    states_error: bool = False
    context: int = 0
    settled: list = field(default_factory=list)

    def block_slices(self, shape):
        del shape
        return 1

    def settle(self, sample, scan):
        del scan
        self.settled.append(sample.volume.hu.copy())
        return self

    def take(self, block, *, labels=False, error=False):
        del labels, error
        images = block.wanted.hu.astype(np.float64)
        made = np.stack([self.function(image) for image in images])
        return Taken((images - made).astype(np.float32), Estimates())


def denoiser(function) -> MethodDenoiser:
    """A denoiser that makes of every slice what a function makes of it."""
    return MethodDenoiser(FunctionMethod(function), InferSettings())


def erasing(image: np.ndarray) -> np.ndarray:
    """What a network does that learnt that faint detail is noise: details below 40 HU vanish."""
    coarse = ndimage.gaussian_filter(image, 6.0)
    detail = ndimage.gaussian_filter(image, 1.0) - coarse
    shrunk = detail * np.maximum(1 - (40.0 / np.maximum(np.abs(detail), 1e-6)) ** 2, 0.0)
    return coarse + shrunk


def inventing(image: np.ndarray) -> np.ndarray:
    """A blur that puts a blob of 60 HU into every square of 32 pixels."""
    blob = np.zeros((32, 32))
    blob[16, 16] = 1.0
    blob = ndimage.gaussian_filter(blob, 2.0)
    blobs = np.tile(60.0 * blob / blob.max(), [size // 32 for size in image.shape])
    return ndimage.gaussian_filter(image, 0.8) + blobs * (image > -500)
