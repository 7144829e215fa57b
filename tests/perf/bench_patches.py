"""Patches per CPU second of the vectorised path and of MONAI's dictionary transforms, in one run.

Run it with `make bench` or `python tests/perf/bench_patches.py`. Both paths give the same kind of
batch: low-dose and full-dose patches of 64 x 64 pixels, mirrored and turned at random, in network
scale.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.data import Dataset
from monai.transforms import (
    Compose,
    RandFlipd,
    RandRotate90d,
    RandSpatialCropd,
    ScaleIntensityRanged,
)

from ctdenoise.config.training import PatchSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.training.patches import PatchBatches, plain_tensors
from ctdenoise.training.plans import BatchPlans, PatchSource

SIZE, BATCH = 64, 32
RANGE = HuRange()


def stored_volumes(folder: Path, *, slices: int, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """A full-dose and a low-dose volume as int16 memory maps, all body."""
    rng = np.random.default_rng(0)
    maps = []
    for name in ("full", "low"):
        path = folder / f"{name}.raw"
        rng.integers(-200, 200, (slices, edge, edge), dtype=np.int16).tofile(path)
        maps.append(np.memmap(path, dtype=np.int16, mode="r", shape=(slices, edge, edge)))
    return maps[0], maps[1]


def vectorised(full: np.ndarray, low: np.ndarray, steps: int) -> PatchBatches:
    """The path that training uses."""
    source = PatchSource(np.asarray(full), (np.asarray(low),))
    plans = BatchPlans([source], PatchSettings(size=SIZE), batch_size=BATCH, steps=steps, seed=0)
    return PatchBatches(plans, RANGE, torch.device("cpu"))


def dictionary(full: np.ndarray, low: np.ndarray) -> Dataset:
    """MONAI's usual way: one dictionary of slices for each patch, one transform after another."""
    keys = ("low", "full")
    transform = Compose(
        [
            RandSpatialCropd(keys, roi_size=(SIZE, SIZE), random_size=False),
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandFlipd(keys, prob=0.5, spatial_axis=1),
            RandRotate90d(keys, prob=0.5),
            ScaleIntensityRanged(keys, RANGE.low, RANGE.high, 0.0, 1.0),
        ]
    )
    items = [
        {"low": np.array(low[z])[None], "full": np.array(full[z])[None]} for z in range(len(full))
    ]
    return Dataset(items, transform)


def dictionary_batch(dataset: Dataset, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """A batch of the dictionary path."""
    items = [dataset[int(index)] for index in rng.integers(0, len(dataset), BATCH)]
    return tuple(torch.stack([torch.as_tensor(item[key]) for item in items]) for key in items[0])


def patches_per_second(make: Callable[[int], object], *, seconds: float) -> float:
    """How many patches a path makes in a second of one core, whatever else the machine does."""
    make(0)
    started = time.process_time()
    batches = 0
    while time.process_time() - started < seconds:
        make(batches)
        batches += 1
    return batches * BATCH / (time.process_time() - started)


def measure(*, slices: int = 60, edge: int = 512, seconds: float = 3.0) -> dict[str, float]:
    """Patches per second of each path, measured one after the other in one process."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        full, low = stored_volumes(Path(folder), slices=slices, edge=edge)
        batches = vectorised(full, low, 1_000_000)
        items = dictionary(full, low)
        speeds = {"vectorised": patches_per_second(batches.__getitem__, seconds=seconds)}
        speeds["MONAI dictionaries"] = patches_per_second(
            lambda _: dictionary_batch(items, rng), seconds=seconds
        )
        with plain_tensors():
            speeds["MONAI dictionaries without metadata"] = patches_per_second(
                lambda _: dictionary_batch(items, rng), seconds=seconds
            )
    return speeds


if __name__ == "__main__":
    measured = measure()
    for path, speed in measured.items():
        ratio = measured["vectorised"] / speed
        print(f"{path:40s} {speed:10.0f} patches/s   {ratio:6.1f}x slower than vectorised")
