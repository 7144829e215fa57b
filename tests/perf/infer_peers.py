"""How each program that denoises CT slices is called, as its own documentation shows.

Each function takes a RED-CNN of ours, whose weights all of them get, or the noise of the slice, and
gives what computes one slice. It gives None where the program is not installed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from ctdenoise.core.arrays import HuArray
from ctdenoise.networks.prediction import DenoisingNetwork

Compute = Callable[[Tensor], Tensor]
"""From a slice in network scale, [1, 1, y, x], to its image."""

Filter = Callable[[HuArray], HuArray]
"""From a slice in HU, [y, x], to the slice without noise."""


class _Image(nn.Module):
    """A network of ours that gives a plain tensor."""

    def __init__(self, network: DenoisingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, scaled: Tensor) -> Tensor:
        """Its image."""
        image: Tensor = self.network(scaled).image
        return image


def eager(network: DenoisingNetwork) -> Compute:
    """Plain PyTorch, transposed convolutions as they are: what a script of one's own does."""
    module = _Image(network).eval()

    def compute(scaled: Tensor) -> Tensor:
        with torch.inference_mode():
            image: Tensor = module(scaled)
        return image

    return compute


def ldct_benchmark(network: DenoisingNetwork) -> Compute | None:
    """The RED-CNN of ldct-benchmark (Eulig et al.), with the same weights."""
    if find_spec("ldctbench") is None:
        return None
    from ldctbench.methods.redcnn.network import Model

    weights = network.state_dict()
    model = Model(args=None, out_ch=weights["conv1.weight"].shape[0])
    model.load_state_dict(weights)
    model.eval()

    def compute(scaled: Tensor) -> Tensor:
        with torch.inference_mode():
            image: Tensor = model(scaled)
        return image

    return compute


def onnx_runtime(network: DenoisingNetwork, shape: tuple[int, int], threads: int) -> Compute | None:
    """ONNX Runtime, with what `torch.onnx` made of the network."""
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        return None
    import onnxruntime

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs onnxscript
        example = torch.zeros(1, 1, *shape)
        torch.onnx.export(
            _Image(network).eval(),
            (example,),
            file,
            input_names=["scaled"],
            output_names=["image"],
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )

    def compute(scaled: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"scaled": scaled.numpy()})[0])

    return compute


def scikit_image(noise_hu: float) -> Filter:
    """Non-local means of scikit-image as its own example calls them, with white noise."""
    from skimage.restoration import denoise_nl_means

    def compute(image: HuArray) -> HuArray:
        found = denoise_nl_means(
            image, h=0.8 * noise_hu, sigma=noise_hu, patch_size=5, patch_distance=6, fast_mode=True
        )
        return np.asarray(found, dtype=np.float32)

    return compute


def bm3d_package(noise_hu: float) -> Filter | None:
    """BM3D as its package calls it, with white noise."""
    if find_spec("bm3d") is None:
        return None
    import bm3d

    def compute(image: HuArray) -> HuArray:
        found = bm3d.bm3d(image.astype(np.float64), noise_hu)
        return np.asarray(found, dtype=np.float32)

    return compute
