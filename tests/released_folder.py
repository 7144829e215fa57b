"""Folders of released models for tests: small networks with cards that fit them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def lively_checkpoint(*, half: bool = False, channels: int = 4) -> Checkpoint:
    """A network that changes its image, with random weights; stored as float16 if asked for."""
    settings = RedCnnSettings(channels=channels, start_as_identity=False, noise_input=True)
    net = build_network(settings, generator=torch.Generator().manual_seed(5))
    weights = {name: 2 * tensor for name, tensor in net.state_dict().items()}
    if half:
        weights = {name: tensor.half() for name, tensor in weights.items()}
    trained_on = {"noise_hu": [5.0, 60.0], "pixel_spacing_mm": [0.5, 0.9]}
    return Checkpoint(settings, weights, HuRange(0.0, 1000.0), {"trained_on": trained_on})


def release(folder: Path, name: str = "fast", *, half: bool = False, **card: Any) -> Path:
    """Write a released model into a folder; returns its weights.

    Args:
        folder: Made if there is none.
        name: What it is called.
        half: Whether its weights are stored as float16.
        card: What its card says beside what is needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = save_checkpoint(folder / f"{name}.safetensors", lively_checkpoint(half=half))
    checkpoint = load_checkpoint(path)
    values = {
        "name": name,
        "summary": "A small network for tests.",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "digest": checkpoint.digest,
        "network": checkpoint.network.name,
        "parameters": sum(tensor.numel() for tensor in checkpoint.weights.values()),
        "stored": "float16" if half else "float32",
        "training_range": checkpoint.training["trained_on"],
    }
    (folder / f"{name}.json").write_text(json.dumps({**values, **card}), encoding="utf-8")
    return path
